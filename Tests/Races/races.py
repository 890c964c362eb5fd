#!/usr/bin/env python3
"""races.py: a local user races root's commands, and must gain nothing.

    races.py [--rounds 500] [--race NAME]... [--binary FILE] [--keep]

The user (uid 65534) exchanges two names, as fast as a C program can, in a folder that he may write, while root runs
a command that uses one of them. After each round the inodes are looked at, by descriptors that were opened before:
no message of the command counts.

Races in a live tree, in a folder of the user's, against `revert --in-place`:
  setuid   the snapshot has a setuid program of root's where the user puts a program of his own, mapped writable
  give     the snapshot has a file of the user's, and root's 0600 file stands beside it

Races against what a command writes, in a folder that everybody can write and that is sticky, as /tmp; the user
exchanges a file or folder of his own and a link to root's:
  pack, extract, extract-folder, restore, restore-folder, export, export-folder, plot
  pack-missing, extract-missing, restore-missing, export-missing, plot-missing: the link leads to a missing file

Exit code 1 where a user gained something. 77 where the races cannot be run here: they need root and a C compiler.
"""

import argparse
import collections
import hashlib
import mmap
import os
import shutil
import signal
import stat
import subprocess
import sys
import tempfile
import time

HERE = os.path.dirname(os.path.abspath(__file__))
FIXTURE = os.path.join(HERE, "..", "Fixtures", "xcat", "mn.tgz")
IMAGE = "rhels8.5.0-x86_64-netboot-compute"
TREE = "install/netboot/rhels8.5.0/x86_64/compute/rootimg"
USER = 65534
LIMIT_SECONDS = 120
SKIPPED = 77


class Skipped(Exception):
    """The races cannot be run here."""


class Failure(Exception):
    """The user gained something, or the harness itself does not work."""


def compile_exchange(folder):
    """Returns the path of the compiled racer."""
    target = os.path.join(folder, "exchange")
    for compiler in filter(None, (os.environ.get("CC"), "cc", "clang", "gcc")):
        if shutil.which(compiler):
            subprocess.run(
                [compiler, "-O2", "-Wall", "-o", target, os.path.join(HERE, "exchange.c")], check=True
            )
            os.chmod(target, 0o755)
            return target
    raise Skipped("there is no C compiler")


class Racer:
    """The C program, running."""

    def __init__(self, program, folder, one, other):
        self.process = subprocess.Popen(
            [program, str(USER), folder, one, other], stdout=subprocess.PIPE, cwd="/"
        )
        if self.process.stdout.read(1) != b".":
            raise Failure("the racer did not begin")

    def end(self):
        """Returns how often it exchanged the names."""
        self.process.send_signal(signal.SIGTERM)
        text = self.process.stdout.read().decode()
        self.process.wait()
        done, failed, error = (int(word) for word in text.split())
        if done == 0:
            raise Failure(f"the racer never exchanged anything: {failed} failures, errno {error}")
        return done


class Watched:
    """An inode, and what it must stay. The descriptor keeps it, whatever its names become."""

    def __init__(self, path, what):
        self.file = os.open(path, os.O_RDONLY)
        self.what = what
        found = os.fstat(self.file)
        self.before = (found.st_uid, found.st_gid, stat.S_IMODE(found.st_mode))
        self.content = self.digest()

    def digest(self):
        if not stat.S_ISREG(os.fstat(self.file).st_mode):
            return sorted(os.listdir(self.file))
        content = hashlib.sha256()
        at = 0
        while block := os.pread(self.file, 1 << 20, at):
            content.update(block)
            at += len(block)
        return content.hexdigest()

    def close(self):
        os.close(self.file)


class UsersFile(Watched):
    """A file of the user's: whatever root does, it is no program that runs as root."""

    def faults(self):
        found = os.fstat(self.file)
        if found.st_uid != USER and found.st_mode & (stat.S_ISUID | stat.S_ISGID):
            yield f"{self.what} has become uid {found.st_uid}, mode {stat.S_IMODE(found.st_mode):o}"
        if found.st_uid == 0 and stat.S_ISREG(found.st_mode):
            yield f"{self.what} has become root's"
        try:
            if os.getxattr(self.file, "security.capability"):
                yield f"{self.what} has capabilities"
        except OSError:
            pass


