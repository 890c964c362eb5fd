"""Replays recorded system calls on the model.

Invariants: descriptors and offsets are tracked as the kernel does; a call that changes files and is
not understood is an error, never ignored. What lies outside of the modelled folder is not modelled.
"""

import os

from powercut.replay_names import NameCalls
from powercut.strace import vector


class Outside(Exception):
    """A path or a descriptor outside of the modelled folder."""


class OpenFile:
    __slots__ = ("inode", "offset", "append", "path")

    def __init__(self, inode, append=False, path=None):
        self.inode, self.offset, self.append, self.path = inode, 0, append, path


class Replay(NameCalls):
    """Applies calls to a `Disk` that stands for the folder `top`."""

    def __init__(self, disk, top, cwd="/"):
        self.disk, self.top = disk, os.fsencode(top)
        self.files = {}
        self.cwd = os.fsencode(cwd)
        self.umask = 0o022
        self.stamped = None  # (inode of the index, its writes, bytes of the stamp)

    def apply(self, call):
        """Applies one call. Returns whether it changed anything, or made something durable."""
        handler = getattr(self, "do_" + call.name, None)
        if handler is None:
            raise ValueError(f"a call that the model does not know: {call}")
        try:
            return bool(handler(call.result, *call.arguments))
        except Outside:
            return False

    # MARK: paths

    def _folder(self, descriptor):
        if descriptor == "AT_FDCWD":
            return self.cwd
        file = self.files.get(int(descriptor))
        if file is None:
            raise Outside
        if file.inode is not None and file.inode.kind == "folder":
            return file.inode
        return file.path or b""

    def resolve(self, descriptor, path, follow):
        """Returns (folder inode, name, inode or None)."""
        if path.startswith(b"/proc/self/fd/"):
            number, _, rest = path[14:].partition(b"/")
            inode = self._inode(number)
            return self._walk(inode, rest, follow) if rest else (None, None, inode)
        start = self._folder(descriptor) if not path.startswith(b"/") else None
        if isinstance(start, bytes):
            path = start.rstrip(b"/") + b"/" + path
            start = None
        if start is None:
            path = os.path.normpath(path) if b".." not in path else path
            if path != self.top and not path.startswith(self.top + b"/"):
                raise Outside
            path = path[len(self.top) :]
            start = self.disk.root
        return self._walk(start, path, follow)

    def _walk(self, start, path, follow, depth=0):
        folder, name, inode = None, None, start
        parents = []
        parts = [p for p in path.split(b"/") if p not in (b"", b".")]
        for i, part in enumerate(parts):
            if inode is None or inode.kind != "folder":
                raise ValueError(f"no folder before {part} in {path}")
            if part == b"..":
                if not parents:
                    raise Outside
                inode = parents.pop()
                folder = name = None
                continue
            parents.append(inode)
            folder, name, inode = inode, part, inode.entries.get(part)
            is_last = i == len(parts) - 1
            if inode is not None and inode.kind == "link" and (follow or not is_last):
                if depth > 40:
                    raise Outside
                target = inode.target
                if target.startswith(b"/"):
                    if not target.startswith(self.top + b"/"):
                        raise Outside
                    return self._walk(self.disk.root, target[len(self.top) :] + b"/" + b"/".join(parts[i + 1 :]), follow, depth + 1)
                return self._walk(folder, target + b"/" + b"/".join(parts[i + 1 :]), follow, depth + 1)
        return folder, name, inode

    def _outside(self, descriptor, path):
        """Returns the absolute path of what lies outside of the model: it may lead into it, name by name."""
        if path.startswith(b"/"):
            return path
        start = self._folder(descriptor)
        return start.rstrip(b"/") + b"/" + path if isinstance(start, bytes) else None

    def _inode(self, descriptor):
        file = self.files.get(int(descriptor))
        if file is None or file.inode is None:
            raise Outside
        return file.inode

    # MARK: descriptors

    def do_openat(self, fd, folder, path, flags, mode="0", *_):
        flags = set(flags.split("|"))
        follow = "O_NOFOLLOW" not in flags
        exclusive = {"O_CREAT", "O_EXCL"} <= flags
        try:
            parent, name, inode = self.resolve(folder, path, follow and not exclusive)
        except Outside:
            self.files[fd] = OpenFile(None, path=self._outside(folder, path))
            return False
        changed = False
        permissions = int(mode, 8) & ~self.umask
        if flags & {"O_TMPFILE", "__O_TMPFILE"}:
            inode = self.disk.new("file", permissions)
            changed = True
        elif inode is None:
            if "O_CREAT" not in flags:
                raise ValueError(f"opened {path}, which the model does not have")
            inode = self.disk.new("file", permissions)
            self.disk.change_names((parent, name, inode))
            changed = True
        elif "O_TRUNC" in flags and inode.kind == "file" and inode.data.size:
            inode.truncate(0)
            changed = True
        self.files[fd] = OpenFile(inode, "O_APPEND" in flags)
        return changed

    def do_open(self, fd, path, flags, mode="0"):
        return self.do_openat(fd, "AT_FDCWD", path, flags, mode)

    def do_creat(self, fd, path, mode):
        return self.do_openat(fd, "AT_FDCWD", path, "O_CREAT|O_TRUNC|O_WRONLY", mode)

    def do_close(self, _, fd):
        self.files.pop(int(fd), None)

    def do_dup(self, new, old, *_):
        self.files[new] = self.files.get(int(old), OpenFile(None))

    do_dup2 = do_dup3 = do_dup

    def do_fcntl(self, result, fd, command, *_):
        if command.startswith("F_DUPFD"):
            self.do_dup(result, fd)

    def do_chdir(self, _, path):
        self.cwd = os.path.join(self.cwd, path)

    def do_fchdir(self, _, fd):
        raise ValueError("fchdir is not modelled")

    def do_umask(self, _, mask):
        self.umask = int(mask, 8)

    def do_lseek(self, offset, fd, *_):
        if int(fd) in self.files:
            self.files[int(fd)].offset = offset

    def do_read(self, count, fd, *_):
        if int(fd) in self.files:
            self.files[int(fd)].offset += count

    do_readv = do_read

    # MARK: data

    def do_write(self, count, fd, data, *_):
        file = self.files.get(int(fd))
        if file is None or file.inode is None:
            return False
        if file.append:
            file.offset = file.inode.data.size
        file.inode.write(file.offset, data[:count])
        file.offset += count
        self._note_stamp(file.inode)
        return True

    def do_writev(self, count, fd, vectors, *_):
        return self.do_write(count, fd, vector(vectors))

    def do_pwrite64(self, count, fd, data, _, offset):
        self._inode(fd).write(int(offset), data[:count])
        return True

    def do_pwritev(self, count, fd, vectors, _, offset, *__):
        self._inode(fd).write(int(offset), vector(vectors)[:count])
        return True

    do_pwritev2 = do_pwritev

    def do_ftruncate(self, _, fd, size):
        self._inode(fd).truncate(int(size))
        return True

    def do_truncate(self, _, path, size):
        self.resolve("AT_FDCWD", path, True)[2].truncate(int(size))
        return True

    def do_fallocate(self, _, fd, mode, offset, length):
        inode, end = self._inode(fd), int(offset) + int(length)
        if "PUNCH_HOLE" in mode or "ZERO_RANGE" in mode:
            inode.write(int(offset), bytes(max(0, min(end, inode.data.size) - int(offset))))
        elif mode == "0" and end > inode.data.size:
            inode.truncate(end)
        return True

    def _copy(self, count, source, at, target, to):
        a, b = self.files[int(source)], self.files[int(target)]
        start = a.offset if at == "NULL" else int(at.strip("[]"))
        data = a.inode.data.read(start, count)
        if at == "NULL":
            a.offset += count
        where = b.offset if to == "NULL" else int(to.strip("[]"))
        if to == "NULL":
            b.offset += count
        b.inode.write(where, data)
        return True

    def do_copy_file_range(self, count, source, at, target, to, *_):
        return self._copy(count, source, at, target, to)

    def do_sendfile(self, count, target, source, at, *_):
        return self._copy(count, source, at, target, "NULL")

    def do_ioctl(self, _, fd, request, argument="0", *__):
        if request == "FICLONE":
            inode, source = self._inode(fd), self._inode(argument)
            inode.truncate(0)
            inode.write(0, source.data.bytes())
            return True
        if request in ("FS_IOC_SETFLAGS", "FICLONERANGE"):
            raise ValueError(f"ioctl {request} is not modelled")
        return False

    def _note_stamp(self, inode):
        """Remembers for which state of the index its stamp was written."""
        store = self.disk.root.entries.get(b"store")
        if store is not None and store.entries.get(b"index.stamp") is inode:
            index = store.entries.get(b"index.sqlite")
            if index is not None:
                self.stamped = (index, index.writes, inode.data.bytes())

    # MARK: durability

    def do_fsync(self, _, fd):
        self.disk.fsync(self._inode(fd))
        return True

    def do_fdatasync(self, _, fd):
        self.disk.fsync(self._inode(fd), data_only=True)
        return True

    def do_syncfs(self, _, fd):
        self.disk.sync_all()
        return True

    def do_sync(self, _):
        self.disk.sync_all()
        return True

    def do_msync(self, *_):
        return False
