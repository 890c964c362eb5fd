"""Runs every command over one damaged clone, and holds what they say against the pristine history.

The properties (the keys of PROPERTIES) are what docs/guarantees.md promises of a damaged store.
"""

import json
import os

from common.program import EXIT_CODES, Program, children_peak_bytes
from common.tree import describe, difference
from damage.apply import remove
from damage.clone import clone_store, restamp_damaged
from damage.kinds import CONTENT, MEANINGFUL
from damage.recovery import RecoveryChecks

PROPERTIES = {
    "crash": "no command ends by a signal, or with an exit code that the manual does not list",
    "hang": "no command takes longer than 20 s",
    "memory": "no command needs more than 1 GiB",
    "wrong": "no command gives a wrong byte or a wrong history with exit code 0",
    "silent": "no read fails that `verify --deep` was silent about",
    "lost": "what `verify --deep` did not name can be restored",
    "lost-by-gc": "what could be restored before `gc` can be restored after it",
    "derived": "damage to what may be deleted at any time fails no command",
    "stuck": "an unfinished change is completed, taken back, or abandoned, whatever is damaged",
    "put-back": "with the damaged file put back, everything is there again",
    "repair-worse": "after `repair`, all that could be restored still can",
    "repair-unhealed": "after `repair`, all that the live tree or a second store has can be restored",
    "repair-again": "a second `repair` changes nothing",
}
MEMORY_LIMIT_BYTES = 1 << 30
IMAGES = ("compute", "login", "spare")


class Hang(Exception):
    """A command did not end: what would follow would not, either."""


class Failures(list):
    def add(self, name, text):
        assert name in PROPERTIES, name
        self.append((name, str(text)))


