"""Holds a state that a power cut left against what docs/guarantees.md promises."""

import json
import os
import random

from common.program import EXIT_CODES, Program
from common.tree import describe, difference
from common.view import View
from damage.apply import remove
from powercut.real import make_real

PROPERTIES = {
    "broken": "every command that must work does: no crash, no hang, no failure",
    "verify": "`verify --deep` finds nothing wrong, at once and after the next `gc`",
    "lost": "snapshots that were committed before the cut are there, and restore equal",
    "not durable": "what was said to be done is there",
    "mixed": "the live image is the old one or the new one, or has a journal",
    "resume": "`resume` leads to the new image, and `resume --back` to the old one, exactly",
    "next": "the next snapshot is the live tree",
    "left": "nothing else is left over",
}
STORE_NAMES = {
    "format", "packs", "doomed", "refs", "tags", "pins", "signatures", "journal", "builds", "tmp",
    "locks",
    "index.sqlite",
    "index.stamp", "cache", "xcat", "quarantine",
}  # fmt: skip


class Case:
    """What is known of one operation: the ends that its states may have."""

    def __init__(self, scenario, binary, pristine, expected):
        self.scenario, self.binary, self.pristine = scenario, binary, pristine
        self.expected = expected  # {name: Expected} before the operation
        self.names = {}  # {name: id} before
        self.new_names = {}  # {name: id} after
        self.old = self.new = None  # views
        self.calls = []
        self.outputs = {}  # {name in out/: the contents that it may have}
        # Paths below /install whose time no command sets: it is that of the moment.
        self.untimed = frozenset()

    def must_have(self, said):
        """The snapshots that have to be there: {name: id}."""
        names = dict(self.names)
        if self.scenario.name == "forget":
            names = {n: i for n, i in names.items() if n in self.new_names}
        return {**names, **self.new_names} if said else names


