#!/usr/bin/env python3
"""powercut.py: cuts the power during every operation, on a model, thousands of times.

    powercut.py [--count 10000] [--seed N] [--operation NAME] [--only K] [--jobs J] [--binary PATH]

Each operation is recorded once with strace. Each state follows from the seed, the operation and a
number; a failure is printed with the options that repeat it (up to the order in which the threads
of the recorded command ran). Exit code 1 where a property does not hold, or where the model's end
differs from the real one.
"""

import argparse
import collections
import multiprocessing
import os
import random
import shutil
import sys
import time
import traceback

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))

from common.parallel import run_unordered  # noqa: E402
from common.place import working_folder  # noqa: E402
from common.program import default_binary, has_command  # noqa: E402
from damage.apply import remove  # noqa: E402
from powercut.checks import PROPERTIES, StateCheck  # noqa: E402
from powercut.crash import choose  # noqa: E402
from powercut.ends import finish_case, record  # noqa: E402
from powercut.real import differences, load, make_real, place_name  # noqa: E402
from powercut.replay import Replay  # noqa: E402
from powercut.scenarios import REPAIR, SCENARIOS  # noqa: E402

END_SHARE = 0.12
ATTEMPTS_PER_STATE = 6
SHOWN_ALIKE = 3  # failures of one operation against one property that are printed


class ModelError(Exception):
    """The model does not end where the real operation ended."""


def states_of(scenario, folder, binary, seed, wanted, only, without_sync=False):
    """Returns the case of an operation and its distinct states: [(number, State)]."""
    case, disk, calls, node = record(scenario, folder, binary, seed, without_sync)
    replay = Replay(disk, node.folder)
    # A first pass finds the calls that matter; a second one makes the states at their cuts.
    matter = []
    probe = load(case.pristine)
    trial = Replay(probe, node.folder)
    for i, call in enumerate(calls):
        if trial.apply(call):
            matter.append(i)
    del probe, trial
    attempts = wanted * ATTEMPTS_PER_STATE if only is None else only + 1
    cuts = collections.defaultdict(list)
    for number in range(attempts):
        chooser = random.Random(f"{seed} {scenario.name} {number}")
        end = chooser.random() < END_SHARE
        cut = len(calls) if end else chooser.choice(matter)
        if only is None or number == only:
            cuts[cut].append((number, chooser))
    found, seen = [], set()

    def cut_here(cut, said):
        for number, chooser in cuts.get(cut, ()):
            state = choose(disk, chooser, cut, said, replay.stamped)
            key = state.key()
            if key not in seen:
                seen.add(key)
                found.append((number, state))

    for i, call in enumerate(calls):
        cut_here(i, False)
        replay.apply(call)
    cut_here(len(calls), True)
    wrong = differences(disk, node.folder)
    if wrong:
        raise ModelError(f"{scenario.name}: the model does not end as the operation did: " + "; ".join(wrong[:5]))
    finish_case(case, disk, node)
    found.sort(key=lambda item: item[0])
    return case, calls, matter, found[:wanted]


WORK = {}


def work(index):
    number, state = WORK["states"][index]
    # Each process has a place of its own; the first one is that of the recording.
    folder = f"{WORK['folder']}/{place_name(multiprocessing.current_process()._identity[0])}"
    os.makedirs(folder, exist_ok=True)
    check = StateCheck(WORK["case"], state, folder, f"{WORK['seed']} {number}")
    try:
        failures = check.check()
    except Exception:
        failures = [("broken", "harness: " + traceback.format_exc())]
    if failures and WORK["save"]:
        saved = f"{WORK['save']}/{WORK['case'].scenario.name.replace(' ', '-')}-{number}"
        if not os.path.exists(saved):
            make_real(state, WORK["case"].pristine, saved)
    if not WORK["keep"]:
        for name in os.listdir(folder):
            remove(f"{folder}/{name}")
    return number, state.cut, state.manner, failures


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--count", type=int, default=10_000)
    parser.add_argument("--seed", type=int, default=20261128)
    parser.add_argument("--operation", help="one of the operations alone")
    parser.add_argument("--only", type=int, help="this state alone; its folder is kept and named")
    parser.add_argument("--jobs", type=int, default=os.cpu_count())
    parser.add_argument("--binary", default=None)
    parser.add_argument("--require-repair", action="store_true", help="fail where there is no command `repair`")
    parser.add_argument("--without-sync", action="store_true", help="withhold all syncs from the kernel: failures must be found")
    parser.add_argument("--save", help="an existing folder: the states that fail are made there, too")
    parser.add_argument("--show", type=int, default=40, help="print at most this many failures")
    arguments = parser.parse_args()
    binary = os.path.abspath(arguments.binary or default_binary())
    scenarios = list(SCENARIOS)
    if has_command(binary, "repair"):
        scenarios.append(REPAIR)
    elif arguments.require_repair:
        raise SystemExit("the binary has no command `repair`")
    if arguments.operation:
        scenarios = [s for s in scenarios if s.name == arguments.operation]
        if not scenarios:
            raise SystemExit(f"no operation {arguments.operation}; there are: {', '.join(s.name for s in SCENARIOS)}")
    with working_folder("powercut", keep=arguments.only is not None) as folder:
        return run(arguments, binary, scenarios, folder)


def run(arguments, binary, scenarios, folder):
    begin = time.monotonic()
    total, shown = 0, 0
    broken = collections.Counter()
    models = 0
    print(f"{'operation':18}{'calls':>8}{'changes':>9}{'states':>8}{'failed':>8}")
    for i, scenario in enumerate(scenarios):
        share = -(-(arguments.count - total) // (len(scenarios) - i))
        here = f"{folder}/{scenario.name.replace(' ', '-')}"
        os.makedirs(here)
        try:
            case, calls, matter, states = states_of(
                scenario, here, binary, arguments.seed, share, arguments.only,
                arguments.without_sync)  # fmt: skip
        except ModelError as error:
            print(f"FAILED {error}", flush=True)
            models += 1
            continue
        WORK.update(states=states, case=case, folder=here, seed=arguments.seed,
                    keep=arguments.only is not None, save=arguments.save)
        failed, lines = set(), []
        for number, cut, manner, failures in run_unordered(work, range(len(states)), arguments.jobs):
            for name in {name for name, _ in failures}:
                broken[name] += 1
            seen = set()
            for name, what in failures:
                failed.add(number)
                if name not in seen:
                    seen.add(name)
                    lines.append((number, name, f"FAILED {name}: {scenario.name}, cut before call {cut} of {len(calls)}, {manner}: {what} "
                                  f"[--seed {arguments.seed} --operation '{scenario.name}' --only {number}]"))  # fmt: skip
        print(f"{scenario.name:18}{len(calls):8}{len(matter):9}{len(states):8}{len(failed):8}", flush=True)
        printed = collections.Counter()
        for _, name, line in sorted(lines):
            printed[name] += 1
            if shown < arguments.show and printed[name] <= SHOWN_ALIKE:
                print(line, flush=True)
                shown += 1
        total += len(states)
        if arguments.only is None:
            shutil.rmtree(here, ignore_errors=True)
    print(f"{total} distinct states in {time.monotonic() - begin:.0f} s, seed {arguments.seed}")
    for name, meaning in PROPERTIES.items():
        print(f"  {broken[name]:5} against: {meaning}")
    return 1 if broken or models else 0


if __name__ == "__main__":
    sys.exit(main())