class UsersOutput(UsersFile):
    """A file or folder of the user's where root's output should be. Root's output is not written into the file, which
    the user could read and change. A folder that root named may be filled."""

    def faults(self):
        yield from super().faults()
        if stat.S_ISREG(os.fstat(self.file).st_mode) and self.digest() != self.content:
            yield f"{self.what} got root's output"


class RootsFile(Watched):
    """A file or folder of root's: it stays as it was."""

    def faults(self):
        found = os.fstat(self.file)
        after = (found.st_uid, found.st_gid, stat.S_IMODE(found.st_mode))
        if after != self.before:
            yield f"{self.what} was uid, gid, mode {self.before} and is {after}"
        if self.digest() != self.content:
            yield f"{self.what} has another content"


class Node:
    """A management node in a folder, with a store."""

    def __init__(self, folder, binary):
        self.folder = folder
        self.binary = binary
        os.chmod(folder, 0o755)
        root = self.path("mn")
        os.makedirs(root + "/etc")
        subprocess.run(["tar", "xzf", FIXTURE, "-C", root], check=True)
        os.rename(root + "/etc-xcat", root + "/etc/xcat")
        self.tree = os.path.join(root, TREE)
        self.codes = collections.Counter()

    def path(self, name):
        return os.path.join(self.folder, name)

    def run(self, *words, expects=(0,)):
        """Runs imgstore. A signal, or a code that is not expected, is a failure."""
        environment = dict(
            os.environ, IMGSTORE_ROOT=self.path("mn"), IMGSTORE_STORE=self.path("store"), TMPDIR=self.folder
        )
        done = subprocess.run(
            [self.binary, *words], env=environment, cwd=self.folder, stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT, timeout=LIMIT_SECONDS, check=False,
        )
        if done.returncode not in expects:
            raise Failure(f"{' '.join(words)} ended with {done.returncode}: {done.stdout.decode(errors='replace')}")
        self.codes[done.returncode] += 1
        return done


def write_as(user, path, content, mode):
    """Writes a new file of a user's."""
    with open(path, "xb") as file:
        file.write(content)
    os.chown(path, user, user)
    os.chmod(path, mode)


def clear(folder):
    for name in os.listdir(folder):
        path = os.path.join(folder, name)
        if os.path.isdir(path) and not os.path.islink(path):
            shutil.rmtree(path)
        else:
            os.unlink(path)


class TreeRace:
    """A race in the live tree."""

    def __init__(self, node):
        self.node = node
        self.home = os.path.join(node.tree, "home/user")
        os.makedirs(self.home, exist_ok=True)
        os.chown(self.home, USER, USER)
        with open("/bin/ls", "rb") as file:
            self.program = file.read()
        self.prepare()
        node.run("snapshot", IMAGE, "-q")

    def round(self, exchange):
        """Returns what the user gained, and how often he exchanged the names."""
        clear(self.home)
        watched = self.stage()
        racer = Racer(exchange, self.home, *self.names)
        try:
            self.node.run("revert", f"{IMAGE}@1", "--in-place", "-q", expects=(0, 1, 3))
        finally:
            count = racer.end()
        gained = [fault for item in watched for fault in item.faults()]
        gained += self.more()
        for item in watched:
            item.close()
        if self.node.run("status", IMAGE, expects=(0, 1, 3)).stdout.find(b"resume") >= 0:
            # The change was cut short: the racer may do that, and it can be taken back.
            self.node.run("resume", IMAGE, "--back", "-q", expects=(0, 1, 3))
            self.node.run("resume", IMAGE, "--abandon", "-q", expects=(0, 1, 2, 3))
        return gained, count

    def more(self):
        return []


