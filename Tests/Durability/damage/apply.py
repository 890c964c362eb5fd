"""Applies a damage to a clone of a store, and takes it back.

A part of `Damage`, which chooses target, kind and paths. Invariant: a name is unlinked before it is
written, for its inode may be that of the pristine store.
"""

import filecmp
import hashlib
import os
import shutil
import stat

OVERSIZE_BYTES = (1 << 40, 1 << 32)
CONTENT_KINDS = ("flip", "truncate", "zero", "noise", "insert", "append", "oversize")
ODD_KINDS = ("fifo", "directory", "symlink")


class Application:
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
                for other in names:
                    remove_foreign(f"{pristine}/{other}", source, target)
                put_back_folder(source, target)
                continue
            is_copy = name.split("/")[0] in ("packs", "doomed") and os.path.isfile(target)
            if is_copy and not os.path.lexists(source):
                give_own_name(pristine, store, target)
                continue
            remove(target)
            if os.path.lexists(source):
                os.makedirs(os.path.dirname(target), exist_ok=True)
                shutil.copyfile(source, target)


def give_own_name(pristine, store, path):
    """Gives a pack under another name its own one: it may be the copy that a collection has kept.
    Anything else goes."""
    sound = set(os.listdir(f"{pristine}/packs")) | set(os.listdir(f"{pristine}/doomed"))
    if os.path.getsize(path) < 1 << 26:
        with open(path, "rb") as file:
            own = hashlib.sha256(file.read()).hexdigest()
        if own == os.path.basename(path):
            return
        if own in sound and not os.path.lexists(f"{store}/packs/{own}"):
            os.rename(path, f"{store}/packs/{own}")
            return
    remove(path)


def remove_foreign(other, source, target):
    """Removes what a folder has of another one that it was exchanged with."""
    if not os.path.isdir(other) or not os.path.isdir(target):
        return
    for name in set(os.listdir(other)) - set(os.listdir(source)):
        a, b = f"{other}/{name}", f"{target}/{name}"
        if os.path.isfile(a) and os.path.isfile(b) and filecmp.cmp(a, b, shallow=False):
            os.unlink(b)


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
