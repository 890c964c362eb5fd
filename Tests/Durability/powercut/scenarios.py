"""The operations that a power cut interrupts: how each begins, and its command.

Invariant: a scenario's folder holds everything that its command may change: `root`, `store`, `out`.
"""

import os

from common.node import Node, leave_unfinished, pack_like_pigz, remove_tree


class Scenario:
    """One operation: `prepare` makes the state before it, `command` is what is recorded."""

    def __init__(self, name, prepare, *command):
        self.name, self.prepare, self.command = name, prepare, command

    def arguments(self, folder):
        return [a.replace("{out}", f"{folder}/out") for a in self.command]


def live_one(node):
    """Makes the first live state of two images."""
    top = "install/img/rootimg"
    tree = node.tree("img")
    for i in range(6):
        node.write(f"{top}/etc/conf{i}", data=f"setting {i}\n".encode() * (1 + 50 * i))
    node.write(f"{top}/etc/motd", data=b"one\n")
    node.write(f"{top}/usr/bin/tool", 9_000, mode=0o4755)
    node.write(f"{top}/usr/lib/large", 300_000)
    node.write(f"{top}/old/file", 3_000)
    node.write(f"{top}/var/attributed", 100)
    os.setxattr(f"{tree}/var/attributed", "user.note", b"one")
    with open(f"{tree}/var/sparse", "wb") as file:
        file.truncate(40_960)
        file.seek(8192)
        file.write(b"data" * 1024)
    os.symlink("conf1", f"{tree}/etc/link")
    os.link(f"{tree}/etc/conf2", f"{tree}/usr/linked")
    os.mkfifo(f"{tree}/var/fifo", 0o600)
    if os.geteuid() == 0:
        os.chown(f"{tree}/etc/conf3", 4242, 31337)
    for name in ("var/attributed", "var/sparse", "etc/link", "etc/conf2", "etc/conf3", "var/fifo"):
        node.stamp(f"{tree}/{name}")
    node.write("install/img/kernel", 20_000)
    node.write("install/img/initrd-stateless.gz", 10_000)
    node.write("install/img/rootimg.cpio.gz", 15_000)
    node.write("install/lists/img.pkglist", data=b"bash\n")
    node.write("install/other/rootimg/etc/motd", data=b"other\n")
    node.write("install/other/rootimg/data", 70_000)
    node.write("install/other/kernel", 5_000)
    node.write("install/lists/other.pkglist", data=b"bash\n")
    for image in ("img", "other"):
        node.define(image)
        node.stamp_folders(image)
    os.makedirs(f"{node.folder}/out")
    with open(f"{node.folder}/out/bundle.tgz", "wb") as file:
        file.write(b"the bundle of last week")


def live_two(node):
    """Makes the second live state of `img`: something of every kind of change."""
    top, tree = "install/img/rootimg", node.tree("img")
    node.write(f"{top}/etc/motd", data=b"two\n")
    node.write(f"{top}/usr/lib/large", 250_000)
    os.unlink(f"{tree}/old/file")
    os.rmdir(f"{tree}/old")
    node.write(f"{top}/new/file", 2_000)
    os.unlink(f"{tree}/etc/link")
    os.symlink("conf4", f"{tree}/etc/link")
    os.chmod(f"{tree}/etc/conf1", 0o600)
    os.setxattr(f"{tree}/var/attributed", "user.note", b"two")
    os.unlink(f"{tree}/var/fifo")
    node.write(f"{top}/var/fifo", data=b"no fifo\n")
    os.unlink(f"{tree}/usr/linked")
    for name in ("etc/link", "etc/conf1", "var/attributed", "etc/conf2"):
        node.stamp(f"{tree}/{name}")
    node.write("install/img/kernel", 21_000)
    node.write("install/img/initrd-statelite.gz", 8_000)
    os.unlink(f"{node.root}/install/img/initrd-stateless.gz")
    node.write("install/lists/img.pkglist", data=b"bash\ntwo\n")
    node.imgstore("define", "img", "osvers=rhels10", "description=two")
    node.stamp_folders("img")


def without_store(node):
    live_one(node)
    remove_tree(node.store)  # `define` has made one


def with_first(node):
    """One snapshot of each image, and a second state that is in none."""
    live_one(node)
    node.snapshot("img")
    node.snapshot("other")
    live_two(node)


def with_bundle(node):
    live_one(node)
    node.snapshot("img")
    node.snapshot("other")
    node.imgstore("export", "img", "--complete", f"{node.folder}/out/import.tgz", "-q")
    live_two(node)


def with_revert(node):
    with_first(node)
    node.snapshot("img")
    node.imgstore("revert", "img@1", "-q")


def with_unfinished(node):
    with_first(node)
    leave_unfinished(node, "img")


def with_history(node):
    """Seven snapshots of which some are tagged or pinned, and packs that are dead in part."""
    with_first(node)
    for i in range(6):
        node.write("install/img/rootimg/usr/lib/growing", 90_000 + i)
        node.write(f"install/img/rootimg/etc/extra{i}", data=b"extra %d\n" % i)
        node.snapshot("img")
    node.imgstore("tag", "img@2", "golden")
    node.imgstore("pin", "img@3")


def with_garbage(node):
    with_history(node)
    node.remove_snapshot("img@4")
    node.remove_snapshot("img@5")


def with_packed(node):
    with_first(node)
    pack_like_pigz(node, "img")
    node.write("install/img/rootimg.cpio.gz", 30_000)  # by somebody else: it is kept before it is replaced


def with_damage(node):
    """A pack whose objects the live tree still has is damaged."""
    with_first(node)
    node.snapshot("img")
    pack = sorted(os.listdir(f"{node.store}/packs"), key=lambda n: os.stat(f"{node.store}/packs/{n}").st_mtime_ns)[-1]
    with open(f"{node.store}/packs/{pack}", "r+b") as file:
        file.seek(2000)
        file.write(b"damage")


# In order of how many states each has: the last ones make up for what the first ones lack.
SCENARIOS = (
    Scenario("forget", with_history, "forget", "img", "--keep-last", "2", "-q"),
    Scenario("export", with_first, "export", "img@1", "{out}/bundle.tgz", "-q"),
    Scenario("snapshot", with_first, "snapshot", "img", "-q", "--tag", "new"),
    Scenario("gc", with_garbage, "gc", "-q"),
    Scenario("pack", with_packed, "pack", "img", "-q"),
    Scenario("resume back", with_unfinished, "resume", "img", "--back", "-q"),
    Scenario("optimize", with_garbage, "optimize", "-q"),
    Scenario("first snapshot", without_store, "snapshot", "img", "-q"),
    Scenario("resume", with_unfinished, "resume", "img", "-q"),
    Scenario("revert in place", with_first, "revert", "img@1", "--in-place", "-q"),
    Scenario("undo", with_revert, "undo", "img", "-q"),
    Scenario("revert by swap", with_first, "revert", "img@1", "--swap", "-q"),
    Scenario("import", with_bundle, "import", "{out}/import.tgz", "-f", "q", "--allow-privileged", "-q"),
    Scenario("import over", with_bundle, "import", "{out}/import.tgz", "--force", "--allow-privileged", "-q"),
    Scenario("copy", with_first, "copy", "img@1", "new", "-q"),
)
REPAIR = Scenario("repair", with_damage, "repair", "-q")


def prepare(scenario, folder, binary, seed):
    """Makes the state before an operation. Returns its node."""
    node = Node(folder, binary, f"{scenario.name} {seed}")
    scenario.prepare(node)
    return node
