"""Rows of the table about images: reverts, packed images, bundles and a push, beside the programs that do them today."""
import os
import time

import bundles
import harness
from pack import COPY, PIPELINE
from report import Mark, Row
from revert import one_in_a_hundred, write_into
from ssh_push import Receiver, ssh_server


def revert(table):
    reverts = table.reverts
    (v1, v2), live, other = reverts.trees, reverts.site.live, table.work + "/reverts/other"
    harness.copy(v2, other)

    def ours():
        usage, _ = reverts.revert(1, warm=[live])
        reverts.revert(2, compared=None)
        return usage

    def rsync():
        harness.update(other, v2)
        return harness.run("rsync", "-a", "--delete", v1 + "/", other + "/", warm=[v1, other])
    runs = table.turns("revert", {"imgstore": ours, "rsync -a --delete": rsync}, table.rounds)
    harness.remove(other)
    table.add(Row("revert of v2 to v1", "s", table.seconds(runs), mark=Mark(ratio=5), rounds=table.rounds))


def changed_files(table):
    reverts = table.reverts
    v1, live, other = reverts.trees[0], reverts.site.live, table.work + "/reverts/other"
    reverts.revert(1)
    harness.copy(v1, other)
    names = one_in_a_hundred(v1)

    def append(tree):
        write_into(tree, names, "ab")
        time.sleep(0.1)

    def find():
        append(live)
        return harness.run("find", live, "-printf", "%s %T@ %C@ %i\n", warm=[live])

    def ours():
        append(live)
        return reverts.revert(1, warm=[live])[0]

    def rsync():
        append(other)
        return harness.run("rsync", "-a", "--delete", v1 + "/", other + "/", warm=[v1, other])
    contestants = {"imgstore": ours, "rsync -a --delete": rsync, "find": find}
    runs = table.turns("revert of changed files", contestants, table.rounds)
    harness.remove(other)
    table.add(Row(f"revert of {len(names)} appended files, kept first", "s", table.seconds(runs), floor="find",
                  mark=Mark(floors=3), rounds=table.rounds))


def pack(table):
    packing = table.packing
    runs = table.turns("pack", {"imgstore": packing.pack_cold, PIPELINE: packing.pigz}, 1)
    table.add(Row("cpio.gz of v1, nothing in the cache", "s", table.seconds(runs), mark=Mark(ratio=2.5)))
    peer = {name: value for name, value in table.seconds(runs).items() if name == PIPELINE}
    paths = {"imgstore": packing.packed, PIPELINE: packing.peer}
    table.add(Row("size of cpio.gz of v1", "MB", {name: harness.size(paths[name]) / 1e6 for name in runs}))
    runs = table.turns("pack", {"imgstore": packing.pack, COPY: lambda: packing.copy(packing.packed)}, table.rounds)
    table.add(Row("cpio.gz of v1 again", "s", {**table.seconds(runs), **peer}, floor=COPY, mark=Mark(ratio=25, floors=2),
                  rounds=table.rounds))


def bundle(table):
    """The bundle of the peers: the packed image, a kernel and a ramdisk, by tar."""
    packing = table.packing
    if not os.path.exists(packing.peer):
        packing.pigz()
    return bundles.create(packing.work + "/bundle", packing.peer, packing.work + "/tar.tgz")


def export(table):
    packing = table.packing
    packing.pack()
    packing.export()
    runs = table.turns("export", {"tar czf": lambda: bundle(table)}, 1)
    runs |= table.turns("export", {"imgstore": packing.export, COPY: lambda: packing.copy(packing.bundle)}, table.rounds)
    table.add(Row("bundle of the packed image", "s", table.seconds(runs), floor=COPY, mark=Mark(floors=2),
                  rounds=table.rounds))


def import_(table):
    packing = table.packing
    path = packing.work + "/tar.tgz"
    if not os.path.exists(path):
        bundle(table)
    runs = table.turns("import", {"imgstore": lambda: bundles.import_into(table.binary, packing.work, path),
                                  "tar xzf, mv": lambda: bundles.unpack(packing.work, path)}, table.rounds)
    table.add(Row("import of a bundle into an empty store", "s", table.seconds(runs), rounds=table.rounds))


def squashfs(table):
    packing = table.packing
    packing.pack_squashfs("gzip")
    packing.update(table.trees["v2"])
    runs = table.turns("squashfs", {"imgstore": lambda: packing.pack_squashfs("gzip"),
                                    "mksquashfs": lambda: packing.mksquashfs("gzip")}, 1)
    if "imgstore" in runs:
        harness.run("unsquashfs", "-stat", packing.squashfs)
    table.add(Row("squashfs of v2 after that of v1", "s", table.seconds(runs), mark=Mark(ratio=3)))


def push(table):
    with ssh_server(table.work + "/sshd", table.binary) as (port, ssh):
        receiver = Receiver(table.binary, table.work + "/ssh", table.trees, port, ssh)
        runs = table.turns("push over ssh", {
            "imgstore": receiver.push, "restic": receiver.restic, "borg": receiver.borg, "rsync": receiver.rsync,
            "scp": receiver.scp}, table.rounds)
    table.add(Row("push of v2 over ssh", "s", table.seconds(runs), floor="scp", mark=Mark(ratio=3, floors=1.3),
                  rounds=table.rounds))