class StateCheck:
    def __init__(self, case, state, folder, seed):
        self.case, self.state, self.folder = case, state, folder
        self.random = random.Random(f"check {seed}")
        self.failures = []

    def fail(self, name, text):
        assert name in PROPERTIES
        self.failures.append((name, " ".join(str(text).split())[:400]))

    def run(self, program, *arguments):
        result = program.run(*arguments)
        if result.timed_out or result.code not in EXIT_CODES:
            self.fail("broken", result)
        return result

    def real(self):
        """Makes the state a folder. It has to be this one: journals of SQLite name it."""
        folder = f"{self.folder}/state"
        remove(folder)
        make_real(self.state, self.case.pristine, folder)
        return Program(self.case.binary, f"{folder}/store", f"{folder}/root")

    def view(self, program):
        # Files that are being written are looked for by `leftovers`.
        return View(program.environment["IMGSTORE_ROOT"]).without(self.case.untimed, b".imgstore-part")

    # MARK: the check

    def check(self):
        program = self.real()
        store = program.environment["IMGSTORE_STORE"]
        if self.case.scenario.name == "repair" and not self.state.said:
            # It begins damaged; a second repair completes it.
            again = self.run(program, "repair", "-q")
            if again.code != 0:
                self.fail("broken", again)
        self.verified(program)
        self.history(program)
        self.output(program)
        if os.path.isdir(f"{store}/journal") and os.listdir(f"{store}/journal"):
            self.resumable(program)
        else:
            view = self.view(program)
            if self.state.said and view != self.case.new:
                self.fail("not durable", f"the live image: {self.case.new.difference(view)}")
            elif view not in (self.case.old, self.case.new):
                self.fail("mixed", f"from the new one: {self.case.new.difference(view)}; from the old one: {self.case.old.difference(view)}")
        self.next(program)
        return self.failures

    def verified(self, program):
        result = self.run(program, "verify", "--deep", "--json")
        needs_store = self.state.said or self.case.names
        if result.code == 0 or (result.code == 1 and not needs_store):
            return
        self.fail("verify", result)

    def listed(self, program):
        """Returns {name: id} as `log` has it."""
        names = {}
        for image in ("img", "other"):
            result = self.run(program, "log", image, "--json")
            if result.code == 0:
                for snapshot in json.loads(result.output)["snapshots"]:
                    names[snapshot["name"]] = snapshot["id"]
        return names

    def history(self, program):
        names = self.listed(program)
        for name, identity in self.case.must_have(self.state.said).items():
            is_there = names.get(name) == identity if identity else name in names
            if not is_there and name.split("@")[0] in ("img", "other"):
                kind = "lost" if name in self.case.names else "not durable"
                self.fail(kind, f"{name} is {names.get(name)}")
        known = sorted(n for n in names if n in self.case.expected and names[n] == self.case.names.get(n))
        if known:
            name = self.random.choice(known)
            out = f"{self.folder}/out"
            remove(out)
            result = self.run(program, "restore", name, out, "-q")
            if result.code != 0:
                self.fail("lost", result)
            elif text := difference(self.case.expected[name].tree, describe(out)):
                self.fail("lost", f"{name}: {text}")

    def output(self, program):
        """An export replaces its file wholly or not at all."""
        out = os.path.dirname(program.environment["IMGSTORE_ROOT"]) + "/out"
        for name, allowed in self.case.outputs.items():
            try:
                with open(f"{out}/{name}", "rb") as file:
                    data = file.read()
            except FileNotFoundError:
                data = None
            if self.state.said and data != allowed[-1]:
                self.fail("not durable", f"{name} is not the new file")
            elif data not in allowed:
                self.fail("mixed", f"{name} is neither the old nor the new file")

    def resumable(self, program):
        if self.state.said:
            self.fail("not durable", "there is a journal after the command said that it was done")
        images = os.listdir(program.environment["IMGSTORE_STORE"] + "/journal")
        ways = [((), self.case.new), (("--back",), self.case.old)]
        if self.case.scenario.name in ("resume", "resume back"):
            ways = [((), self.case.forward), (("--back",), self.case.back)]
        elif self.random.random() < 0.1:
            ways.append((("--abandon",), None))
        state = f"{self.folder}/state"
        os.rename(state, f"{self.folder}/aside")
        for way, wanted in reversed(ways):
            # The last one that is tried, forward, goes on with the state itself.
            where = program
            if way:
                self.real()
            else:
                remove(state)
                os.rename(f"{self.folder}/aside", state)
            before = self.view(where) if wanted is not None else None
            result = self.run(where, "resume", images[0], *way, "-q")
            if result.code != 0:
                self.fail("resume", result)
                continue
            if wanted is None:
                continue
            view = self.view(where)
            not_begun = not way and before == self.case.old and view == self.case.old
            if view != wanted and not not_begun:
                self.fail("resume", f"{result}: {wanted.difference(view)}")
            if left := leftovers(os.path.dirname(where.environment["IMGSTORE_ROOT"])):
                self.fail("left", f"after resume {way}: {left}")

    def next(self, program):
        """The next snapshot is the live tree; `gc` works; nothing else is left over."""
        result = self.run(program, "snapshot", "img", "-q", "--json")
        if result.code != 0:
            self.fail("next", result)
            return
        name = json.loads(result.output)["snapshot"]["name"]
        out = f"{self.folder}/out"
        remove(out)
        restored = self.run(program, "restore", name, out, "-q")
        tree = program.environment["IMGSTORE_ROOT"] + "/install/img/rootimg"
        if restored.code != 0:
            self.fail("next", restored)
        elif text := difference(describe(tree), describe(out)):
            self.fail("next", f"{name}: {text}")
        folder = os.path.dirname(program.environment["IMGSTORE_ROOT"])
        if self.case.scenario.name in ("pack", "export"):
            # What a dead one has left is removed by the next one.
            again = self.run(program, *self.case.scenario.arguments(folder))
            if again.code != 0:
                self.fail("next", again)
        collected = self.run(program, "gc", "-q")
        if collected.code != 0:
            self.fail("broken", collected)
        verified = self.run(program, "verify", "--deep", "--json")
        if verified.code != 0:
            self.fail("verify", f"after gc: {verified}")
        if left := leftovers(folder) + store_leftovers(program.environment["IMGSTORE_STORE"]):
            self.fail("left", left)


def leftovers(folder):
    """Returns names that an interrupted command has left around the images and outputs."""
    found = []
    for top in ("root", "out"):
        for path, folders, files in os.walk(f"{folder}/{top}"):
            for name in folders + files:
                if ".imgstore-" in name or name.endswith((".part", ".new")):
                    found.append(os.path.relpath(f"{path}/{name}", folder))
    return found


def store_leftovers(store):
    found = sorted(set(os.listdir(store)) - STORE_NAMES)
    for folder in ("tmp", "doomed"):
        found += [f"{folder}/{name}" for name in os.listdir(f"{store}/{folder}")]
    return found
