#!/usr/bin/env python3
"""Measures reverts beside rsync and find, in one run on one machine.

    revert.py BINARY CORPUS [--rounds N] [--only standby] [--json FILE]

CORPUS holds real root trees v1 and v2 (v1 after an update); they are copied, not changed. Needs rsync, find, and 8 GB of
free disk beside CORPUS. The contestants take turns; each timing is the median of N rounds (3); all files are in the
page cache and the disk is synced before each. "Bytes that differ" are those of the files whose content the other tree
has not at the same path; "written" is what the command says, and what the kernel charged its process with.

The rows of standby trees need root, mkfs.xfs and mkfs.btrfs: each file system is in a file beside CORPUS (12 GB, sparse) on
a loop device. Without them, the rows are left out and named. --only standby prints these rows only.
"""
import argparse
import hashlib
import json
import os
import subprocess
import sys
import tempfile
import time

import harness
from harness import CommandFailed, Site
from report import Mark, Report, Row

MOUNT = 'PATH=$PATH:/sbin:/usr/sbin; truncate -s 12G "$1.img" && "mkfs.$2" -q "$1.img" && mount -o loop "$1.img" "$1"'


def is_regular(status):
    return (status.st_mode & 0o170000) == 0o100000


def digest(path):
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").digest()


def differing(new, old):
    """Bytes of files of `new` whose content `old` has not at that path; links count once."""
    total, seen = 0, set()
    for path in (os.path.join(top, name) for top, _, names in os.walk(new) for name in names):
        status = os.lstat(path)
        if not is_regular(status) or (status.st_dev, status.st_ino) in seen:
            continue
        if status.st_nlink > 1:
            seen.add((status.st_dev, status.st_ino))
        peer = os.path.join(old, os.path.relpath(path, new))
        if os.path.lexists(peer):
            other = os.lstat(peer)
            if is_regular(other) and other.st_size == status.st_size and digest(path) == digest(peer):
                continue
        total += status.st_size
    return total


class Reverts:
    """An image with snapshots of v1 (v@1) and v2 (v@2); its live tree is v2."""

    def __init__(self, options, directory, report):
        self.options, self.report = options, report
        self.trees = [os.path.realpath(os.path.join(options.corpus, name)) for name in ("v1", "v2")]
        self.site = Site(options.binary, directory)

    def prepare(self):
        self.site.define(self.trees[0])
        self.site.imgstore("snapshot", "v")
        harness.update(self.site.live, self.trees[1])
        self.site.imgstore("snapshot", "v")

    def revert(self, number, *flags, warm=(), compared="-aHAXn"):
        """Reverts to v@1 or v@2; returns the run and its document, after rsync found no difference."""
        usage = self.site.imgstore("revert", f"v@{number}", "--json", *flags, warm=warm)
        if compared and (count := harness.differences(self.trees[number - 1], self.site.live, compared)):
            raise CommandFailed(f"{count} differences after the revert to v@{number}")
        return usage, json.loads(usage.output)

    def add(self, name, runs, **more):
        values = {key: harness.seconds(each) for key, each in runs.items()}
        self.report.add(Row(name, "s", values, rounds=self.options.rounds, **more))


def standby(options, work, report, kind):
    """Adds the rows of standby trees on a file system of this kind."""
    path = os.path.join(work, kind)
    os.makedirs(path)
    mounted = subprocess.run(["bash", "-c", MOUNT, "mount", path, kind], capture_output=True, text=True, check=False)
    if mounted.returncode != 0:
        return print(f"standby trees on {kind}: left out: {mounted.stderr.strip().splitlines()[-1:]}", flush=True)
    try:
        reverts = Reverts(options, path, report)
        # The store is on a file system of its own, as on most management nodes.
        site = reverts.site
        site.store = site.env["IMGSTORE_STORE"] = work + "/store-" + kind
        reverts.prepare()
        created = site.imgstore("standby", "v@1").seconds
        times, finds = [], []

        def exchange(number):
            # XFS has access lists as attributes of its own, and cp and rsync do not copy them from others exactly.
            usage, document = reverts.revert(number, compared="-aHn")
            times.append(usage)
            if not document["trees"][0]["standby"]:
                raise CommandFailed(f"{kind}: the revert to v@{number} used no standby tree")
        for _ in range(options.rounds):
            walk = ["find", site.live, "-printf", "%s %T@ %C@ %i\n"]
            harness.run(*walk)
            finds.append(harness.run(*walk))
            exchange(1)
            site.imgstore("status", "v")
            exchange(2)
        tree = json.loads(site.imgstore("standby", "--list", "--json").output)["trees"][0]
        site.imgstore("standby", "--remove", "v")
        swap = site.imgstore("revert", "v@1", "--swap").seconds
        report.add(Row(f"v2 to v1 and back by standby tree, {kind}", "s",
                       {"imgstore": harness.seconds(times), "by swap": swap, "find": harness.seconds(finds)}, floor="find",
                       mark=Mark(limit=0.2), rounds=2 * options.rounds))
        print(f"{'the standby tree, ' + kind:44} best exchange {min(run.seconds for run in times):.3f} s; made and verified in "
              f"{created:.1f} s; {tree['exclusiveBytes'] / 1e6:.0f} MB of its own, {tree['contentBytes'] / 1e6:.0f} MB apparent",
              flush=True)
    finally:
        subprocess.run(["umount", path], check=False)
        harness.remove(path + ".img")


