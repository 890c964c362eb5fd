"""Runs and times commands, and prepares what benchmarks compare: trees, image and store, sizes.

1. A timing is the wall clock of one process and its children. Processor time, peak memory and bytes written are what
   the kernel charged it with (wait4).
2. Before each timing, the disk is synced, and the trees that the caller names are in the page cache. Machines that
   give idle memory back to their host would otherwise charge the first contestant with fetching it again.
3. Contestants take turns, and each round begins with another one. The median of a contestant's rounds counts.
4. A command that fails raises `CommandFailed` with its words and the end of its output, and a program that is not
   installed `CommandMissing`.
"""
import dataclasses
import os
import shlex
import statistics
import subprocess
import tempfile
import time


class CommandFailed(Exception):
    """A command that ended with another exit code than zero."""


class CommandMissing(CommandFailed):
    """A program that is not installed."""


@dataclasses.dataclass(frozen=True)
class Usage:
    """What one run of a command took, and what it printed."""
    seconds: float
    processor_seconds: float = 0
    memory_mb: float = 0
    written_bytes: int = 0
    output: str = ""
    command: str = ""


def run(*command, env=None, cwd=None, warm=()):
    """Runs and times a command; `warm` names the trees and files to read first."""
    words = [str(word) for word in command]
    read(*warm)
    os.sync()
    with tempfile.TemporaryFile() as output, tempfile.TemporaryFile() as errors:
        start = time.monotonic()
        try:
            process = subprocess.Popen(words, stdin=subprocess.DEVNULL, stdout=output, stderr=errors, env=env, cwd=cwd)
        except FileNotFoundError as error:
            raise CommandMissing(f"{words[0]}: {error.strerror}") from error
        try:
            _, status, usage = os.wait4(process.pid, 0)
        except BaseException:
            process.kill()
            raise
        seconds = time.monotonic() - start
        process.returncode = os.waitstatus_to_exitcode(status)
        output.seek(0)
        printed = output.read().decode(errors="replace")
        if status != 0:
            errors.seek(0)
            last = (errors.read().decode(errors="replace").strip() or printed.strip())[-1000:]
            kind = CommandMissing if process.returncode == 127 else CommandFailed
            raise kind(f"{shlex.join(words)}: exit code {process.returncode}: {last}")
    return Usage(seconds, usage.ru_utime + usage.ru_stime, usage.ru_maxrss / 1024, usage.ru_oublock * 512, printed,
                 shlex.join(words))


def shell(script, *arguments, env=None, cwd=None, warm=()):
    """Runs and times a script of bash, in which a failing part of a pipeline counts."""
    return run("bash", "-euo", "pipefail", "-c", script, "bash", *arguments, env=env, cwd=cwd, warm=warm)


def read(*paths):
    """Reads files and all files of directories, so that they are in the page cache."""
    for path in paths:
        if os.path.exists(path):
            subprocess.run(["bash", "-c", 'find "$1" -type f -print0 | xargs -0r cat >/dev/null', "bash", path], check=True)


def take_turns(contestants, rounds, failed=None):
    """Lets each contestant run in turn; returns the runs of each.

    A contestant is a function that returns a `Usage`. One that fails takes no further part: its name and the exception
    go to `failed`, or the exception to the caller if there is no `failed`.
    """
    runs = {name: [] for name in contestants}
    names = list(contestants)
    for number in range(rounds):
        for name in names[number % len(names):] + names[:number % len(names)]:
            if name not in runs:
                continue
            try:
                runs[name].append(contestants[name]())
            except (CommandFailed, OSError) as error:
                if failed is None:
                    raise
                failed(name, error)
                del runs[name]
    return runs


def seconds(runs):
    """The median of the seconds of some runs."""
    return statistics.median(run.seconds for run in runs)


def peak(runs):
    """The highest peak memory of some runs, in MB."""
    return max(run.memory_mb for run in runs)


def size(path):
    """The bytes of all files of a directory, or of one file; 0 for what is not there."""
    if not os.path.isdir(path):
        return os.lstat(path).st_size if os.path.lexists(path) else 0
    return sum(os.lstat(os.path.join(top, file)).st_size for top, _, files in os.walk(path) for file in files)


def remove(*paths):
    for path in paths:
        subprocess.run(["rm", "-rf", "--one-file-system", path], check=True)


def copy(source, target):
    """Replaces a directory or a file by a copy with all attributes."""
    remove(target)
    os.makedirs(os.path.dirname(target), exist_ok=True)
    subprocess.run(["cp", "-a", source, target], check=True)


def update(tree, new):
    """Makes a tree like another one, as an update of an operating system does: unchanged files stay."""
    subprocess.run(["rsync", "-aHAX", "--delete", f"{new}/", f"{tree}/"], check=True)


def differences(pristine, tree, flags="-aHAXn"):
    """The number of paths that differ between two trees, in content or attributes."""
    return len(run("rsync", flags, "--delete", "--checksum", "-i", f"{pristine}/", f"{tree}/").output.splitlines())


class Site:
    """An image `v` with a live tree, and its store, in a directory of their own."""

    def __init__(self, binary, directory):
        self.binary, self.directory = os.path.realpath(binary), directory
        self.store, self.live = directory + "/store", directory + "/mn/img/rootimg"
        self.env = dict(os.environ, IMGSTORE_ROOT=directory + "/mn", IMGSTORE_STORE=self.store,
                        IMGSTORE_CONFIG_DIR=directory + "/config")
        os.makedirs(os.path.dirname(self.live), exist_ok=True)

    def imgstore(self, *words, warm=()):
        return run(self.binary, *words, "-q", env=self.env, warm=warm)

    def define(self, tree, *attributes):
        """Copies the tree to its place, and defines the image."""
        copy(tree, self.live)
        self.imgstore("define", "v", "provmethod=netboot", "rootimgdir=/img", *attributes)

    def pack_bytes(self):
        return size(self.store + "/packs")
