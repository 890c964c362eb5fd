#!/usr/bin/env python3
"""Ramdisks and packed images as recipes: what each adds to the store, and whether it comes back.

    ramdisks.py BINARY TREE [--count N] [--mkinitramfs] [--json FILE]

TREE is a root tree with lib/modules, which is read only. Needs cpio, gzip, zstd, and disk beside TREE for a copy of it
and a store. A snapshot of the tree is taken first. Then:

  - N ramdisks (default 10) with different parts of the modules, programs and libraries of the tree, each by
    zstd -9 as initramfs-tools calls it and by gzip -9. With --mkinitramfs, also what mkinitramfs of the tree makes
    (in a chroot; needs root) for each kernel that the tree has.
  - rootimg.gz as packimage of xCAT makes it with GNU gzip.
  - the ramdisks that the tree itself has in boot, which optimize finds.

Prints for each: its size, the growth of the store, the growth in percent, seconds for the recipe and for reading the file
back, and the result of cmp. Exits 1 if one adds more than 1.5 %, or anything differs.
"""
import argparse, glob, json, os, random, shutil, subprocess, sys, tempfile, time

parser = argparse.ArgumentParser(usage=__doc__.replace("%", "%%"))
parser.add_argument("binary"); parser.add_argument("tree")
parser.add_argument("--count", type=int, default=10)
parser.add_argument("--mkinitramfs", action="store_true"); parser.add_argument("--json")
options = parser.parse_args()
binary, tree = os.path.realpath(options.binary), os.path.realpath(options.tree)
LIMIT = 1.5
work = tempfile.mkdtemp(prefix="imgstore-ramdisks-", dir=os.path.dirname(tree))
live, store = work + "/mn/img", work + "/store"
os.environ.update(IMGSTORE_ROOT=work + "/mn", IMGSTORE_STORE=store)

def run(*command, output=None, directory=None):
    start = time.monotonic()
    done = subprocess.run(command, stdout=output or subprocess.PIPE, cwd=directory, check=True)
    return time.monotonic() - start, done.stdout

def packs():
    return sum(entry.stat().st_size for entry in os.scandir(store + "/packs"))

def same(path, name):
    """Reads a file of the latest snapshot, and compares it with the live one."""
    with open(work + "/back", "wb") as file:
        seconds = run(binary, "cat", "v:" + name, output=file)[0]
    return seconds, subprocess.run(["cmp", "-s", path, work + "/back"]).returncode == 0

rows = []
def report(name, size, added, found, back, equal, how):
    percent = added * 100 / size
    good = equal and percent <= LIMIT
    print(f"{name:34} {size / 1e6:8.1f} {added / 1e3:9.1f} {percent:6.2f} {found:7.1f} {back:7.1f}  {how}; "
          f"{'equal' if equal else 'NOT EQUAL'}{'' if good else '  FAILED'}", flush=True)
    rows.append({"name": name, "bytes": size, "addedBytes": added, "percent": percent, "recipeSeconds": found,
                 "backSeconds": back, "equal": equal, "how": how, "good": good})

def component(name, file):
    """Takes a snapshot with a file beside the tree, and reads it back."""
    path = f"{live}/{file}"
    size, before = os.path.getsize(path), packs()
    seconds, said = run(binary, "snapshot", "v", "--recipes", "--json", "-q")
    results = [row for row in json.loads(said)["recipes"] if row["path"].endswith("/" + file)]
    how = ", ".join(results[0]["encoders"] or ["archive"]) if results and results[0]["made"] else "kept as it is"
    added = packs() - before
    back, equal = same(path, "/img/" + file)
    report(name, size, added, seconds, back, equal, how)
    os.remove(path)

def ramdisk(index):
    """The names of a ramdisk's files: most modules, and some programs and libraries."""
    chance = random.Random(index)
    names = ["."]
    for top in ("usr/lib/modules", "usr/bin", "usr/sbin", "usr/lib/x86_64-linux-gnu", "usr/lib/firmware"):
        share = 0.8 if top.endswith("modules") else 0.1
        for directory, _, files in sorted(os.walk(f"{live}/rootimg/{top}")):
            names += [os.path.relpath(f"{directory}/{file}", f"{live}/rootimg") for file in sorted(files)
                      if chance.random() < share]
    return "\n".join(names) + "\n"

try:
    os.makedirs(live)
    run("cp", "-a", "--reflink=auto", tree, live + "/rootimg")
    run(binary, "define", "v", "provmethod=netboot", "rootimgdir=/img", "-q")
    run(binary, "snapshot", "v", "-q")
    print(f"{'file':34} {'MB':>8} {'added kB':>9} {'%':>6} {'made s':>7} {'back s':>7}  result")
    kernels = sorted(glob.glob(f"{live}/rootimg/boot/initrd*"))
    if kernels:
        before = packs()
        found, _ = run(binary, "recipes", "v", "-q")
        run(binary, "gc", "-q")
        size = sum(os.path.getsize(path) for path in kernels)
        added = packs() - before + size  # The compressed bytes were stored, and are not any more.
        for path in kernels:
            back, equal = same(path, "/img/rootimg/boot/" + os.path.basename(path))
            report("boot/" + os.path.basename(path), os.path.getsize(path), added * os.path.getsize(path) // size,
                   found / len(kernels), back, equal, "in the tree")
    for index in range(options.count):
        with open(work + "/names", "w") as file: file.write(ramdisk(index))
        for name, compressor in (("zstd -9", "zstd -q -9"), ("gzip -9", "gzip -9")):
            with open(f"{live}/initrd-stateless.gz", "wb") as file:
                run("bash", "-euo", "pipefail", "-c", f"cpio --quiet -o -H newc < '{work}/names' | {compressor}", output=file,
                    directory=f"{live}/rootimg")
            component(f"ramdisk {index + 1} by {name}", "initrd-stateless.gz")
    if options.mkinitramfs:
        for version in sorted(os.listdir(f"{live}/rootimg/lib/modules")):
            for name in ("zstd", "gzip"):
                run("chroot", f"{live}/rootimg", "mkinitramfs", "-c", name, "-o", "/ramdisk", version)
                shutil.move(f"{live}/rootimg/ramdisk", f"{live}/initrd-stateless.gz")
                component(f"mkinitramfs -c {name} {version}", "initrd-stateless.gz")
    with open(f"{live}/rootimg.gz", "wb") as file:
        run("bash", "-euo", "pipefail", "-c", "find . | cpio --quiet -H newc -o | gzip -c -", output=file,
            directory=f"{live}/rootimg")
    component("rootimg.gz by gzip", "rootimg.gz")
    if options.json:
        with open(options.json, "w") as file: json.dump(rows, file, indent=1)
    sys.exit(0 if all(row["good"] for row in rows) else 1)
finally:
    subprocess.run(["rm", "-rf", "--one-file-system", work])
