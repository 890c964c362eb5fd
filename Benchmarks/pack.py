#!/usr/bin/env python3
"""Packs two versions of a tree, cold and warm, beside the programs that it replaces, in turns.

  pack.py [--imgstore BINARY] [--work DIR] [--rounds N] [--squashfs CODEC,…] [--json FILE] V1 [V2]

cpio.gz and the export of the packed image stand beside `find | cpio | pigz -6`, squashfs beside mksquashfs with the same
codec, level and block size; `cp` copies what was made, from the page cache, and syncs it, as ours do.
Prints a table and, with --json FILE, writes the numbers. Needs find, cpio, pigz, cp, mksquashfs, root for owners."""

import argparse
import hashlib
import json
import os
import shutil
import sys

import harness
from harness import CommandFailed, Site
from report import Mark, Report, Row

PIPELINE, COPY = "find, cpio, pigz", "cp, sync"


class Packing:
    """An image with a tree, a kernel, a ramdisk and a snapshot; and its packed forms by imgstore and by the peers."""

    def __init__(self, binary, directory, tree):
        self.work, self.site = directory, Site(binary, directory)
        self.image = os.path.dirname(self.site.live)
        self.packed, self.peer = self.image + "/rootimg.cpio.gz", directory + "/pigz.gz"
        self.squashfs, self.peer_squashfs = self.image + "/rootimg.sfs", directory + "/peer.sfs"
        self.bundle = directory + "/ours.tgz"
        self.site.define(tree, "imagetype=linux", "osname=Linux", "profile=p", "osvers=rhels9", "osarch=x86_64",
                         "pkglist=/img/pkglist")
        for name, count in (("kernel", 8_000_000), ("initrd-stateless.gz", 20_000_000), ("pkglist", 10)):
            with open(f"{self.image}/{name}", "wb") as file:
                file.write(os.urandom(count))
        self.site.imgstore("snapshot", "v")

    def pack(self, *options):
        return self.site.imgstore("pack", "v", "--nosyncfiles", "--json", *options, warm=[self.site.live])

    def forget(self):
        """Empties the cache of segments."""
        shutil.rmtree(self.site.store + "/cache/segments", ignore_errors=True)

    def pack_cold(self, *options):
        self.forget()
        return self.pack(*options)

    def pack_squashfs(self, codec):
        return self.pack("-m", "squashfs", "-c", codec)

    def pigz(self):
        return harness.shell('find . -xdev | cpio -o -H newc --quiet | pigz -6 >"$1" && sync "$1"', self.peer,
                             cwd=self.site.live, warm=[self.site.live])

    def mksquashfs(self, codec):
        harness.remove(self.peer_squashfs)
        return harness.shell('mksquashfs "$1" "$2" -comp "$3" -quiet -no-progress -xattrs && sync "$2"', self.site.live,
                             self.peer_squashfs, codec, warm=[self.site.live])

    def export(self):
        harness.remove(self.bundle)
        return self.site.imgstore("export", "v", "--to", self.bundle)

    def copy(self, path):
        """Copies what was packed, and syncs the copy: no program can be faster."""
        usage = harness.shell('cp "$1" "$2" && sync "$2"', path, self.work + "/copy", warm=[path])
        os.remove(self.work + "/copy")
        return usage

    def update(self, tree):
        """Makes the tree like another one, and takes a snapshot."""
        harness.update(self.site.live, tree)
        self.site.imgstore("snapshot", "v")


def digest(path):
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def new_share(old, new):
    """The share of a tree's bytes, each content counted once, that the other tree does not have."""
    def contents(tree):
        paths = (os.path.join(top, name) for top, _, names in os.walk(tree) for name in names)
        return {digest(path): os.path.getsize(path) for path in paths
                if os.path.isfile(path) and not os.path.islink(path)}
    before, after = contents(old), contents(new)
    return sum(size for key, size in after.items() if key not in before) / sum(after.values())


