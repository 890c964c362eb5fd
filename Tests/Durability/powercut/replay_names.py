"""Replays calls that change names and attributes. A part of `Replay`, which knows paths and descriptors."""

import os
import stat

from powercut.strace import modification_time


class NameCalls:
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
