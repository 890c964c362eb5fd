#!/usr/bin/env python3
"""Times diffs, and holds `diff --packages` against dpkg-query.

    diff.py BINARY CORPUS [--rounds N]

CORPUS holds real Debian root trees v1 and v2 (v1 after an update). Needs rsync and dpkg-query, and 6 GB of free disk
beside CORPUS. Prints medians, warm: of v1 and v2, and of two neighbours, v2 and v2 with one package's files changed.
"""
import argparse, json, os, shutil, statistics, subprocess, sys, tempfile, time

parser = argparse.ArgumentParser(usage=__doc__)
parser.add_argument("binary"); parser.add_argument("corpus"); parser.add_argument("--rounds", type=int, default=9)
options = parser.parse_args()
binary = os.path.realpath(options.binary)
v1, v2 = (os.path.join(os.path.realpath(options.corpus), v) for v in ("v1", "v2"))
work = tempfile.mkdtemp(prefix="imgstore-diff-", dir=os.path.dirname(v1))
os.environ.update(IMGSTORE_ROOT=work + "/mn", IMGSTORE_STORE=work + "/store")
live = work + "/mn/img/rootimg"

def run(*command):
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout

def packages(tree):
    return dict(line.split("\t") for line in run("dpkg-query", f"--admindir={tree}/var/lib/dpkg", "-W").splitlines())

def median(*command):
    taken = []
    for _ in range(options.rounds):
        start = time.monotonic(); run(*command); taken.append(time.monotonic() - start)
    return statistics.median(taken)

try:
    os.makedirs(os.path.dirname(live))
    run("cp", "-a", v1, live)
    run(binary, "define", "v", "provmethod=netboot", "rootimgdir=/img", "-q")
    run(binary, "snapshot", "v", "-q")
    run("rsync", "-aHAX", "--delete", v2 + "/", live + "/")
    run(binary, "snapshot", "v", "-q")
    with open(live + "/etc/motd", "a") as file: file.write("changed\n")
    run("find", live + "/usr/share/doc/tzdata", "-type", "f", "-exec", "touch", "{}", "+")
    run(binary, "snapshot", "v", "-q")
    before, after = packages(v1), packages(v2)
    wanted = {(n, before.get(n), after.get(n)) for n in before.keys() | after.keys() if before.get(n) != after.get(n)}
    said = json.loads(run(binary, "diff", "v@1", "v@2", "--packages", "--json"))["packages"][0]["changes"]
    same = wanted == {(c["name"], c.get("old"), c.get("new")) for c in said}
    print(f"diff v1 v2 --packages: {len(said)} packages differ, {'as' if same else 'NOT as'} dpkg-query says")
    for name, pair in (("v1 and v2", ("v@1", "v@2")), ("neighbours", ("v@2", "v@3"))):
        for flags in ([], ["--packages"]):
            print(f"diff of {name} {' '.join(flags):11} {median(binary, 'diff', *pair, *flags):.3f} s")
    sys.exit(0 if same else 1)
finally:
    subprocess.run(["rm", "-rf", "--one-file-system", work])
