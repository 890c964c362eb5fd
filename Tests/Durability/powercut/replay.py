"""Replays recorded system calls on the model.

Invariants: descriptors and offsets are tracked as the kernel does; a call that changes files and is
not understood is an error, never ignored. What lies outside of the modelled folder is not modelled.
"""

import os
import stat

from powercut.disk import Data
from powercut.strace import modification_time, vector

CHOWN_CLEARS = 0o4000


class Outside(Exception):
    """A path or a descriptor outside of the modelled folder."""


class OpenFile:
    __slots__ = ("inode", "offset", "append", "path")

    def __init__(self, inode, append=False, path=None):
        self.inode, self.offset, self.append, self.path = inode, 0, append, path


class Replay:
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
            path = start + b"/" + path
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
            self.files[fd] = OpenFile(None, path=path if path.startswith(b"/") else None)
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

    # MARK: names

    def do_renameat2(self, _, old_folder, old, new_folder, new, flags="0"):
        a, name, inode = self.resolve(old_folder, old, False)
        b, new_name, other = self.resolve(new_folder, new, False)
        if "RENAME_EXCHANGE" in flags:
            self.disk.change_names((a, name, other), (b, new_name, inode))
        elif inode is not other:
            self.disk.change_names((a, name, None), (b, new_name, inode))
        return True

    do_renameat = do_renameat2

    def do_rename(self, _, old, new):
        return self.do_renameat2(_, "AT_FDCWD", old, "AT_FDCWD", new)

    def do_linkat(self, _, old_folder, old, new_folder, new, flags="0"):
        if old == b"" and "AT_EMPTY_PATH" in flags:
            inode = self._inode(old_folder)
        else:
            inode = self.resolve(old_folder, old, "AT_SYMLINK_FOLLOW" in flags)[2]
        folder, name, _ = self.resolve(new_folder, new, False)
        self.disk.change_names((folder, name, inode))
        return True

    def do_link(self, _, old, new):
        return self.do_linkat(_, "AT_FDCWD", old, "AT_FDCWD", new)

    def do_unlinkat(self, _, folder, path, *__):
        parent, name, _ = self.resolve(folder, path, False)
        self.disk.change_names((parent, name, None))
        return True

    def do_unlink(self, _, path):
        return self.do_unlinkat(_, "AT_FDCWD", path)

    do_rmdir = do_unlink

    def _make(self, folder, path, inode):
        parent, name, _ = self.resolve(folder, path, False)
        self.disk.change_names((parent, name, inode))
        return True

    def do_mkdirat(self, _, folder, path, mode):
        self.resolve(folder, path, False)
        return self._make(folder, path, self.disk.new("folder", int(mode, 8) & ~self.umask))

    def do_mkdir(self, _, path, mode):
        return self.do_mkdirat(_, "AT_FDCWD", path, mode)

    def do_symlinkat(self, _, target, folder, path):
        return self._make(folder, path, self.disk.new("link", 0o777, target=target))

    def do_symlink(self, _, target, path):
        return self.do_symlinkat(_, target, "AT_FDCWD", path)

    def do_mknodat(self, _, folder, path, mode, device="0"):
        words = mode.split("|")
        kind = {"S_IFIFO": "fifo", "S_IFCHR": "chr", "S_IFBLK": "blk", "S_IFSOCK": "socket"}.get(words[0], "file")
        bits = int(words[-1], 8) if words[-1].startswith("0") else 0
        rdev = 0
        if device.startswith("makedev("):
            rdev = os.makedev(*(int(n, 0) for n in device[8:-1].split(",")))
        return self._make(folder, path, self.disk.new(kind, bits & ~self.umask, rdev=rdev))

    def do_mknod(self, _, path, mode, device="0"):
        return self.do_mknodat(_, "AT_FDCWD", path, mode, device)

    # MARK: attributes

    def _set_owner(self, inode, uid, gid):
        old = inode.attributes["owner"]
        new = tuple(o if int(n) in (-1, 0xFFFFFFFF) else int(n) for o, n in zip(old, (uid, gid)))
        inode.set("owner", new)
        if inode.kind == "file":
            mode = inode.attributes["mode"]
            cleared = mode & ~stat.S_ISUID
            if mode & stat.S_IXGRP:
                cleared &= ~stat.S_ISGID
            if cleared != mode:
                inode.set("mode", cleared)
            if ("xattr", "security.capability") in inode.attributes:
                inode.set(("xattr", "security.capability"), None)
        return True

    def do_fchown(self, _, fd, uid, gid):
        return self._set_owner(self._inode(fd), uid, gid)

    def do_fchownat(self, _, folder, path, uid, gid, flags="0"):
        inode = self._inode(folder) if path == b"" else self.resolve(folder, path, "NOFOLLOW" not in flags)[2]
        return self._set_owner(inode, uid, gid)

    def do_lchown(self, _, path, uid, gid):
        return self._set_owner(self.resolve("AT_FDCWD", path, False)[2], uid, gid)

    def do_chown(self, _, path, uid, gid):
        return self._set_owner(self.resolve("AT_FDCWD", path, True)[2], uid, gid)

    def do_fchmod(self, _, fd, mode):
        self._inode(fd).set("mode", int(mode, 8))
        return True

    def do_fchmodat(self, _, folder, path, mode, *__):
        self.resolve(folder, path, True)[2].set("mode", int(mode, 8))
        return True

    def do_chmod(self, _, path, mode):
        return self.do_fchmodat(_, "AT_FDCWD", path, mode)

    def do_utimensat(self, _, folder, path, times, flags="0"):
        if path == "NULL" or path == b"":
            inode = self._inode(folder)
        else:
            inode = self.resolve(folder, path, "NOFOLLOW" not in flags)[2]
        time = modification_time(times)
        if time != "omit":
            inode.set("mtime", None if time == "now" else time)
        return True

    def do_fsetxattr(self, _, fd, name, value, *__):
        self._inode(fd).set(("xattr", name.decode()), value if isinstance(value, bytes) else b"")
        return True

    def do_lsetxattr(self, _, path, name, value, *__):
        inode = self.resolve("AT_FDCWD", path, False)[2]
        inode.set(("xattr", name.decode()), value if isinstance(value, bytes) else b"")
        return True

    def do_setxattr(self, _, path, name, value, *__):
        inode = self.resolve("AT_FDCWD", path, True)[2]
        inode.set(("xattr", name.decode()), value if isinstance(value, bytes) else b"")
        return True

    def do_fremovexattr(self, _, fd, name):
        self._inode(fd).set(("xattr", name.decode()), None)
        return True

    def do_lremovexattr(self, _, path, name):
        self.resolve("AT_FDCWD", path, False)[2].set(("xattr", name.decode()), None)
        return True

    def do_removexattr(self, _, path, name):
        self.resolve("AT_FDCWD", path, True)[2].set(("xattr", name.decode()), None)
        return True

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


def copy_data(data):
    return Data(data.size, dict(data.pages))
