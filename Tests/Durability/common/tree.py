"""Describes folders as values, so that two of them can be compared.

Invariant: two equal descriptions mean equal trees: names, kinds, content, mode, owner, group, times,
extended attributes, hard links and holes. Nothing here uses the program under test.
"""

import hashlib
import os
import re
import stat


# What a change that was cut short leaves in a tree, and no snapshot takes for content.
LEFTOVER = re.compile(rb"\.imgstore-[0-9a-f]{16}")


def describe(top, folder_times=True, times=True, links=True, leftovers=True):
    """Returns {relative path: facts} of everything below a folder, the folder itself as b"".

    Facts are (kind, mode, uid, gid, mtime ns, content, xattrs, holes, linked paths).
    """
    top = os.fsencode(top)
    entries, groups = {}, {}
    pending = [b""]
    while pending:
        relative = pending.pop()
        path = os.path.join(top, relative) if relative else top
        info = os.lstat(path)
        kind = stat.S_IFMT(info.st_mode)
        content, holes = None, ()
        if kind == stat.S_IFDIR:
            for name in os.listdir(path):
                if not leftovers and LEFTOVER.match(name):
                    continue
                pending.append(os.path.join(relative, name) if relative else name)
        elif kind == stat.S_IFREG:
            content, holes = _content(path, info.st_size)
        elif kind == stat.S_IFLNK:
            content = os.readlink(path)
        elif kind in (stat.S_IFCHR, stat.S_IFBLK):
            content = info.st_rdev
        if links and kind != stat.S_IFDIR and info.st_nlink > 1:
            groups.setdefault((info.st_dev, info.st_ino), []).append(relative)
        keeps_time = times and (folder_times or kind != stat.S_IFDIR)
        entries[relative] = (
            kind,
            stat.S_IMODE(info.st_mode),
            info.st_uid,
            info.st_gid,
            info.st_mtime_ns if keeps_time else None,
            content,
            _xattrs(path),
            holes,
        )
    linked = {}
    for group in groups.values():
        if len(group) > 1:
            for relative in group:
                linked[relative] = tuple(sorted(group))
    return {path: facts + (linked.get(path),) for path, facts in entries.items()}


MOST_READ_BYTES = 1 << 30


def _content(path, size_bytes):
    digest, holes = hashlib.sha256(), []
    descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW)
    try:
        offset = 0
        while offset < size_bytes:
            hole = os.lseek(descriptor, offset, os.SEEK_HOLE)
            if hole >= size_bytes:
                break
            try:
                offset = os.lseek(descriptor, hole, os.SEEK_DATA)
            except OSError:
                offset = size_bytes
            holes.append((hole, offset))
        if size_bytes > MOST_READ_BYTES:  # a damage made it so: its data alone tell it from others
            for start, end in zip([0] + [end for _, end in holes], [start for start, _ in holes] + [size_bytes]):
                digest.update(b"%d:" % start + os.pread(descriptor, min(end - start, MOST_READ_BYTES), start))
            return digest.hexdigest(), tuple(holes)
        os.lseek(descriptor, 0, os.SEEK_SET)
        while block := os.read(descriptor, 1 << 20):
            digest.update(block)
    finally:
        os.close(descriptor)
    return digest.hexdigest(), tuple(holes)


def _xattrs(path):
    names = os.listxattr(path, follow_symlinks=False)
    return tuple(sorted((name, os.getxattr(path, name, follow_symlinks=False)) for name in names))


FIELDS = ("kind", "mode", "uid", "gid", "mtime", "content", "xattrs", "holes", "links")


def difference(expected, actual, limit=3):
    """Returns a line that says what differs between two descriptions; empty where they are equal."""
    found = []
    for path in sorted(expected.keys() | actual.keys()):
        a, b = expected.get(path), actual.get(path)
        if a == b:
            continue
        name = os.fsdecode(path) or "."
        if a is None:
            found.append(f"extra {name}")
        elif b is None:
            found.append(f"lost {name}")
        else:
            fields = [f for f, x, y in zip(FIELDS, a, b) if x != y]
            found.append(f"{name}: {', '.join(fields)}")
    more = f" and {len(found) - limit} more" if len(found) > limit else ""
    return "; ".join(found[:limit]) + more


def listing(top, without=()):
    """Returns {relative path: (kind, content)} of regular files' bytes below a folder, for "did
    anything change". Names in `without`, at the top, are left out."""
    return {
        path: (facts[0], facts[5])
        for path, facts in describe(top, times=False, links=False).items()
        if path.split(b"/")[0] not in without
    }
