"""Between real folders and the model: reads a folder into a `Disk`, and makes a `State` a folder.

A journal of SQLite names a file by its absolute path, followed by a sum of the path's characters.
So folders of states have names that are permutations of each other, and that name is exchanged.

Invariants: a pack is a hard link to the pristine copy; all others are
copies, with the holes, owners, modes, times and links of the state.
"""

import itertools
import os
import re
import stat

from powercut.disk import PAGE_BYTES, Data, Disk, Inode

KINDS = {
    stat.S_IFDIR: "folder", stat.S_IFREG: "file", stat.S_IFLNK: "link", stat.S_IFIFO: "fifo",
    stat.S_IFCHR: "chr", stat.S_IFBLK: "blk", stat.S_IFSOCK: "socket",
}  # fmt: skip
PLACE_LETTERS = "abcdefgh"
IMMUTABLE = (b"store/packs/", b"store/doomed/")


def place_name(index):
    """Returns the name of a folder for states; all are of one length and have one sum of characters."""
    letters = next(itertools.islice(itertools.permutations(PLACE_LETTERS), index % 40320, None))
    return "place-" + "".join(letters)


def load(top):
    """Returns a `Disk` equal to a folder; everything in it counts as durable."""
    top = os.fsencode(top)
    by_number = {}

    def read(path):
        info = os.lstat(path)
        known = by_number.get((info.st_dev, info.st_ino))
        if known is not None:
            return known
        kind = KINDS[stat.S_IFMT(info.st_mode)]
        inode = Inode(kind, stat.S_IMODE(info.st_mode), info.st_uid, info.st_gid, info.st_rdev)
        inode.attributes["mtime"] = info.st_mtime_ns
        for name in os.listxattr(path, follow_symlinks=False):
            inode.attributes["xattr", name] = os.getxattr(path, name, follow_symlinks=False)
        if kind == "link":
            inode.target = os.readlink(path)
        elif kind == "file":
            inode.data = read_data(path, info.st_size)
            inode.source = path[len(top) + 1 :]
        by_number[info.st_dev, info.st_ino] = inode
        disk.inodes.append(inode)
        if kind == "folder":
            for name in os.listdir(path):
                inode.entries[name] = read(path + b"/" + name)
        return inode

    disk = Disk(None)
    disk.inodes = []
    disk.root = read(top)
    disk.make_durable_as_is()
    return disk


