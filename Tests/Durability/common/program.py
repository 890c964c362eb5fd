"""Runs the imgstore binary with a time limit and returns what it did.

Invariants: no shell; the output is bytes; a command that exceeds its limit is killed with its whole
process group, and the result says so.
"""

import os
import resource
import signal
import subprocess
import time

TIME_LIMIT_SECONDS = 20
# Done, failed, usage, done with problems, busy, damaged, unfinished (docs/manual.md).
EXIT_CODES = (0, 1, 2, 3, 4, 5, 6)


class Result:
    """What one command did."""

    def __init__(self, arguments, code, output, errors, seconds, timed_out):
        self.arguments = arguments
        self.code = code
        self.output = output
        self.errors = errors
        self.seconds = seconds
        self.timed_out = timed_out

    @property
    def succeeded(self):
        return self.code == 0

    def __str__(self):
        text = (self.errors or self.output).decode(errors="replace").strip()
        return f"{' '.join(self.arguments)}: exit {self.code} in {self.seconds:.1f} s: {text[:400]}"


class Program:
    """The binary under test, bound to a store and a root folder."""

    def __init__(self, binary, store, root, environment=None):
        self.binary = binary
        self.environment = {
            "PATH": os.environ.get("PATH", "/usr/bin:/bin"),
            "TZ": "UTC",
            "LANG": "C.UTF-8",
            "HOME": "/nonexistent",
            "IMGSTORE_STORE": store,
            "IMGSTORE_ROOT": root,
            "IMGSTORE_XCAT_DIR": root + "/etc/xcat",
            **(environment or {}),
        }
        self.cwd = None

    def run(self, *arguments, limit_seconds=TIME_LIMIT_SECONDS, prefix=()):
        """Runs one command to its end, or to the time limit.

        A negative code is the number of the signal that ended the command.
        """
        begin = time.monotonic()
        process = subprocess.Popen(
            [*prefix, self.binary, *arguments],
            env=self.environment,
            cwd=self.cwd,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            start_new_session=True,
        )
        timed_out = False
        try:
            output, errors = process.communicate(timeout=limit_seconds)
        except subprocess.TimeoutExpired:
            timed_out = True
            os.killpg(process.pid, signal.SIGKILL)
            output, errors = process.communicate()
        return Result(
            arguments, process.returncode, output, errors, time.monotonic() - begin, timed_out
        )

    def must(self, *arguments, codes=(0,), prefix=()):
        """Runs a command of the set-up; raises where its exit code is not one of `codes`."""
        result = self.run(*arguments, limit_seconds=120, prefix=prefix)
        if result.code not in codes:
            raise RuntimeError(f"set-up: {result}")
        return result


def has_command(binary, name):
    """Returns whether the binary lists a subcommand of this name."""
    text = subprocess.run([binary, "--help"], stdout=subprocess.PIPE, check=False).stdout.decode()
    return any(line.startswith(f"  {name} ") or line == f"  {name}" for line in text.splitlines())


def children_peak_bytes():
    """Returns the largest resident size of any child that this process has waited for."""
    return resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss * 1024


def default_binary():
    """Returns IMGSTORE_BINARY, or a build of this package: release first, then debug."""
    named = os.environ.get("IMGSTORE_BINARY")
    if named:
        return named
    top = os.path.dirname(os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__)))))
    for build in (".build-static/release", ".build/release", ".build/debug"):
        path = f"{top}/{build}/imgstore"
        if os.access(path, os.X_OK):
            return path
    raise SystemExit("no imgstore binary: build it, or set IMGSTORE_BINARY")
