#!/usr/bin/env python3
"""damage.py: damages a small store in thousands of ways, and holds every command against it.

    damage.py [--count 5000] [--seed N] [--only K] [--target NAME] [--kind NAME] [--jobs J] [--binary PATH]

Each damage follows from the seed and its index alone; a failure is printed with the options that
repeat it. Exit code 1 where a property does not hold.
"""

import argparse
import collections
import json
import os
import sys
import time
import traceback

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))

from common.node import Expected, Node, leave_unfinished, make_history  # noqa: E402
from common.parallel import run_unordered  # noqa: E402
from common.place import working_folder  # noqa: E402
from common.program import default_binary, has_command  # noqa: E402
from common.tree import describe, listing  # noqa: E402
from damage.apply import CONTENT_KINDS, ODD_KINDS, remove  # noqa: E402
from damage.checks import PROPERTIES, DamageCheck  # noqa: E402
from damage.kinds import NAME_KINDS, TARGETS, Damage  # noqa: E402

SHOWN_ALIKE = 3  # failures of one target against one property that are printed


class Pristine:
    """The undamaged store, and what it must give back. Read only."""

    def __init__(self, node, unfinished):
        self.unfinished = unfinished
        self.live_before = describe(node.tree("compute"))
        if unfinished:
            leave_unfinished(node)
            for name in set(_names(node)) - set(node.expected):  # what the revert kept first
                image, number = name.split("@")
                node.expected[name] = Expected(image, int(number), self.live_before, {})
        self.binary = node.program.binary
        self.store, self.root = node.store, node.root
        self.expected = node.expected
        listed = _names(node)
        for name, snapshot in listed.items():
            self.expected[name].id = snapshot["id"]
        # Snapshots that something else in the store names: their loss can be noticed.
        self.named = {n for n, s in listed.items() if s["tags"] or s.get("pinned")}
        # Later snapshots that name an earlier one as their parent.
        self.children = {
            n: {other for other, o in listed.items() if o.get("parent") == s["id"]} for n, s in listed.items()
        }
        self.numbers = {  # every number that a file in refs/ shows, removed ones too
            f"{image}@{int(file[:10])}"
            for image in os.listdir(f"{node.store}/refs")
            for file in os.listdir(f"{node.store}/refs/{image}")
            if file[:10].isdigit()
        }
        for name in self.expected:
            image, number = name.split("@")
            if os.path.exists(f"{node.store}/pins/{image}/{int(number):010}"):
                self.named.add(name)
        self.live = describe(node.tree("compute"), leftovers=False)
        # Images whose live state is exactly a snapshot: `repair` must bring that one back.
        self.live_names = {
            name
            for name, expected in self.expected.items()
            if expected.tree == describe(node.tree(expected.image)) and expected.image == "login"
        }
        assert self.live_names, "no live tree equals a snapshot"


def _names(node):
    """Returns {name: what `log` says of it} of all snapshots."""
    listed = {}
    for image in ("compute", "login", "spare"):
        for snapshot in json.loads(node.imgstore("log", image, "--json").output)["snapshots"]:
            listed[snapshot["name"]] = snapshot
    return listed


def work(task):
    variants, seed, index, options, folder = task
    begin = time.monotonic()
    pristine = variants[index % len(variants)]
    damage = Damage(pristine.store, seed, index, options["target"], options["kind"])
    mine = f"{folder}/worker-{os.getpid()}"
    os.makedirs(mine, exist_ok=True)
    check = DamageCheck(pristine, damage, mine, options["repair"])
    try:
        failures = list(check.check())
    except Exception:  # what the harness itself did not expect is a failure, too
        failures = [("crash", "harness: " + traceback.format_exc())]
    for name in os.listdir(mine):
        if options["only"] is None:
            remove(f"{mine}/{name}")
    seconds = time.monotonic() - begin
    return index, damage.target, damage.kind, f"{damage} {check.note}", failures, check.codes, seconds


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--count", type=int, default=5000)
    parser.add_argument("--seed", type=int, default=20261128)
    parser.add_argument("--only", type=int, help="this damage alone; its folder is kept and named")
    parser.add_argument("--first", type=int, default=0, help="the index of the first damage")
    parser.add_argument("--target", choices=sorted(TARGETS))
    parser.add_argument("--kind", choices=sorted(CONTENT_KINDS + NAME_KINDS + ODD_KINDS))
    parser.add_argument("--jobs", type=int, default=os.cpu_count())
    parser.add_argument("--binary", default=None)
    parser.add_argument("--require-repair", action="store_true", help="fail where there is no command `repair`")
    parser.add_argument("--show", type=int, default=40, help="print at most this many failures")
    arguments = parser.parse_args()
    binary = os.path.abspath(arguments.binary or default_binary())
    repair = has_command(binary, "repair")
    if arguments.require_repair and not repair:
        raise SystemExit("the binary has no command `repair`")
    with working_folder("damage", keep=arguments.only is not None) as folder:
        return run(arguments, binary, repair, folder)