def read_data(path, size):
    """Returns the content of a file, its holes left out."""
    data = Data(size)
    descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW)
    try:
        offset = 0
        while offset < size:
            try:
                offset = os.lseek(descriptor, offset, os.SEEK_DATA)
            except OSError:
                break
            end = os.lseek(descriptor, offset, os.SEEK_HOLE)
            offset -= offset % PAGE_BYTES
            while offset < end:
                page = os.pread(descriptor, PAGE_BYTES, offset)
                data.pages[offset // PAGE_BYTES] = page + bytes(PAGE_BYTES - len(page))
                offset += PAGE_BYTES
    finally:
        os.close(descriptor)
    return data


def differences(disk, top):
    """Returns what differs between what the model says that commands see, and a real folder.

    Times count only where a command set them last.
    """
    found, groups = [], {}

    def compare(inode, path, shown):
        info = os.lstat(path)
        kind = KINDS[stat.S_IFMT(info.st_mode)]
        if kind != inode.kind:
            found.append(f"{shown}: kind {kind}, the model has {inode.kind}")
            return
        wanted = inode.attributes
        if stat.S_IMODE(info.st_mode) != wanted["mode"] and kind != "link":
            found.append(f"{shown}: mode {stat.S_IMODE(info.st_mode):o}, the model has {wanted['mode']:o}")
        if (info.st_uid, info.st_gid) != wanted["owner"]:
            found.append(f"{shown}: owner {info.st_uid}:{info.st_gid}, the model has {wanted['owner']}")
        if wanted["mtime"] is not None and info.st_mtime_ns != wanted["mtime"]:
            found.append(f"{shown}: mtime {info.st_mtime_ns}, the model has {wanted['mtime']}")
        xattrs = {("xattr", n): os.getxattr(path, n, follow_symlinks=False) for n in os.listxattr(path, follow_symlinks=False)}
        if xattrs != {k: v for k, v in wanted.items() if isinstance(k, tuple)}:
            found.append(f"{shown}: extended attributes differ")
        other = groups.setdefault((info.st_dev, info.st_ino), inode)
        if other is not inode:
            found.append(f"{shown}: is a link of another file in the model")
        if kind == "link" and os.readlink(path) != inode.target:
            found.append(f"{shown}: target differs")
        if kind == "file" and (info.st_size != inode.data.size or read_data(path, info.st_size).bytes() != inode.data.bytes()):
            found.append(f"{shown}: content differs (size {info.st_size}, the model has {inode.data.size})")
        if kind == "folder":
            names = set(os.listdir(path))
            for name in sorted(names - inode.entries.keys()):
                found.append(f"{shown}/{os.fsdecode(name)}: not in the model")
            for name in sorted(inode.entries.keys() - names):
                found.append(f"{shown}/{os.fsdecode(name)}: only in the model")
            for name in sorted(names & inode.entries.keys()):
                compare(inode.entries[name], path + b"/" + name, f"{shown}/{os.fsdecode(name)}")

    compare(disk.root, os.fsencode(top), "")
    return found


def make_real(state, pristine, folder):
    """Makes a state a folder, which must not be there yet."""
    pristine, folder = os.fsencode(pristine), os.fsencode(folder)
    done, folders = {}, []
    for path in sorted(state.nodes):
        inode, attributes, data, source = state.nodes[path]
        target = folder + b"/" + path if path else folder
        if inode.kind == "folder":
            os.mkdir(target, 0o700)
            folders.append((target, attributes))
            continue
        if inode.number in done:
            os.link(done[inode.number], target, follow_symlinks=False)
            continue
        done[inode.number] = target
        if inode.kind == "file":
            if source is not None and path.startswith(IMMUTABLE):
                os.link(pristine + b"/" + source, target)
                continue
            if b".sqlite-" in path:
                data = _in_place(data, folder)
            write_file(target, data)
        elif inode.kind == "link":
            os.symlink(inode.target, target)
        else:
            types = {"fifo": stat.S_IFIFO, "chr": stat.S_IFCHR, "blk": stat.S_IFBLK, "socket": stat.S_IFSOCK}
            os.mknod(target, types[inode.kind] | 0o600, inode.rdev)
        set_attributes(target, attributes, inode.kind)
    for target, attributes in reversed(folders):
        set_attributes(target, attributes, "folder")
    if state.stamp_fits:
        stamp_index(os.fsdecode(folder) + "/store")


def _in_place(data, folder):
    """Returns the content of a journal that names files of this folder, not of the recorded one."""
    here = re.search(rb"place-[a-h]{8}", folder)
    if here is None:
        return data
    changed = Data()
    changed.write(0, re.sub(rb"place-[a-h]{8}", here.group(0), data.bytes()))
    return changed


def write_file(target, data):
    descriptor = os.open(target, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    try:
        if data.pages and len(data.pages) * PAGE_BYTES >= data.size:
            os.write(descriptor, data.bytes())
        else:
            os.ftruncate(descriptor, data.size)
            for number, page in data.pages.items():
                count = min(PAGE_BYTES, data.size - number * PAGE_BYTES)
                if count > 0:
                    os.pwrite(descriptor, page[:count], number * PAGE_BYTES)
    finally:
        os.close(descriptor)


def set_attributes(target, attributes, kind):
    uid, gid = attributes["owner"]
    if (uid, gid) != (0, 0):
        os.chown(target, uid, gid, follow_symlinks=False)
    if kind != "link":
        os.chmod(target, attributes["mode"])
    for key, value in attributes.items():
        if isinstance(key, tuple):
            os.setxattr(target, key[1], value, follow_symlinks=False)
    time = attributes["mtime"]
    if time is not None:
        os.utime(target, ns=(time, time), follow_symlinks=False)


def stamp_index(store):
    """Writes the stamp that fits the index as it is now, in the form of the stamp that is there."""
    info = os.stat(f"{store}/index.sqlite")

    def time(nanoseconds):
        return f"{nanoseconds // 10**9}.{nanoseconds % 10**9}"

    text = f"{info.st_ino} {info.st_size} {time(info.st_mtime_ns)} {time(info.st_ctime_ns)}"
    with open(f"{store}/index.stamp", "r+b") as file:
        old = file.read()
        if len(old) != 128 or not old.endswith(b" \n"):
            return  # another form: the index is rebuilt
        file.seek(0)
        file.write(text.encode().ljust(127) + b"\n")
