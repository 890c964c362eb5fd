#!/usr/bin/env python3
"""Import of a 1 GB bundle against `tar xzf` into a temporary folder and moving the files.

usage: import.py IMGSTORE TREES... [--work DIR] [--rounds N] [--json FILE]

A root image of 1 GB is packed from TREES (find | cpio | pigz -1, cut at 1,000,000,000 bytes) and bundled as
imgexport does (tar czf). A second bundle has a tenth of it replaced, in 20 places. Measured, alternately:

  tar    tar xzf BUNDLE into a temporary folder, mv of the files to their places   (what imgimport does at best)
  cold   imgstore import of the first bundle into an empty store
  known  imgstore import of the second bundle into a store that holds the first: nine tenths are known

Prints the medians of seconds, the ratios to tar, and the peak memory.
"""
import argparse
import os
import random
import shutil
import subprocess
import sys

import bundles
import harness
from report import Mark, Report, Row

SIZE = 1_000_000_000


def pack(trees, path, size):
    """Writes the first bytes of a packed image of some trees."""
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
    """Copies a file, with a tenth of it replaced in 20 places."""
    rng = random.Random(1)
    piece = size // 20
    with open(source, "rb") as a, open(target, "wb") as b:
        while data := a.read(piece):
            b.write(rng.randbytes(len(data) // 10) + data[len(data) // 10:])


def measure(binary, work, rounds):
    pair = [f"{work}/1.tgz", f"{work}/2.tgz"]
    for number, bundle in enumerate(pair, 1):
        bundles.create(f"{work}/bundle", f"{work}/r{number}", bundle)

    def known():
        bundles.import_into(binary, work, pair[0])
        return bundles.import_into(binary, work, pair[1], "-f", "other", is_empty=False)
    return harness.take_turns({
        "cold": lambda: bundles.import_into(binary, work, pair[0]), "tar": lambda: bundles.unpack(work, pair[0]),
        "known": known, "tar of the second": lambda: bundles.unpack(work, pair[1])}, rounds)


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("imgstore", type=os.path.realpath)
    parser.add_argument("trees", nargs="+")
    parser.add_argument("--work", default="/var/tmp/imgstore-import-bench")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--json")
    args = parser.parse_args()
    work = os.path.abspath(args.work)
    shutil.rmtree(work, ignore_errors=True)
    os.makedirs(work)
    try:
        pack(args.trees, f"{work}/r1", SIZE)
        change(f"{work}/r1", f"{work}/r2", SIZE)
        report = Report(work, None, ["tar", "pigz"], args.imgstore)
        runs = measure(args.imgstore, work, args.rounds)
        tar = harness.seconds(runs["tar"] + runs["tar of the second"])
        for name, key, mark in (("import of 1 GB into an empty store", "cold", None),
                                ("import of 1 GB, nine tenths known", "known", Mark(ratio=3))):
            report.add(Row(name, "s", {"imgstore": harness.seconds(runs[key]), "tar xzf, mv": tar}, mark=mark,
                           rounds=args.rounds))
        report.add(Row("peak memory", "MB", {"imgstore": harness.peak(runs["cold"] + runs["known"])}))
        report.write(args.json)
    except harness.CommandFailed as error:
        sys.exit(str(error))
    finally:
        shutil.rmtree(work)


if __name__ == "__main__":
    main()