class SetuidRace(TreeRace):
    """A user's own running program where the snapshot has a setuid one."""

    names = ("tool", "own")

    def prepare(self):
        write_as(0, os.path.join(self.home, "tool"), self.program, 0o4755)

    def stage(self):
        watched = []
        for name in self.names:
            path = os.path.join(self.home, name)
            # The same content: only owner and mode differ from the snapshot's.
            write_as(USER, path, self.program, 0o755)
            watched.append(UsersFile(path, f"the user's program '{name}'"))
        with open(os.path.join(self.home, "own"), "r+b") as file:
            self.mapped = mmap.mmap(file.fileno(), 0)
        return watched

    def more(self):
        """What lies under the names now, and can be run as root, is what the snapshot has."""
        # The user goes on writing to what he has mapped.
        self.mapped[:4] = b"evil"
        self.mapped.close()
        for name in os.listdir(self.home):
            path = os.path.join(self.home, name)
            found = os.lstat(path)
            if stat.S_ISREG(found.st_mode) and found.st_uid == 0 and found.st_mode & stat.S_ISUID:
                with open(path, "rb") as file:
                    if file.read() != self.program:
                        yield f"'{name}' is setuid root, and not what the snapshot has"


class GiveRace(TreeRace):
    """Root's 0600 file beside a file that the snapshot gives to the user."""

    names = ("p77", "secret")

    def prepare(self):
        write_as(USER, os.path.join(self.home, "p77"), b"his\n", 0o666)
        write_as(0, os.path.join(self.home, "secret"), b"root's\n", 0o600)

    def stage(self):
        write_as(USER, os.path.join(self.home, "p77"), b"his\n", 0o600)
        secret = os.path.join(self.home, "secret")
        write_as(0, secret, b"root's\n", 0o600)
        return [RootsFile(secret, "root's file")]


class OutputRace:
    """A race for the name that a command writes to. The user has a file or a folder of his, and a link to root's."""

    kind = "file"

    def __init__(self, node):
        self.node = node
        self.shared = node.path("tmp")
        if not os.path.isdir(self.shared):
            os.mkdir(self.shared)
            os.chmod(self.shared, 0o1777)
            os.mkdir(node.path("victim.d"))
            os.mkdir(node.path("empty.d"))
            write_as(0, node.path("victim.d/keep"), b"keep\n", 0o600)
            write_as(0, node.path("victim"), b"root:x:0:0\n", 0o644)
            node.run("snapshot", IMAGE, "-q")

    def round(self, exchange):
        clear(self.shared)
        target, other = os.path.join(self.shared, self.name), os.path.join(self.shared, "other")
        victim = self.node.path({"file": "victim", "missing": "victim.d/new"}.get(self.kind, self.victim))
        watched = [
            RootsFile(self.node.path(name), f"root's {name}") for name in ("victim", "victim.d", "victim.d/keep", "empty.d")
        ]
        if self.kind == "folder":
            os.mkdir(target)
            os.chown(target, USER, USER)
        else:
            write_as(USER, target, b"", 0o666)
        watched.append(UsersOutput(target, "the user's own folder" if self.kind == "folder" else "the user's own file"))
        os.symlink(victim, other)
        os.chown(other, USER, USER, follow_symlinks=False)
        racer = Racer(exchange, self.shared, self.name, "other")
        try:
            self.node.run(*self.words(target), expects=(0, 1, 3))
        finally:
            count = racer.end()
        gained = [fault for item in watched for fault in item.faults()]
        for item in watched:
            item.close()
        if gained:
            # What root's folders got is not there in the next round.
            clear(self.node.path("empty.d"))
            for name in set(os.listdir(self.node.path("victim.d"))) - {"keep"}:
                path = self.node.path("victim.d/" + name)
                shutil.rmtree(path) if os.path.isdir(path) else os.unlink(path)
        return gained, count


def output(words, name="out", kind="file", victim="victim.d"):
    """A race for what one command writes."""

    class Race(OutputRace):
        def words(self, target):
            return [word.replace("TARGET", target) for word in words]

    Race.name, Race.kind, Race.victim = name, kind, victim
    return Race