def update(reverts, work):
    """Adds the rows of the revert of v2 to v1, and of what it writes."""
    (v1, v2), site = reverts.trees, reverts.site
    source, other = work + "/source", work + "/other"
    harness.copy(v1, source)
    harness.copy(v2, other)
    reverts.prepare()
    outcome = {}

    def ours():
        usage, document = reverts.revert(1, warm=[site.live, source, other])
        outcome.update(document, charged=usage.written_bytes)
        reverts.revert(2, compared=None)
        return usage

    def swap():
        usage, _ = reverts.revert(1, "--swap", warm=[site.live])
        reverts.revert(2, compared=None)
        return usage

    def rsync():
        harness.update(other, v2)
        return harness.run("rsync", "-a", "--delete", source + "/", other + "/", warm=[site.live, source, other])
    runs = harness.take_turns({"imgstore": ours, "rsync -a --delete": rsync, "by --swap": swap}, reverts.options.rounds)
    tree, written, differ = outcome["trees"][0], outcome["report"]["writtenBytes"], differing(v1, v2)
    print(f"v2 to v1: {tree['method']} ({tree['why']}); rsync --checksum finds 0 differences from pristine v1, each time; "
          f"{outcome['charged'] / 1e6:.1f} MB charged", flush=True)
    swaps = runs.pop("by --swap")
    reverts.add("revert of v2 to v1", runs, mark=Mark(ratio=5))
    reverts.report.add(Row("bytes written by it", "MB", {"imgstore": written / 1e6, "bytes that differ": differ / 1e6},
                           floor="bytes that differ", mark=Mark(floors=1.05)))
    reverts.add("the same by --swap", {"imgstore": swaps})
    harness.remove(source, other)


def one_in_a_hundred(tree):
    """The relative paths of some regular files of a tree."""
    paths = sorted(os.path.join(top, name) for top, _, names in os.walk(tree) for name in names)
    return [os.path.relpath(path, tree) for path in paths if os.path.isfile(path) and not os.path.islink(path)][::100]


def write_into(tree, names, mode):
    """Appends to files ("ab"), or overwrites their beginning ("r+b")."""
    for name in names:
        with open(os.path.join(tree, name), mode) as file:
            file.write(os.urandom(16))


def changed_files(reverts):
    """Adds the rows of files that were changed, in a snapshot or not."""
    site = reverts.site
    reverts.revert(1)
    chosen = one_in_a_hundred(site.live)
    # Appending is what logs and hurried administrators do; overwriting leaves nothing of a small file in place.
    for how, mode in (("appended to", "ab"), ("overwritten", "r+b")):
        for is_kept in (False, True):
            finds, runs = [], []
            for _ in range(reverts.options.rounds):
                write_into(site.live, chosen, mode)
                if is_kept:
                    site.imgstore("snapshot", "v")
                time.sleep(0.1)
                finds.append(harness.run("find", site.live, "-printf", "%s %T@ %C@ %i\n", warm=[site.live]))
                runs.append(reverts.revert(1, warm=[site.live])[0])
            name = f"{len(chosen)} files {how}, " + ("in a snapshot" if is_kept else "kept first")
            reverts.add(name, {"imgstore": runs, "find": finds}, floor="find", mark=Mark(floors=3))


def main():
    parser = argparse.ArgumentParser(usage=__doc__)
    parser.add_argument("binary")
    parser.add_argument("corpus")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--only", choices=["standby"])
    parser.add_argument("--json")
    options = parser.parse_args()
    work = tempfile.mkdtemp(prefix="imgstore-bench-", dir=os.path.dirname(os.path.realpath(options.corpus)))
    try:
        report = Report(work, None, ["rsync", "find"], options.binary)
        print(f"work folder {work}; {os.cpu_count()} processors; {options.rounds} rounds", flush=True)
        for kind in ("xfs", "btrfs"):
            standby(options, work, report, kind)
        if not options.only:
            reverts = Reverts(options, work + "/reverts", report)
            update(reverts, work)
            changed_files(reverts)
        report.write(options.json)
    except CommandFailed as error:
        sys.exit(str(error))
    finally:
        harness.remove(work)


if __name__ == "__main__":
    main()