def run(arguments, binary, repair, folder):
    begin = time.monotonic()
    variants = []
    for name in ("whole", "unfinished"):
        node = Node(f"{folder}/{name}", binary, arguments.seed)
        make_history(node)
        variants.append(Pristine(node, unfinished=name == "unfinished"))
    # One damage in five is one of a store in which a revert was cut short.
    variants = [variants[0]] * 4 + [variants[1]]
    before = state(variants)
    indexes = [arguments.only] if arguments.only is not None else range(
        arguments.first, arguments.first + arguments.count)  # fmt: skip
    options = {"target": arguments.target, "kind": arguments.kind, "repair": repair, "only": arguments.only}
    tasks = ((variants, arguments.seed, i, options, folder) for i in indexes)
    with_repair = "" if repair else "; the binary has no command `repair`"
    print(f"damaging a store of {len(variants[0].expected)} snapshots, seed {arguments.seed}{with_repair}", flush=True)
    table = collections.Counter()
    codes = collections.Counter()
    broken, alike = collections.Counter(), collections.Counter()
    shown, done, slowest = 0, 0, (0, "")
    for index, target, kind, text, failures, exits, seconds in run_unordered(work, tasks, arguments.jobs):
        done += 1
        table[target, kind] += 1
        for command, code in exits.items():
            codes[command, code] += 1
        slowest = max(slowest, (seconds, text))
        for name in {name for name, _ in failures}:
            broken[name] += 1
        seen = set()
        for name, what in failures:
            if name in seen and arguments.only is None:
                continue
            seen.add(name)
            alike[name, target] += 1
            few = shown < arguments.show and alike[name, target] <= SHOWN_ALIKE
            if few or arguments.only is not None:
                what = what if arguments.only is not None else " ".join(what.split())[:240]
                only = f" --target {arguments.target}" if arguments.target else ""
                only += f" --kind {arguments.kind}" if arguments.kind else ""
                print(f"FAILED {name}: {text}: {what} [--seed {arguments.seed} --only {index}{only}]", flush=True)
                shown += 1
        if done % 500 == 0:
            print(f"{done} damages after {time.monotonic() - begin:.0f} s", flush=True)
    unchanged = before == state(variants)
    report(table, codes, slowest)
    print(f"{done} damages in {time.monotonic() - begin:.0f} s, seed {arguments.seed}")
    for name, meaning in PROPERTIES.items():
        if name.startswith("repair") and not repair:
            continue
        print(f"  {broken[name]:5} against: {meaning}")
    if not unchanged:
        print("FAILED: the pristine store or its live tree was changed")
    return 1 if broken or not unchanged else 0


def state(variants):
    return [(listing(v.store), describe(v.root)) for v in (variants[0], variants[-1])]


def report(table, codes, slowest):
    kinds = sorted({kind for _, kind in table})
    targets = [t for t in TARGETS if any(t == target for target, _ in table)]
    print(f"{'':10}" + "".join(f"{t:>8}" for t in targets) + f"{'all':>8}")
    for kind in kinds:
        row = [table[target, kind] for target in targets]
        print(f"{kind:10}" + "".join(f"{n:8}" for n in row) + f"{sum(row):8}")
    row = [sum(n for (t, _), n in table.items() if t == target) for target in targets]
    print(f"{'all':10}" + "".join(f"{n:8}" for n in row) + f"{sum(row):8}")
    for command in sorted({c for c, _ in codes}):
        exits = sorted((code, n) for (c, code), n in codes.items() if c == command)
        print(f"{command}: " + ", ".join(f"exit {code} {n} times" for code, n in exits))
    print(f"slowest: {slowest[0]:.1f} s, {slowest[1]}")


if __name__ == "__main__":
    sys.exit(main())
