#!/usr/bin/env python3
"""faults.py: lets system calls of every operation fail, and holds what is left to the promises.

    faults.py [--count 1000] [--seed N] [--operation NAME] [--only K] [--jobs J] [--binary PATH]

strace makes one kind of call fail in its N-th use by a thread, once or from then on. Which call, error
and number follow from the seed. Exit code 1 where a property does not hold.
"""

import argparse
import collections
import os
import random
import re
import shutil
import subprocess
import sys
import time
import traceback

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))

from common.parallel import run_unordered  # noqa: E402
from common.place import working_folder  # noqa: E402
from common.program import EXIT_CODES, Program, default_binary  # noqa: E402
from damage.apply import remove  # noqa: E402
from powercut.checks import PROPERTIES, StateCheck  # noqa: E402
from powercut.ends import copy_node, finish_case, record  # noqa: E402
from powercut.scenarios import SCENARIOS  # noqa: E402

CALLS = (
    "openat read pread64 write pwrite64 fsync fdatasync syncfs renameat2 linkat unlinkat unlink mkdirat "
    "symlinkat mknodat fchmod fchmodat fchown fchownat utimensat ftruncate fallocate getdents64 newfstatat "
    "statx fstat flock fcntl lseek fsetxattr lsetxattr readlinkat lgetxattr llistxattr"
).split()
ERRORS = ("ENOSPC", "EIO", "EDQUOT", "EMFILE", "EACCES", "EROFS", "ESTALE", "ENOMEM", "EPERM", "EBUSY")
LIMIT_SECONDS = 90


class Fault:
    """One fault: which call of which thread fails how."""

    def __init__(self, seed, operation, number):
        choose = random.Random(f"fault {seed} {operation} {number}")
        self.number = number
        self.call = choose.choice(CALLS)
        self.error = choose.choice(ERRORS)
        self.when = choose.choice((1, 2, 3, choose.randrange(1, 12), choose.randrange(1, 60)))
        self.stays = choose.random() < 0.3

    @property
    def option(self):
        return f"inject={self.call}:error={self.error}:when={self.when}{'+' if self.stays else ''}"


class Left:
    """What an operation with a fault has left: stands for a state of a power cut."""

    def __init__(self, said):
        self.said = said


class FaultCheck(StateCheck):
    def __init__(self, case, fault, folder, seed):
        super().__init__(case, Left(False), folder, f"{seed} {fault.number}")
        self.fault = fault
        self.hit, self.code = False, None

    def real(self):
        folder = f"{self.folder}/state"
        remove(folder)
        copy_node(f"{self.folder}/after", folder)
        return Program(self.case.binary, f"{folder}/store", f"{folder}/root")

    def view(self, program):
        """A packed image tells when it was packed: any whole one that is not the old one is the new one."""
        view = super().view(program)
        path = b"img/rootimg.cpio.gz"
        facts, old, new = (v.files.get(path) for v in (view, self.case.old, self.case.new))
        if self.case.scenario.name == "pack" and facts and facts[5] not in (old[5], new[5]):
            packed = os.fsencode(program.environment["IMGSTORE_ROOT"]) + b"/install/" + path
            if subprocess.run(["gzip", "-t", packed], stderr=subprocess.DEVNULL, check=False).returncode == 0:
                view.files[path] = facts[:5] + (new[5],) + facts[6:]
        return view

    def check(self):
        folder, log = f"{self.folder}/state", f"{self.folder}/log"
        remove(folder)
        copy_node(self.case.pristine, folder)
        program = Program(self.case.binary, f"{folder}/store", f"{folder}/root")
        prefix = ("strace", "-f", "-o", log, "-e", f"trace={self.fault.call}", "-e", self.fault.option)
        result = program.run(*self.case.scenario.arguments(folder), prefix=prefix, limit_seconds=LIMIT_SECONDS)
        with open(log, "rb") as file:
            self.hit = b"(INJECTED)" in file.read()
        self.code = result.code
        if result.timed_out or result.code not in EXIT_CODES:
            self.fail("broken", result)
            return self.failures
        self.state.said = result.code == 0
        remove(f"{self.folder}/after")
        os.rename(folder, f"{self.folder}/after")
        if result.code == 3:
            # Done in part, and said so: the store must be whole, and the next snapshot work.
            program = self.real()
            self.verified(program)
            self.history(program)
            if not unfinished(program):
                self.next(program)
            return self.failures
        return super().check()


