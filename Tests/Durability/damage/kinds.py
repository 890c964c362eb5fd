"""What can happen to the files of a store: a damage is a value, decided by a seed and an index.

Invariants: a damage is applied to a clone in which the damaged names are the clone's own, so the
pristine store never changes; `undo` puts the pristine names back, whatever became of the damaged ones.
"""

import os
import random
import shutil
import stat

OVERSIZE_BYTES = (1 << 40, 1 << 32)

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
CONTENT_KINDS = ("flip", "truncate", "zero", "noise", "insert", "append", "oversize")
NAME_KINDS = ("delete", "swap", "duplicate", "move", "foreign")
ODD_KINDS = ("fifo", "directory", "symlink")
FOLDERS = ("packs", "refs", "refs/*", "tags", "tags/*", "pins", "pins/*", "journal", "tmp", "locks", "doomed", "cache")
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


class Damage:
    """One damage: `target`, `kind`, the paths that it concerns, and the choices it makes."""

    def __init__(self, store, seed, index, only=None):
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
        self.kind = choose.choice(kinds)
        self.path = choose.choice(files)
        self.others = [f for f in files if f != self.path]
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

    # MARK: applying

    def apply(self, store):
        """Damages a clone. Returns a few words on what exactly was done."""
        path = f"{store}/{self.path}"
        if self.target == "folder":
            return self._apply_to_folder(store, path)
        if self.kind == "swap":
            other = f"{store}/{self.path2}"
            os.rename(path, path + ".swap")
            os.rename(other, path)
            os.rename(path + ".swap", other)
        elif self.kind in ("duplicate", "move"):
            other = f"{store}/{self.path2}"
            os.makedirs(os.path.dirname(other), exist_ok=True)
            remove(other)  # it may be a link to the pristine one
            shutil.copyfile(path, other)
            if self.kind == "move":
                os.unlink(path)
        elif self.kind == "delete":
            os.unlink(path)
        elif self.kind == "foreign":
            return self._foreign(store, path)
        elif self.kind in ODD_KINDS:
            return make_odd(self.kind, path, store, self.random)
        else:
            return self._change_content(path)
        return ""

    def _foreign(self, store, path):
        if os.path.lexists(path):
            os.unlink(path)
        data = self.random.randbytes(self.random.choice((0, 1, 100, 5000)))
        if self.others and self.random.random() < 0.4:  # a piece of a real one
            with open(f"{store}/{self.random.choice(self.others)}", "rb") as file:
                data = file.read()[: self.random.choice((10, 100, 1 << 30))]
        with open(path, "wb") as file:
            file.write(data)
        return f"{len(data)} bytes"

    def _change_content(self, path):
        choose = self.random
        with open(path, "rb") as file:
            data = bytearray(file.read())
        mode = stat.S_IMODE(os.lstat(path).st_mode)
        os.unlink(path)
        note, grow = "", 0
        size = len(data)
        at = choose.randrange(size) if size else 0
        # The first bytes of a file decide most about it: they are chosen more often than by chance.
        if size and choose.random() < 0.2:
            at = choose.randrange(min(size, 64))
        if self.kind == "flip" and size:
            for _ in range(choose.choice((1, 1, 3))):
                data[at] ^= 1 << choose.randrange(8)
                note += f"byte {at} "
                at = choose.randrange(size)
        elif self.kind == "truncate":
            data = data[: choose.choice((0, at, at, max(0, size - 1)))]
            note = f"to {len(data)} of {size}"
        elif self.kind == "zero":
            end = size if choose.random() < 0.2 else min(size, at + choose.choice((1, 16, 4096)))
            data[at:end] = bytes(end - at)
            note = f"{at}...{end} of {size}"
        elif self.kind == "noise":
            end = min(size, at + choose.choice((4, 64, 4096)))
            data[at:end] = choose.randbytes(end - at)
            note = f"{at}...{end} of {size}"
        elif self.kind == "insert":
            data[at:at] = choose.randbytes(choose.choice((1, 8, 4096)))
            note = f"at {at}"
        elif self.kind in ("append", "flip"):
            data += choose.choice((b"\0", choose.randbytes(100), bytes(5000)))
            note = f"{len(data) - size} bytes"
        elif self.kind == "oversize":
            grow = choose.choice(OVERSIZE_BYTES)
            note = f"to {grow}"
        with open(path, "wb") as file:
            file.write(data)
            if grow:
                file.truncate(grow)
        os.chmod(path, mode)
        return note

    def _apply_to_folder(self, store, path):
        if self.kind == "swap":
            other = f"{store}/{self.path2}"
            os.rename(path, path + ".swap")
            os.rename(other, path)
            os.rename(path + ".swap", other)
        elif self.kind == "foreign":
            os.mkdir(f"{path}/folder")
            with open(f"{path}/folder/file", "wb") as file:
                file.write(b"x")
        else:
            shutil.rmtree(path)
            if self.kind == "empty":
                os.mkdir(path)
            elif self.kind == "file":
                with open(path, "wb") as file:
                    file.write(b"a file")
            elif self.kind != "delete":
                return make_odd(self.kind, path, store, self.random)
        return ""

    # MARK: taking back

    def undo(self, pristine, store):
        """Puts the pristine names back into a clone."""
        names = self.names + ([self.path + "/folder"] if self.kind == "foreign" else [])
        for name in list(names):
            folder, _, base = name.partition("/")
            if folder in ("packs", "doomed"):  # a collection may have moved it
                names.append(f"{'doomed' if folder == 'packs' else 'packs'}/{base}")
        for name in names:
            source, target = f"{pristine}/{name}", f"{store}/{name}"
            if os.path.isdir(source):
                put_back_folder(source, target)
                continue
            is_copy = name.split("/")[0] in ("packs", "doomed") and os.path.isfile(target)
            if is_copy and not os.path.lexists(source):
                continue  # a pack under another name may be the one that a collection has kept
            remove(target)
            if os.path.lexists(source):
                os.makedirs(os.path.dirname(target), exist_ok=True)
                shutil.copyfile(source, target)


def put_back_folder(source, target):
    """Adds what a pristine folder has, and keeps what commands have added since."""
    if os.path.islink(target) or not os.path.isdir(target):
        remove(target)
    os.makedirs(target, exist_ok=True)
    for name in os.listdir(source):
        a, b = f"{source}/{name}", f"{target}/{name}"
        if os.path.isdir(a):
            put_back_folder(a, b)
        else:
            remove(b)
            shutil.copyfile(a, b)


def remove(path):
    if os.path.isdir(path) and not os.path.islink(path):
        shutil.rmtree(path)
    elif os.path.lexists(path):
        os.unlink(path)


def make_odd(kind, path, store, choose):
    """Puts something that is no regular file in a file's place, or under a new name."""
    remove(path)
    if kind == "fifo":
        os.mkfifo(path)
        return ""
    if kind == "directory":
        os.mkdir(path)
        if choose.random() < 0.5:
            with open(f"{path}/inside", "wb") as file:
                file.write(b"x")
        return ""
    target = choose.choice(("nowhere", "/dev/zero", os.path.basename(path), "/dev/null", f"{store}/format", "/etc/passwd"))
    os.symlink(target, path)
    return f"to {target}"
