"""What can happen to the files of a store: a damage is a value, decided by a seed and an index.

Invariants: a damage is applied to a clone in which the damaged names are the clone's own, so the
pristine store never changes; `undo` puts the pristine names back, whatever became of the damaged ones.
"""

import os
import random

from damage.apply import CONTENT_KINDS, ODD_KINDS, Application

# Target classes: (weight, folder or file of the store).
TARGETS = {
    "pack": 26,
    "ref": 18,
    "index": 9,
    "stamp": 5,
    "cache": 7,
    "tag": 6,
    "pin": 5,
    "format": 3,
    "lock": 5,
    "journal": 5,
    "tmp": 4,
    "doomed": 4,
    "folder": 5,
}
NAME_KINDS = ("delete", "swap", "duplicate", "move", "foreign")
FOLDERS = ("packs", "refs", "refs/*", "tags", "tags/*", "pins", "pins/*", "signatures", "journal", "tmp", "locks", "doomed", "cache")
PATTERNS = {
    "pack": ("packs",),
    "ref": ("refs",),
    "cache": ("cache",),
    "tag": ("tags",),
    "pin": ("pins",),
    "lock": ("locks",),
    "journal": ("journal",),
    "tmp": ("tmp",),
    "doomed": ("doomed",),
    "index": ("index.sqlite",),
    "stamp": ("index.stamp",),
    "format": ("format",),
}
# Damage that leaves a regular file, or none.
CONTENT = ("flip", "truncate", "zero", "noise", "insert", "append", "delete")
# What carries meaning; everything else "may be deleted while no command runs" (docs/format.md).
MEANINGFUL = {"pack", "ref", "tag", "pin", "format", "journal", "doomed", "folder"}


def files_of(store, target):
    """Returns the paths of a target's files, relative to the store, oldest first."""
    found = []
    for top in PATTERNS[target]:
        path = f"{store}/{top}"
        if os.path.isfile(path):
            found.append(top)
        for folder, _, names in os.walk(path):
            found += [os.path.relpath(f"{folder}/{name}", store) for name in names]
    if target in ("pack", "doomed"):
        # Their names are hashes: the order in which they were written is the same in every run.
        found.sort(key=lambda p: (os.lstat(f"{store}/{p}").st_mtime_ns, p))
    else:
        found.sort()
    return found


class Damage(Application):
    """One damage: `target`, `kind`, the paths that it concerns, and the choices it makes."""

    def __init__(self, store, seed, index, only=None, kind=None):
        """Chooses a damage; with `only` of this target, and with `kind` of this kind where it has it."""
        self.random = random.Random(f"damage {seed} {index}")
        self.index = index
        choose = self.random
        while True:
            self.target = choose.choices(list(TARGETS), list(TARGETS.values()))[0]
            if only and self.target != only:
                continue
            if self.target == "folder":
                self._choose_folder(store)
                return
            files = files_of(store, self.target)
            if files or self.target in ("tmp", "journal"):
                break
        kinds = CONTENT_KINDS + CONTENT_KINDS + NAME_KINDS + ODD_KINDS
        if not files:
            self.kind = choose.choice(("foreign", "fifo", "directory", "symlink"))
            self.path = f"{PATTERNS[self.target][0]}/{self._foreign_name(store)}"
            self.others = []
            return
        self.kind = kind or choose.choice(kinds)
        self.path = choose.choice(files)
        self.others = [f for f in files if f != self.path]
        if self.target in ("pack", "doomed"):
            self.others += files_of(store, "doomed" if self.target == "pack" else "pack")
        if self.kind == "swap" and not self.others:
            self.kind = "flip"
        if self.kind == "swap":
            near = [o for o in self.others if os.path.dirname(o) == os.path.dirname(self.path)]
            self.path2 = choose.choice(near if near and choose.random() < 0.7 else self.others)
        elif self.kind in ("duplicate", "move"):
            self.path2 = self._new_name()
        elif self.kind == "foreign":
            self.path = f"{os.path.dirname(self.path)}/{self._foreign_name(store)}".lstrip("/")
        elif self.kind in ODD_KINDS and choose.random() < 0.3 and "/" in self.path:
            self.path = f"{os.path.dirname(self.path)}/{self._foreign_name(store)}"  # a new name

    def _choose_folder(self, store):
        choose = self.random
        pattern = choose.choice(FOLDERS)
        if pattern.endswith("/*"):
            top = pattern[:-2]
            names = sorted(os.listdir(f"{store}/{top}"))
            self.path = f"{top}/{choose.choice(names)}"
            self.others = [f"{top}/{n}" for n in names if f"{top}/{n}" != self.path]
        else:
            self.path, self.others = pattern, []
        self.kind = choose.choice(("delete", "empty", "file", "fifo", "symlink", "swap", "foreign"))
        if self.kind == "swap":
            if self.others:
                self.path2 = choose.choice(self.others)
            else:
                self.kind = "delete"

    def _foreign_name(self, store):
        choose = self.random
        names = {
            "pack": ["%064x" % choose.getrandbits(256), "junk", ".hidden", "%064X" % choose.getrandbits(256)],
            "ref": ["0000000009", "0000000002", "9999999999", "0000000004.removed", "junk", "1", ".ref"],
            "tag": ["other", "7", ".tag", "GOLDEN"],
            "pin": ["0000000002", "0000000009", "junk"],
        }
        names["doomed"] = names["pack"]
        return choose.choice(names.get(self.target, ["junk", "%064x" % choose.getrandbits(256), ".x", "image-x"]))

    def _new_name(self):
        choose = self.random
        folder, name = os.path.split(self.path)
        if self.target in ("pack", "doomed"):
            name = "%064x" % choose.getrandbits(256)
            folder = choose.choice((folder, folder, "doomed", "packs"))
        elif self.target == "ref":
            name = choose.choice(("0000000005", "0000000002", "0000000006", name))
            folder = choose.choice((folder, "refs/login", "refs/spare", "refs/new"))
        elif self.target in ("tag", "pin"):
            name = choose.choice(("other", "0000000004", name))
            folder = choose.choice((folder, f"{self.target}s/spare"))
        else:
            name += choose.choice(("~", ".new", "2"))
        path = os.path.join(folder, name)
        return path if path != self.path else path + "~"

    @property
    def names(self):
        """The names of the store that differ after the damage."""
        return [self.path] + ([self.path2] if self.kind in ("swap", "duplicate", "move") else [])

    @property
    def losing_names(self):
        """Whether a ref lost its name: nothing in the store can say what such a ref reached."""
        where = self.path.split("/")[0]
        return where == "refs" and (
            self.kind in ("delete", "empty", "move", "swap", "duplicate", "foreign", "symlink", "file", "fifo")
            if self.target == "folder"
            else self.kind in ("delete", "move", "swap")
        )

    def __str__(self):
        return f"{self.index}: {self.kind} {' '.join(self.names)}"
