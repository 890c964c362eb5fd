#!/usr/bin/env python3
"""Times two versions of imgstore beside each other, so that a change shows whether it made a command slower.

    pair.py OLD NEW CORPUS [--rounds N]

OLD and NEW are binaries, CORPUS holds a real root tree v1. Needs 10 GB of free disk beside CORPUS. The versions take
turns, each with a store and a copy of the tree of its own. Prints the medians, and two ratios NEW / OLD: that of the
fastest runs, and the median of those of each turn.
"""
import argparse, os, statistics, subprocess, sys, tempfile, time

parser = argparse.ArgumentParser(usage=__doc__)
parser.add_argument("old"); parser.add_argument("new"); parser.add_argument("corpus")
parser.add_argument("--rounds", type=int, default=3)
options = parser.parse_args()
binaries = [os.path.realpath(options.old), os.path.realpath(options.new)]
tree = os.path.join(os.path.realpath(options.corpus), "v1")
work = tempfile.mkdtemp(prefix="imgstore-pair-", dir=os.path.dirname(tree))

def run(side, *words):
    environment = dict(os.environ, IMGSTORE_STORE=f"{work}/store{side}", IMGSTORE_ROOT=f"{work}/root{side}",
                       IMGSTORE_CONFIG_DIR=f"{work}/config{side}")
    start = time.monotonic()
    result = subprocess.run([binaries[side], *words], env=environment, capture_output=True, text=True)
    seconds = time.monotonic() - start
    if result.returncode != 0:
        sys.exit(f"{binaries[side]} {' '.join(words)}: exit code {result.returncode}\n{result.stderr}")
    return seconds

def shell(script):
    subprocess.run(["bash", "-c", script], check=True)

def pair(name, turns, words, prepare=None, clean=None):
    """Lets both versions run the command in turn."""
    taken = [[], []]
    for turn in range(turns):
        for side in ((0, 1), (1, 0))[turn % 2]:
            if prepare: prepare(side, turn)
            taken[side].append(run(side, *words))
            if clean: clean()
    old, new = taken
    print(f"{name:24} old {statistics.median(old) * 1000:9.1f} ms  new {statistics.median(new) * 1000:9.1f} ms  "
          f"fastest {min(new) / min(old):.3f}  median {statistics.median(b / a for a, b in zip(old, new)):.3f}", flush=True)

def define(side):
    run(side, "define", "img", "provmethod=netboot", "rootimgdir=/img", "profile=p", "osvers=rhels9", "osarch=x86_64")

def wipe(side, _):
    shell(f"rm -rf '{work}/store{side}'"); define(side); os.sync()

def change(side, turn):
    """Appends to one file of usr/bin in twenty."""
    shell(f"cd '{work}/root{side}/img/rootimg'; for f in $(find usr/bin -type f | sort | awk 'NR % 20 == 3'); "
          f"do echo {turn} >>\"$f\"; done; sync; sleep 0.1")

try:
    for side in (0, 1):
        os.makedirs(f"{work}/root{side}/img")
        subprocess.run(["cp", "-a", tree, f"{work}/root{side}/img/rootimg"], check=True)
        define(side)
    os.sync()
    rounds = options.rounds
    pair("first snapshot", rounds, ["snapshot", "img"], wipe)
    pair("snapshot, unchanged", 7 * rounds, ["snapshot", "img"])
    pair("snapshot, changed", 3 * rounds, ["snapshot", "img"], change)
    pair("status", 7 * rounds, ["status", "img"])
    pair("diff", 7 * rounds, ["diff", "img@1", "img@2"])
    pair("revert, dry run", 4 * rounds, ["revert", "img@1", "-n"])
    pair("revert, in place", 3 * rounds, ["revert", "img@1", "--in-place"], change)
    pair("revert, swap", rounds, ["revert", "img@1", "--swap"], lambda side, turn: change(side, turn + 100))
    pair("snapshot after a swap", 1, ["snapshot", "img"])
    pair("pack, cold cache", rounds, ["pack", "img"], lambda side, _: shell(f"rm -rf '{work}/store{side}/cache/'*"))
    pair("pack, warm cache", 2 * rounds, ["pack", "img"])
    pair("verify --deep", rounds, ["verify", "--deep"])
    pair("restore", rounds, ["restore", "img@1", f"{work}/out"], None, lambda: shell(f"rm -rf '{work}/out'"))
    pair("images", 14 * rounds, ["images"])
    pair("log", 14 * rounds, ["log", "img"])
    pair("--version", 14 * rounds, ["--version"])
finally:
    subprocess.run(["rm", "-rf", "--one-file-system", work], check=True)