def unfinished(program):
    journal = program.environment["IMGSTORE_STORE"] + "/journal"
    return os.path.isdir(journal) and os.listdir(journal)


WORK = {}


def work(number):
    folder = f"{WORK['folder']}/worker-{os.getpid()}"
    os.makedirs(folder, exist_ok=True)
    fault = Fault(WORK["seed"], WORK["case"].scenario.name, number)
    check = FaultCheck(WORK["case"], fault, folder, WORK["seed"])
    try:
        failures = check.check()
    except Exception:
        failures = [("broken", "harness: " + traceback.format_exc())]
    if not WORK["keep"]:
        for name in os.listdir(folder):
            remove(f"{folder}/{name}")
    return number, fault.option, check.hit, check.code, failures


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--count", type=int, default=1000)
    parser.add_argument("--seed", type=int, default=20261128)
    parser.add_argument("--operation")
    parser.add_argument("--only", type=int, help="this fault alone; its folder is kept and named")
    parser.add_argument("--jobs", type=int, default=os.cpu_count())
    parser.add_argument("--binary", default=None)
    parser.add_argument("--show", type=int, default=60, help="print at most this many failures")
    arguments = parser.parse_args()
    binary = os.path.abspath(arguments.binary or default_binary())
    scenarios = [s for s in SCENARIOS if arguments.operation in (None, s.name)]
    with working_folder("faults", keep=arguments.only is not None) as folder:
        return run(arguments, binary, scenarios, folder)


def run(arguments, binary, scenarios, folder):
    begin = time.monotonic()
    share = -(-arguments.count // len(scenarios))
    total = hits = shown = 0
    broken = collections.Counter()
    print(f"{'operation':18}{'faults':>8}{'hit':>8}{'exit 0':>8}{'failed':>8}")
    for scenario in scenarios:
        here = f"{folder}/{scenario.name.replace(' ', '-')}"
        os.makedirs(here)
        case, disk, _, node = record(scenario, here, binary, arguments.seed)
        finish_case(case, disk, node, recorded=False)
        # A snapshot has another id each time that it is taken.
        case.new_names = {n: case.names.get(n) for n in case.new_names}
        WORK.update(case=case, folder=here, seed=arguments.seed, keep=arguments.only is not None)
        numbers = range(share) if arguments.only is None else [arguments.only]
        failed, done, hit, alike = set(), 0, 0, collections.Counter()
        for number, option, was_hit, code, failures in run_unordered(work, numbers, arguments.jobs):
            hit += was_hit
            done += code == 0
            for name in {name for name, _ in failures}:
                broken[name] += 1
            for name, what in failures:
                failed.add(number)
                alike[name] += 1
                if shown < arguments.show and alike[name] <= 3:
                    shown += 1
                    what = re.sub(r"\s+", " ", what)[:500]
                    print(f"FAILED {name}: {scenario.name}, {option}, exit {code}: {what} [--seed {arguments.seed} "
                          f"--operation '{scenario.name}' --only {number}]", flush=True)  # fmt: skip
        print(f"{scenario.name:18}{len(numbers):8}{hit:8}{done:8}{len(failed):8}", flush=True)
        total, hits = total + len(numbers), hits + hit
        if arguments.only is None:
            shutil.rmtree(here, ignore_errors=True)
    print(f"{total} faults, of which {hits} were met, in {time.monotonic() - begin:.0f} s, seed {arguments.seed}")
    for name, meaning in PROPERTIES.items():
        print(f"  {broken[name]:5} against: {meaning}")
    return 1 if broken else 0


if __name__ == "__main__":
    sys.exit(main())
