#!/usr/bin/env python3
"""Import of a 1 GB bundle against `tar xzf` into a temporary folder and moving the files.

usage: import.py IMGSTORE TREES... [--work DIR] [--rounds N]

A root image of 1 GB is packed from TREES (find | cpio | pigz -1, cut at 1,000,000,000 bytes) and bundled as
imgexport does (tar czf). A second bundle has a tenth of it replaced, in 20 places. Measured, alternately:

  tar    tar xzf BUNDLE into a temporary folder, mv of the files to their places   (what imgimport does at best)
  cold   imgstore import of the first bundle into an empty store
  known  imgstore import of the second bundle into a store that holds the first: nine tenths are known

Prints one table and one line of JSON: seconds, ratios to tar in the same round (medians), and the peak memory.
"""
import argparse, json, os, random, resource, shutil, statistics, subprocess, sys, time

NAME = "rhels9-x86_64-netboot-bench"
BOOT = "/install/netboot/rhels9/x86_64/bench"
MANIFEST = f"""<?xml version="1.0"?>
<xcatimage>
  <kernel>{BOOT}/kernel</kernel>
  <linuximage>
    <imagename>{NAME}</imagename>
    <pkglist>/install/custom/netboot/rh/bench.pkglist</pkglist>
    <rootimgdir>{BOOT}</rootimgdir>
  </linuximage>
  <osimage>
    <imagename>{NAME}</imagename>
    <imagetype>linux</imagetype>
    <osarch>x86_64</osarch>
    <osname>Linux</osname>
    <osvers>rhels9</osvers>
    <profile>bench</profile>
    <provmethod>netboot</provmethod>
  </osimage>
  <ramdisk>{BOOT}/initrd-stateless.gz</ramdisk>
  <rootimg>{BOOT}/rootimg.cpio.gz</rootimg>
</xcatimage>
"""


def pack(trees, path, size):
    with open(path, "wb") as out:
        find = subprocess.Popen(["find", *trees], stdout=subprocess.PIPE)
        cpio = subprocess.Popen(["cpio", "-o", "-H", "newc"], stdin=find.stdout, stdout=subprocess.PIPE,
                                stderr=subprocess.DEVNULL)
        pigz = subprocess.Popen(["pigz", "-1"], stdin=cpio.stdout, stdout=subprocess.PIPE)
        left = size
        while left > 0:
            data = pigz.stdout.read(min(left, 1 << 20))
            if not data:
                sys.exit(f"the trees pack to {size - left} bytes only; name more of them")
            out.write(data)
            left -= len(data)
        for process in (pigz, cpio, find):
            process.kill()
            process.wait()


def change(source, target, size):
    rng = random.Random(1)
    piece = size // 20
    with open(source, "rb") as a, open(target, "wb") as b:
        while data := a.read(piece):
            b.write(rng.randbytes(len(data) // 10) + data[len(data) // 10:])


def bundle(work, number, root):
    folder = f"{work}/b{number}/{NAME}"
    os.makedirs(folder)
    os.rename(root, f"{folder}/rootimg.cpio.gz")
    for name, data in [("kernel", b"k" * 8_000_000), ("initrd-stateless.gz", random.Random(2).randbytes(20_000_000)),
                       ("bench.pkglist", b"bash\n"), ("manifest.xml", MANIFEST.encode())]:
        with open(f"{folder}/{name}", "wb") as file:
            file.write(data)
    subprocess.run(["tar", "czf", f"{work}/{number}.tgz", "."], cwd=f"{work}/b{number}", check=True)
    shutil.rmtree(f"{work}/b{number}")
    return f"{work}/{number}.tgz"


def timed(command, **more):
    """Seconds, and the peak memory of the child in MB."""
    subprocess.run(["sync"])
    start = time.monotonic()
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, **more)
    _, status, usage = os.wait4(process.pid, 0)
    seconds = time.monotonic() - start
    if status != 0:
        sys.exit(f"{command[0]} failed")
    return seconds, usage.ru_maxrss / 1000


def warm(path):
    with open(path, "rb") as file:
        while file.read(1 << 22):
            pass


def tar_and_move(work, path):
    out, temp = f"{work}/t-install", f"{work}/t-tmp"
    os.makedirs(temp)
    script = f'set -e; tar xzf "$1" -C "$2"; mkdir -p "$3{BOOT}" "$3/install/custom/netboot/rh"; ' \
        f'cd "$2/{NAME}"; mv kernel initrd-stateless.gz rootimg.cpio.gz "$3{BOOT}/"; ' \
        'mv bench.pkglist "$3/install/custom/netboot/rh/"; rm -r "$2"'
    seconds, _ = timed(["sh", "-c", script, "sh", path, temp, out])
    shutil.rmtree(out)
    return seconds


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("imgstore")
    parser.add_argument("trees", nargs="+")
    parser.add_argument("--work", default="/var/tmp/imgstore-import-bench")
    parser.add_argument("--rounds", type=int, default=3)
    args = parser.parse_args()
    work = args.work
    shutil.rmtree(work, ignore_errors=True)
    os.makedirs(work)
    size = 1_000_000_000
    pack(args.trees, f"{work}/r1", size)
    change(f"{work}/r1", f"{work}/r2", size)
    first, second = bundle(work, 1, f"{work}/r1"), bundle(work, 2, f"{work}/r2")
    rounds = []
    for _ in range(args.rounds):
        store, root = f"{work}/store", f"{work}/root"
        for folder in (store, root):
            shutil.rmtree(folder, ignore_errors=True)
        os.makedirs(f"{root}/install")
        imgstore = [args.imgstore, "import", "--quiet", "--store", store, "--root", root]
        warm(first)
        cold, memory = timed([*imgstore, first])
        tar_cold = tar_and_move(work, first)
        warm(second)
        known, memory2 = timed([*imgstore, "-f", "other", second])
        tar_known = tar_and_move(work, second)
        rounds.append(dict(cold=cold, known=known, tar=(tar_cold + tar_known) / 2, cold_ratio=tar_cold / cold,
                           known_ratio=tar_known / known, peak_mb=max(memory, memory2)))
        print("  ".join(f"{k} {v:.2f}" for k, v in rounds[-1].items()), flush=True)
    result = {key: round(statistics.median(r[key] for r in rounds), 2) for key in rounds[0]}
    result["peak_mb"] = round(max(r["peak_mb"] for r in rounds))
    print(f"\nimport of a 1 GB bundle, medians of {len(rounds)} rounds")
    print(f"  tar xzf and mv        {result['tar']:7.2f} s")
    print(f"  import, empty store   {result['cold']:7.2f} s   {result['cold_ratio']:.2f} times as fast")
    print(f"  import, 90 % known    {result['known']:7.2f} s   {result['known_ratio']:.2f} times as fast")
    print(f"  peak memory           {result['peak_mb']:7d} MB")
    print(json.dumps(result))
    shutil.rmtree(work)


main()
