#!/usr/bin/env python3
"""Packed images as recipes: what they add to the store, and whether they come back.

    recipes.py BINARY TREE [--only NAME ...] [--json FILE]

TREE is a root tree, which is read only. Needs cpio, pigz, gzip, zstd, tar, and disk beside TREE for two copies of it. For each
writer: the tree is packed, a snapshot taken with --recipes over a store that has the tree alone, the file taken out again
and compared. Exits 1 if a writer that must be repeatable adds 1 % of the packed file or more, or anything differs.
"""
import argparse, json, os, shutil, subprocess, sys, tempfile, time

parser = argparse.ArgumentParser(usage=__doc__.replace("%", "%%"))
parser.add_argument("binary"); parser.add_argument("tree")
parser.add_argument("--only", nargs="+"); parser.add_argument("--json")
options = parser.parse_args()
binary, tree = os.path.realpath(options.binary), os.path.realpath(options.tree)
work = tempfile.mkdtemp(prefix="imgstore-recipes-", dir=os.path.dirname(tree))
live, base, store = work + "/mn/img", work + "/base", work + "/store"
os.environ.update(IMGSTORE_ROOT=work + "/mn", IMGSTORE_STORE=store)
cpio = "find . | cpio --quiet -o -H newc"
feed = """python3 -c 'import gzip, sys
with gzip.GzipFile("", "wb", int(sys.argv[1]), sys.stdout.buffer, 0) as f:
    while b := sys.stdin.buffer.read(1 << 20): f.write(b)' """
# Name, command, and whether it must take under 1 %.
writers = [("pigz -6", f"{cpio} | pigz -6", True), ("pigz -1", f"{cpio} | pigz -1", True),
           ("pigz -9", f"{cpio} | pigz -9", True), ("pigz -6 -p1", f"{cpio} | pigz -6 -p1", True),
           ("pigz -6 -p2", f"{cpio} | pigz -6 -p2", True), ("pigz -1 -p1", f"{cpio} | pigz -1 -p1", True),
           ("Python gzip 1", f"{cpio} | {feed} 1", True), ("Python gzip 6", f"{cpio} | {feed} 6", True),
           ("Python gzip 9", f"{cpio} | {feed} 9", True), ("tar | pigz", "tar c . | pigz", True),
           ("imgstore pack", None, True), ("GNU gzip -1", f"{cpio} | gzip -1", True), ("GNU gzip -6", f"{cpio} | gzip -6", True),
           ("GNU gzip -9", f"{cpio} | gzip -9", True), ("zstd -1", f"{cpio} | zstd -q -1 -T0", True),
           ("zstd -3", f"{cpio} | zstd -q", True), ("zstd -9", f"{cpio} | zstd -q -9 -T0", True)]

def run(*command, output=None):
    start = time.monotonic()
    done = subprocess.run(command, stdout=output or subprocess.PIPE, check=True)
    return time.monotonic() - start, done.stdout

def packs():
    return sum(entry.stat().st_size for entry in os.scandir(store + "/packs"))

results, failed = [], False
try:
    os.makedirs(live)
    run("cp", "-a", "--reflink=auto", tree, live + "/rootimg")
    run(binary, "define", "v", "provmethod=netboot", "rootimgdir=/img", "-q")
    run(binary, "snapshot", "v", "-q")
    os.rename(store, base)
    print(f"{'writer':16} {'packed MB':>9} {'packing s':>9} {'snapshot s':>10} {'added kB':>9} {'%':>6} {'back s':>7}  result")
    for name, command, must in writers:
        if options.only and name not in options.only: continue
        run("cp", "-a", "--reflink=auto", base, store)
        packed = live + "/rootimg.cpio.gz"
        if command:
            with open(packed, "wb") as file:
                taken = run("bash", "-euo", "pipefail", "-c", f"cd '{live}/rootimg'; {command}", output=file)[0]
        else:
            taken = run(binary, "pack", "v", "-q")[0]
        size, before = os.path.getsize(packed), packs()
        seconds, said = run(binary, "snapshot", "v", "--recipes", "--json", "-q")
        recipe = json.loads(said)["recipes"][0]
        added = packs() - before
        with open(work + "/back", "wb") as file:
            back = run(binary, "cat", "v:/img/rootimg.cpio.gz", output=file)[0]
        same = subprocess.run(["cmp", "-s", packed, work + "/back"]).returncode == 0
        good = same and (not must or added * 100 < size)
        failed = failed or not good
        result = (", ".join(recipe["encoders"] or ["archive"]) if recipe["made"] else "kept as it is")
        print(f"{name:16} {size / 1e6:9.1f} {taken:9.1f} {seconds:10.1f} {added / 1e3:9.0f} {added * 100 / size:6.2f} {back:7.1f}  "
              f"{result}; {'equal' if same else 'NOT EQUAL'}{'' if good else '  FAILED'}", flush=True)
        results.append({"writer": name, "packedBytes": size, "packSeconds": taken, "snapshotSeconds": seconds,
                        "addedBytes": added, "backSeconds": back, "made": recipe["made"], "equal": same})
        run("rm", "-rf", "--one-file-system", store, packed)
    if options.json:
        with open(options.json, "w") as file: json.dump(results, file, indent=1)
    sys.exit(1 if failed else 0)
finally:
    subprocess.run(["rm", "-rf", "--one-file-system", work])
