"""A small management node in a folder, and a store with a history of its images.

Invariants: file contents, modes and times follow from the seed alone; what a snapshot must give back
is recorded from the live tree before the snapshot is taken, never read from the store.
"""

import fcntl
import os
import random
import shutil
import subprocess

from common.program import Program
from common.tree import describe

TIME_NS = 1_700_000_000_000_000_000


class Expected:
    """What one snapshot must give back."""

    def __init__(self, image, number, tree, files):
        self.image = image
        self.number = number
        self.tree = tree  # description of the root tree
        self.files = files  # {path as `cat` takes it: bytes}
        self.id = None

    @property
    def name(self):
        return f"{self.image}@{self.number}"


class Node:
    """The folders of one node: `root` with its images, `store`, and expectations by snapshot name."""

    def __init__(self, folder, binary, seed):
        self.folder = folder
        self.root = f"{folder}/root"
        self.store = f"{folder}/store"
        # One processor: what is written in which order then follows from the content alone.
        self.program = Program(binary, self.store, self.root)
        self.random = random.Random(f"node {seed}")
        self.expected = {}
        self.clock = 0
        os.makedirs(f"{self.root}/etc/xcat")

    def tree(self, image):
        return f"{self.root}/install/{image}/rootimg"

    def imgstore(self, *arguments, codes=(0,)):
        return self.program.must(*arguments, codes=codes, prefix=("taskset", "-c", "0"))

    def define(self, image):
        self.imgstore(
            "define", image, "provmethod=netboot", "osvers=rhels9", "osarch=x86_64",
            f"profile={image}", f"rootimgdir=/install/{image}",
            f"pkglist=/install/lists/{image}.pkglist",
        )  # fmt: skip

    def write(self, path, size_bytes=None, data=None, mode=0o644, pattern=None):
        """Writes a file below root, with a time of its own."""
        path = f"{self.root}/{path}"
        os.makedirs(os.path.dirname(path), exist_ok=True)
        if data is None:
            data = self.random.randbytes(size_bytes) if pattern is None else pattern * size_bytes
        if os.path.lexists(path):
            os.unlink(path)
        with open(path, "wb") as file:
            file.write(data)
        os.chmod(path, mode)
        self.stamp(path)

    def rebuild(self, path):
        """Writes a file again as a new build of a program: a snapshot stores it as a delta."""
        data = bytearray(_bytes(f"{self.root}/{path}"))
        for _ in range(1 + len(data) // 20_000):
            at = self.random.randrange(len(data))
            data[at : at + self.random.randrange(8)] = self.random.randbytes(self.random.randrange(8))
        self.write(path, data=bytes(data))

    def stamp(self, path):
        self.clock += 1_000_000_007
        os.utime(path, ns=(TIME_NS, TIME_NS + self.clock), follow_symlinks=False)

    def stamp_folders(self, image):
        """Gives every folder of a tree a time that the seed decides."""
        for top, _, _ in os.walk(self.tree(image), topdown=False):
            self.stamp(top)

    def snapshot(self, image, *options, codes=(0,)):
        """Takes a snapshot, and records what it must give back."""
        self.stamp_folders(image)
        number = 1 + max((e.number for e in self.expected.values() if e.image == image), default=0)
        expected = Expected(image, number, describe(self.tree(image)), self.contents(image))
        self.imgstore("snapshot", image, "-q", *options, codes=codes)
        self.expected[expected.name] = expected
        return expected

    def contents(self, image):
        """Returns the bytes of every file of an image, by the path that `cat` takes."""
        files = {}
        tree = self.tree(image)
        for top, _, names in os.walk(tree):
            for name in names:
                path = f"{top}/{name}"
                if os.path.isfile(path) and not os.path.islink(path):
                    files[os.path.relpath(path, tree)] = _bytes(path)
        folder = f"{self.root}/install/{image}"
        for name in os.listdir(folder):
            if os.path.isfile(f"{folder}/{name}"):
                files[f"/install/{image}/{name}"] = _bytes(f"{folder}/{name}")
        return files

    def remove_snapshot(self, name):
        self.imgstore("remove", name, "--force", "-q")
        del self.expected[name]


def _bytes(path):
    with open(path, "rb") as file:
        return file.read()


def make_image(node, image, shared=()):
    """Makes an image's live files: all kinds of entries, small and large, sparse and linked."""
    top = f"install/{image}/rootimg"
    write = node.write
    for i in range(12):
        write(f"{top}/etc/conf{i:02}", data=f"{image} setting {i}\n".encode() * (1 + 40 * i))
    for i, data in enumerate(shared):
        write(f"{top}/usr/lib/shared{i}", data=data, mode=0o755)
    write(f"{top}/usr/bin/tool", 9_000, mode=0o4755)
    write(f"{top}/usr/lib/single-chunk", 60_000)
    write(f"{top}/usr/lib/multi-chunk", 700_000)
    write(f"{top}/var/zeros", 300_000, pattern=b"\0")
    write(f"{top}/empty", data=b"")
    tree = node.tree(image)
    with open(f"{tree}/var/sparse", "wb") as file:
        for offset in (0, 204_800, 409_600):
            file.seek(offset)
            file.write(node.random.randbytes(4096))
        file.truncate(500_000)
    node.stamp(f"{tree}/var/sparse")
    os.symlink("conf01", f"{tree}/etc/link")
    os.link(f"{tree}/etc/conf02", f"{tree}/usr/linked")
    os.mkfifo(f"{tree}/var/fifo", 0o600)
    for name, value in (("user.note", b"n" * 300), ("user.empty", b"")):
        os.setxattr(f"{tree}/etc/conf03", name, value)
    os.setxattr(f"{tree}/var", "user.folder", image.encode())
    if os.geteuid() == 0:
        os.chown(f"{tree}/etc/conf04", 4242, 31337)
        os.chown(f"{tree}/etc/link", 99, 98, follow_symlinks=False)
    for name in ("etc/link", "var/fifo", "etc/conf02", "etc/conf03", "etc/conf04"):
        node.stamp(f"{tree}/{name}")
    write(f"install/{image}/kernel", 90_000)
    write(f"install/{image}/initrd-stateless.gz", 50_000)
    write(f"install/lists/{image}.pkglist", data=f"bash\n{image}\n".encode())
    node.define(image)


def pack_like_pigz(node, image):
    """Packs a tree as another program does, so that `snapshot --recipes` finds how."""
    script = "cd \"$1\" && find . | LC_ALL=C sort | cpio -o -H newc --quiet | pigz -n -p 1 >\"$2\""
    packed = f"{node.root}/install/{image}/rootimg.cpio.gz"
    subprocess.run(["sh", "-c", script, "sh", node.tree(image), packed], check=True)
    node.stamp(packed)


def make_history(node):
    """Makes three images with a history that has all kinds of objects, and garbage for `gc`."""
    shared = [node.random.randbytes(n) for n in (3_000, 30_000, 400_000)]
    for image in ("compute", "login", "spare"):
        make_image(node, image, shared)
    top = "install/compute/rootimg"
    node.snapshot("compute", "-m", "first")
    node.snapshot("login")
    node.write(f"{top}/etc/conf05", data=b"changed\n")
    node.write(f"{top}/usr/lib/multi-chunk", 500_000)
    node.rebuild(f"{top}/usr/lib/single-chunk")
    node.rebuild("install/login/rootimg/usr/lib/multi-chunk")
    node.write(f"{top}/garbage-later", 200_000)
    node.snapshot("compute", "--tag", "golden")
    node.snapshot("spare")
    node.write("install/spare/rootimg/usr/lib/only-removed", 150_000)
    node.write("install/spare/rootimg/etc/conf06", data=b"from the removed snapshot\n")
    node.snapshot("spare")
    os.unlink(f"{node.root}/{top}/garbage-later")
    pack_like_pigz(node, "compute")
    node.snapshot("compute", "--recipes")
    node.write(f"{top}/new/file", 20_000)
    for name in ("single-chunk", "multi-chunk"):
        node.rebuild(f"{top}/usr/lib/{name}")
    os.unlink(f"{node.root}/{top}/usr/linked")
    os.setxattr(f"{node.tree('compute')}/new", "user.new", b"1")
    node.snapshot("compute")
    node.write("install/login/rootimg/etc/motd", data=b"welcome\n")
    node.snapshot("login", "--tag", "good")
    node.imgstore("pack", "login", "-q")
    node.imgstore("pin", "compute@1", "-m", "audit")
    node.imgstore("pin", "login@1")
    node.imgstore("tag", "compute@1", "old")
    node.remove_snapshot("spare@2")
    node.remove_snapshot("compute@2")  # pinned and tagged ones go with their tags
    node.imgstore("tag", "compute@3", "golden")
    _doom_one_pack(node)
    # What the live images have, and no snapshot.
    node.write(f"{top}/etc/unsaved", data=b"in no snapshot yet\n")
    node.write(f"{top}/usr/lib/unsaved", 120_000)


def leave_unfinished(node, image="compute", *options):
    """Kills a revert to an image's first snapshot in its midst, so that its journal stays."""
    # strace counts calls by thread: the first counts end the program before there is a journal.
    for count in range(1, 40):
        kill = ("strace", "-f", "-o", "/dev/null", "-e", f"inject=renameat2,renameat,rename:signal=KILL:when={count}")
        node.program.run("revert", f"{image}@1", *(options or ("--in-place",)), "-q", prefix=("taskset", "-c", "0") + kill)
        if os.path.exists(f"{node.store}/journal/{image}"):
            return
    raise RuntimeError("set-up: no revert was left unfinished")


def _doom_one_pack(node):
    """Leaves a pack in doomed/: a collection that must wait for others gives up."""
    with open(f"{node.store}/locks/lease-0", "ab") as first, open(f"{node.store}/locks/lease-1", "ab") as second:
        fcntl.flock(first, fcntl.LOCK_SH)
        fcntl.flock(second, fcntl.LOCK_SH)
        node.imgstore("gc", "--remove-only", "--max-time", "1s", "-q", codes=(0, 1, 3, 4))


def copy_tree(source, target):
    """Copies a folder with everything: links, attributes, owners, times, holes."""
    subprocess.run(["cp", "-a", "--sparse=auto", source, target], check=True)


def remove_tree(path):
    shutil.rmtree(path, ignore_errors=True)