class Measurement:
    """Packs and adds the rows."""

    def __init__(self, packing, report, rounds):
        self.packing, self.report, self.rounds = packing, report, rounds

    def add(self, name, runs, rounds=None, **more):
        seconds = {key: harness.seconds(each) for key, each in runs.items()}
        return self.report.add(Row(name, "s", seconds, rounds=rounds or self.rounds, **more))

    def cpio(self):
        packing, digests = self.packing, set()

        def hashed(pack):
            usage = pack()
            digests.add(digest(packing.packed))
            return usage
        runs = harness.take_turns({PIPELINE: packing.pigz, "cold": lambda: hashed(packing.pack_cold)}, self.rounds)
        warm = harness.take_turns({"warm": lambda: hashed(packing.pack), COPY: lambda: packing.copy(packing.packed)},
                                  self.rounds)
        packing.export()
        export = harness.take_turns({"warm": packing.export, COPY: lambda: packing.copy(packing.bundle)}, self.rounds)
        harness.run("gzip", "-t", packing.packed)
        if len(digests) != 1:
            raise CommandFailed("cold and warm packed images differ")
        pigz = {PIPELINE: runs[PIPELINE]}
        self.add("cpio.gz, nothing in the cache", {"imgstore": runs["cold"]} | pigz, mark=Mark(ratio=2.5))
        for name, found in (("cpio.gz, all in the cache", warm), ("export, all in the cache", export)):
            self.add(name, {"imgstore": found["warm"], COPY: found[COPY]} | pigz, floor=COPY, mark=Mark(ratio=25, floors=2))
        self.report.add(Row("size of the cpio.gz", "MB", {"imgstore": harness.size(packing.packed) / 1e6,
                                                          PIPELINE: harness.size(packing.peer) / 1e6}))

    def squashfs(self, codec):
        packing = self.packing

        def cold():
            packing.forget()
            return packing.pack_squashfs(codec)
        # A warm pack follows its cold one.
        runs = harness.take_turns({"mksquashfs": lambda: packing.mksquashfs(codec), "cold": cold}, self.rounds)
        warm = harness.take_turns({"warm": lambda: packing.pack_squashfs(codec)}, self.rounds)
        harness.run("unsquashfs", "-stat", packing.squashfs)
        for name, found, mark in (("cold", runs["cold"], Mark(ratio=1)), ("warm", warm["warm"], None)):
            self.add(f"squashfs {codec}, {name}", {"imgstore": found, "mksquashfs": runs["mksquashfs"]}, mark=mark)
        self.report.add(Row(f"size of squashfs {codec}", "MB", {"imgstore": harness.size(packing.squashfs) / 1e6,
                                                                "mksquashfs": harness.size(packing.peer_squashfs) / 1e6},
                            mark=Mark(ratio=0.98)))

    def second(self, trees, codecs):
        """Packs v2 with the cache that packing v1 left, in every form."""
        packing = self.packing
        packing.pack()
        for codec in codecs:
            packing.pack_squashfs(codec)
        packing.update(trees[1])
        os.remove(packing.packed)
        update = packing.pack()
        outcome, copying = json.loads(update.output), packing.copy(packing.packed)
        updates = {codec: {"imgstore": [packing.pack_squashfs(codec)], "mksquashfs": [packing.mksquashfs(codec)]}
                   for codec in codecs}
        cold = packing.pack_cold()
        share, fresh = new_share(*trees), outcome["plainBytes"] - outcome["cachedBytes"]
        limit = 1.5 * share * cold.seconds + copying.seconds
        print(f"v2 after v1: new bytes {share:.1%}, compressed {fresh / outcome['plainBytes']:.1%}", flush=True)
        self.add("cpio.gz of v2 after v1", {"imgstore": [update], "cold": [cold], COPY: [copying]}, rounds=1, floor=COPY,
                 mark=Mark(limit=round(limit, 2)))
        for codec, runs in updates.items():
            self.add(f"squashfs {codec} of v2 after v1", runs, rounds=1, mark=Mark(ratio=3))


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument('--imgstore', default='.build/release/imgstore')
    parser.add_argument('--work', default='/var/tmp/imgstore-pack-bench')
    parser.add_argument('--rounds', type=int, default=3)
    parser.add_argument('--squashfs', default='gzip,zstd', help="codecs, or '' for none")
    parser.add_argument('--json')
    parser.add_argument('trees', nargs='+')
    args = parser.parse_args()
    work, trees = os.path.abspath(args.work), [os.path.abspath(tree) for tree in args.trees[:2]]
    codecs = [codec for codec in args.squashfs.split(',') if codec]
    if os.path.exists(work):
        sys.exit(f'{work}: is there already; name a new folder with --work')
    try:
        report = Report(os.path.dirname(work), None, ["pigz", "cpio", "mksquashfs"], os.path.abspath(args.imgstore))
        measurement = Measurement(Packing(args.imgstore, work, trees[0]), report, args.rounds)
        measurement.cpio()
        for codec in codecs:
            measurement.squashfs(codec)
        if len(trees) > 1:
            measurement.second(trees, codecs)
        report.write(args.json)
    except CommandFailed as error:
        sys.exit(str(error))
    finally:
        harness.remove(work)


if __name__ == "__main__":
    main()
