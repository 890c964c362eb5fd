"""What follows a damage that was noticed: ending an unfinished change, and `repair`.

A part of `DamageCheck`, which owns the folder, the failures and the pristine history.
"""

import os

from common.node import copy_tree
from common.program import Program
from common.tree import describe, difference, listing
from damage.apply import remove
from damage.kinds import CONTENT

DERIVED = ("index.sqlite", "index.stamp", "index.sqlite.new", "cache", "locks", "tmp")


class RecoveryChecks:
    # MARK: an unfinished change

    def resumes(self):
        """Ends the unfinished revert on a copy of the live image: forward, else back, else abandoned."""
        program = self.clone("resumed")
        journal = f"{program.environment['IMGSTORE_STORE']}/journal/compute"
        has_journal = os.path.lexists(journal)
        root = f"{self.folder}/root"
        remove(root)
        copy_tree(self.pristine.root, root)
        program = Program(self.pristine.binary, program.environment["IMGSTORE_STORE"], root)
        ways = [(), ("--back",)] if self.random.random() < 0.5 else [("--back",), ()]
        for way in ways + [("--abandon",)]:
            result = self.run(program, "resume", "compute", *way, "-q")
            self.codes["resume " + "".join(way)] = result.code
            # Damage that was found on the way does not tell whether the change has ended: the journal does.
            if result.code in (0, 3) or result.code == 5 and not os.path.lexists(journal):
                break
        else:
            # Without its journal nothing tells of a change.
            if not has_journal:
                return
            # Odd files, and a store that is none, may refuse every command.
            if self.damage.kind in CONTENT and self.damage.target not in ("format", "folder"):
                self.failures.add("stuck", result)
            return
        tree = f"{root}/install/compute/rootimg"
        # Exit codes 3 and 5 say that the result differs, and list how.
        if way == ("--abandon",) or result.code != 0 or not os.path.isdir(tree):
            return
        wanted = self.pristine.live_before if way else self.pristine.expected["compute@1"].tree
        text = difference(wanted, describe(tree))
        # A journal that named another target is another change.
        if text and self.damage.target != "journal":
            self.failures.add("wrong", f"{result}: {text}")

    # MARK: repairing

    def repairs(self):
        """`repair` from the live trees, or `repair --from` a second store; each is run twice."""
        options = () if self.damage.index % 2 else ("--from", self.pristine.store)
        program = self.clone("repaired")
        store = program.environment["IMGSTORE_STORE"]
        derived = tuple(os.fsencode(d) for d in DERIVED)
        first = self.run(program, "repair", *options, "-q")
        self.codes["repair" + "".join(options[:1])] = first.code
        before = listing(store, without=derived)
        again = self.run(program, "repair", *options, "-q")
        after = listing(store, without=derived)
        if before != after:
            self.failures.add("repair-again", f"{difference_of_names(before, after)}; {again}")
        healed = {n for n in self.pristine.expected if self.restore_repaired(program, n)}
        if worse := self.restored - healed:
            self.failures.add("repair-worse", f"{sorted(worse)}; {first}")
        wanted = set(self.pristine.expected) if options else self.pristine.live_names
        unhealed = wanted - healed - self.names_without_ref()
        if unhealed:
            self.failures.add("repair-unhealed", f"{sorted(unhealed)} {options}; {first}")

    def restore_repaired(self, program, name):
        out = f"{self.folder}/out"
        remove(out)
        result = self.run(program, "restore", name, out, "-q")
        if result.code != 0:
            return False
        text = difference(self.pristine.expected[name].tree, describe(out))
        if text:
            self.failures.add("wrong", f"after repair: {name}: {text}")
        return not text

    def names_without_ref(self):
        """Snapshots whose own ref is damaged or gone: no tree and no object can stand in for it."""
        if self.damage.target == "format":
            return set(self.pristine.expected)  # the folder is no store
        return {n for n in self.pristine.expected if self.is_damaged(n, "")}

    def removed_without_mark(self):
        """Numbers of removed snapshots of which nothing tells any more."""
        return {n for n in self.pristine.numbers if self.is_damaged(n, ".removed")}

    def is_damaged(self, name, suffix):
        image, number = name.split("@")
        path = f"refs/{image}/{int(number):010}{suffix}"
        return any(path == damaged or path.startswith(damaged + "/") for damaged in self.damage.names)


def difference_of_names(before, after):
    return [os.fsdecode(p) for p in before.keys() | after.keys() if before.get(p) != after.get(p)][:4]