OUTPUTS = {
    "pack": (["pack", f"{IMAGE}@1", "--output", "TARGET", "-q"], "golden.cpio.gz"),
    "extract": (["extract", f"{IMAGE}@1:etc/ntp.conf", "TARGET", "--force", "-q"], "ntp.conf"),
    "restore": (["restore", f"{IMAGE}@1:etc/ntp.conf", "TARGET", "-q"], "ntp.conf"),
    "export": (["export", f"{IMAGE}@1", "TARGET", "-q"], "c.tgz"),
    "plot": (["bench", IMAGE, "--form", "cpio.gz", "--no-peers", "--plot", "TARGET", "-q"], "chart.svg"),
}
RACES = {
    "setuid": SetuidRace,
    "give": GiveRace,
    **{name: output(*words) for name, words in OUTPUTS.items()},
    **{f"{name}-missing": output(*words, "missing") for name, words in OUTPUTS.items()},
    "extract-folder": output(["extract", f"{IMAGE}@1:etc", "TARGET", "--force", "-q"], "etc", "folder"),
    "restore-folder": output(["restore", f"{IMAGE}@1:etc", "TARGET", "-q"], "etc", "folder", "empty.d"),
    "export-folder": output(["export", f"{IMAGE}@1", "TARGET/", "-q"], "bundles", "folder"),
}


def self_test(folder):
    """The harness sees what a careless program would do."""
    path = os.path.join(folder, "self-test")
    write_as(USER, path, b"x", 0o755)
    own, output_file = UsersFile(path, "own"), UsersOutput(path, "own")
    os.chown(path, 0, 0)
    os.chmod(path, 0o4755)
    with open(path, "ab") as file:
        file.write(b"y")
    if len(list(own.faults())) != 2 or len(list(output_file.faults())) != 3:
        raise Failure("the harness does not notice a user's program that became setuid root")
    os.unlink(path)
    write_as(0, path, b"x", 0o600)
    roots = RootsFile(path, "root's")
    os.chown(path, USER, USER)
    with open(path, "ab") as file:
        file.write(b"y")
    if len(list(roots.faults())) != 2:
        raise Failure("the harness does not notice that root's file was given away")
    os.unlink(path)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=500)
    parser.add_argument("--race", action="append", choices=sorted(RACES), help="default: all")
    parser.add_argument("--binary", default=os.environ.get("IMGSTORE_BINARY", ".build-static/release/imgstore"))
    parser.add_argument("--keep", action="store_true", help="keep the folder")
    options = parser.parse_args()
    signal.pthread_sigmask(signal.SIG_SETMASK, [])
    if os.geteuid() != 0:
        raise Skipped("they need root, who acts, and a user, who races him")
    binary = os.path.abspath(options.binary)
    if not os.access(binary, os.X_OK):
        raise Failure(f"{binary} is no program")
    folder = tempfile.mkdtemp(prefix="imgstore-races-", dir=os.environ.get("TMPDIR", "/var/tmp"))
    failed = 0
    try:
        os.chmod(folder, 0o755)
        exchange = compile_exchange(folder)
        self_test(folder)
        for name in options.race or RACES:
            os.mkdir(os.path.join(folder, name))
            node = Node(os.path.join(folder, name), binary)
            race = RACES[name](node)
            began, exchanges, lost = time.monotonic(), 0, []
            for number in range(options.rounds):
                gained, count = race.round(exchange)
                exchanges += count
                if gained:
                    lost.append((number, gained))
            failed += len(lost)
            codes = ", ".join(f"{count} x {code}" for code, count in sorted(node.codes.items()))
            print(
                f"{name}: {options.rounds} rounds, {exchanges} exchanges, {len(lost)} lost; exit codes {codes}; "
                f"{time.monotonic() - began:.0f} s", flush=True
            )
            for number, gained in lost[:3]:
                print(f"  round {number}: {'; '.join(gained)}")
            if not options.keep:
                shutil.rmtree(os.path.join(folder, name))
    finally:
        if options.keep:
            print(f"kept: {folder}")
        else:
            shutil.rmtree(folder, ignore_errors=True)
    return 1 if failed else 0


if __name__ == "__main__":
    try:
        sys.exit(main())
    except Skipped as reason:
        print(f"skipped: {reason}")
        sys.exit(SKIPPED)
    except Failure as reason:
        print(f"races.py: {reason}", file=sys.stderr)
        sys.exit(1)