class DamageCheck(RecoveryChecks):
    """One damage, applied to clones of the pristine store and followed by every command."""

    def __init__(self, pristine, damage, folder, repair):
        self.pristine = pristine  # a `Pristine`
        self.damage = damage
        self.folder = folder
        self.repair = repair
        self.failures = Failures()
        self.note = ""
        self.codes = {}
        self.random = damage.random
        self.peak = children_peak_bytes()

    # MARK: running

    def run(self, program, *arguments):
        result = program.run(*arguments)
        if result.timed_out:
            self.failures.add("hang", result)
            raise Hang
        elif result.code not in EXIT_CODES:
            self.failures.add("crash", result)
        peak = children_peak_bytes()
        if peak > max(self.peak, MEMORY_LIMIT_BYTES):
            self.failures.add("memory", f"{peak >> 20} MiB: {result}")
        self.peak = max(peak, self.peak)
        return result

    def clone(self, name):
        """Makes a damaged clone; the damage is the same in each."""
        store = f"{self.folder}/{name}"
        remove(store)
        clone_store(self.pristine.store, store)
        self.random.setstate(self.state)
        self.note = self.damage.apply(store)
        if self.damage.target == "index" and self.damage.kind not in ("fifo", "directory", "symlink"):
            # Rot changes no times: mostly the stamp still fits.
            if self.random.random() < 0.7:
                self.note += " stamped"
                restamp_damaged(self.pristine.store, store)
        return Program(self.pristine.binary, store, self.pristine.root)

    def check(self):
        self.state = self.random.getstate()
        self.restored = set()
        try:
            program = self.clone("store")
            self.reads(program)
            if self.pristine.unfinished:
                self.resumes()
            self.writes(program)
            if self.repair:
                self.repairs()
        except Hang:
            pass
        return self.failures

    # MARK: reading

    def deep(self, program):
        """Returns (exit code, the names of snapshots that it calls damaged, or None for unknown)."""
        result = self.run(program, "verify", "--deep", "--json")
        if result.code == 0:
            return 0, set(), result
        try:
            document = json.loads(result.output)
            affected = {a["what"] for p in document["problems"] for a in p["affects"]}
        except (ValueError, KeyError, TypeError):
            affected = None
        return result.code, affected, result

    def reads(self, program):
        self.plain = self.run(program, "verify")
        self.deep_code, self.affected, self.deep_result = self.deep(program)
        self.codes["verify"], self.codes["deep"] = self.plain.code, self.deep_code
        if self.damage.target not in MEANINGFUL and self.damage.kind in CONTENT and self.deep_code:
            self.failures.add("derived", self.deep_result)
        if self.plain.code and not self.deep_code and self.damage.target in MEANINGFUL:
            self.failures.add("silent", f"deep says nothing, but {self.plain}")
        self.history(program)
        names = list(self.pristine.expected)
        for name in self.random.sample(names, 2):
            expected = self.pristine.expected[name]
            if not expected.files:
                continue
            path = self.random.choice(sorted(expected.files))
            result = self.run(program, "cat", f"{name}:{path}")
            self.judge(name, result, lambda: "" if result.output == expected.files[path] else "other bytes")
        self.restored = {n for n in names if self.restore(program, n)}

    def history(self, program):
        """`log` must list what was there, or `verify --deep` must have found a problem."""
        for image in IMAGES:
            result = self.run(program, "log", image, "--json")
            wanted = {e.name: e.id for e in self.pristine.expected.values() if e.image == image}
            if result.code:
                if not self.deep_code and not wanted.keys() <= self.unnoticeable:
                    self.failures.add("silent", result)
                continue
            try:
                listed = {s["name"]: s["id"] for s in json.loads(result.output)["snapshots"]}
            except (ValueError, KeyError, TypeError):
                self.failures.add("wrong", f"no JSON: {result}")
                continue
            wrong = [n for n in listed if wanted.get(n) not in (None, listed[n])]
            if wrong:
                self.failures.add("wrong", f"log: {wrong} are other snapshots")
            missing = sorted(n for n in wanted.keys() - listed.keys() if n not in self.unnoticeable)
            extra = sorted(listed.keys() - wanted.keys())
            if (missing or extra) and not self.deep_code:
                self.failures.add("silent", f"log of {image}: missing {missing}, extra {extra}")

    @property
    def unnoticeable(self):
        """Snapshots whose ref is gone without a trace: no tag, pin or later snapshot names them, and no
        higher number of the image is left to show the gap."""
        if not self.damage.losing_names:
            return set()
        gone = self.names_without_ref()
        found = set()
        for name in gone - self.pristine.named:
            if self.pristine.children[name] - gone:
                continue
            image, number = name.split("@")
            left = self.pristine.numbers - gone - self.removed_without_mark()
            if not any(n.split("@")[0] == image and int(n.split("@")[1]) > int(number) for n in left):
                found.add(name)
        return found

    def judge(self, name, result, compare):
        """Holds one read against the properties. Returns whether it gave what it should."""
        if result.code == 0:
            text = compare()
            if text:
                self.failures.add("wrong", f"{' '.join(result.arguments)}: {text}")
            return not text
        if self.deep_code == 0:
            if name not in self.unnoticeable:
                self.failures.add("silent", result)
        elif name not in self.unnoticeable and self.affected is not None and name not in self.affected and not self.is_named(name):
            self.failures.add("lost", result)
        return False

    def is_named(self, name):
        """Whether a problem is about the snapshot itself, or about the store as a whole."""
        image, number = name.split("@")
        text = self.deep_result.output.decode(errors="replace")
        return name in text or f"{image}/{int(number):010}" in text

    def restore(self, program, name, counts=True):
        out = f"{self.folder}/out"
        remove(out)
        result = self.run(program, "restore", name, out, "-q")
        expected = self.pristine.expected[name].tree

        def compare():
            return difference(expected, describe(out)) if os.path.isdir(out) else "nothing is there"

        if counts:
            return self.judge(name, result, compare)
        return result.code == 0 and not compare()

    # MARK: writing

    def writes(self, program):
        taken = self.run(program, "snapshot", "compute", "-q", "--json")
        self.codes["snapshot"] = taken.code
        harmless = self.damage.target not in MEANINGFUL and self.damage.kind in CONTENT
        if harmless and taken.code and not self.pristine.unfinished:
            self.failures.add("derived", taken)
        self.run(program, "snapshot", "login", "-q")
        collected = self.run(program, "gc", "-q")
        self.codes["gc"] = collected.code
        # What only a removed snapshot had is stored again, maybe under a name that is taken.
        self.run(program, "snapshot", "spare", "-q")
        for name in sorted(self.restored):
            if not self.restore(program, name, counts=False):
                self.failures.add("lost-by-gc", f"{name} cannot be restored after {collected}")
        if taken.code == 0:
            self.new_snapshot(program, taken)
        if not self.damage.losing_names and not self.invents_number:
            self.puts_back(program)

    @property
    def invents_number(self):
        """Whether the damage added a number to a history: the next snapshot got a higher one, and without
        that file the numbers between are missing for good."""
        return any(
            path.startswith("refs/") and os.path.basename(path)[:10].isdigit()
            and not os.path.lexists(f"{self.pristine.store}/{path}")
            for path in self.damage.names
        )

    def new_snapshot(self, program, taken):
        """A snapshot that was said to be taken is the live tree, or `verify --deep` says that it is not."""
        try:
            name = json.loads(taken.output)["snapshot"]["name"]
        except (ValueError, KeyError, TypeError):
            self.failures.add("wrong", f"no JSON: {taken}")
            return
        out = f"{self.folder}/out"
        remove(out)
        result = self.run(program, "restore", name, out, "-q")
        if result.code == 0:
            text = difference(self.pristine.live, describe(out))
            if text:
                self.failures.add("wrong", f"{name}, just taken: {text}")
        elif self.deep(program)[0] == 0:
            self.failures.add("silent", result)

    def puts_back(self, program):
        self.damage.undo(self.pristine.store, program.environment["IMGSTORE_STORE"])
        code, _, result = self.deep(program)
        if code:
            self.failures.add("put-back", result)
        for name in self.pristine.expected:
            if name not in self.restored and not self.restore(program, name, counts=False):
                self.failures.add("put-back", f"{name} cannot be restored; {result}")
