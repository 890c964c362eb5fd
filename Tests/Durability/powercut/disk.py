"""A model of a file system and of what a power cut leaves of it.

What is durable, and what is pending:
1. Data: `fsync` and `fdatasync` of a file make its data durable. Each 4096-byte page of each later
   write may be lost or kept by itself; a lost page is what it was before, or a hole.
2. Attributes: `fsync` of an inode makes mode, owner, times and extended attributes durable. Each later
   change may be lost by itself.
3. Names: `fsync` and `fdatasync` of a folder makes the names in it durable. Each later change of a name may be lost.
   A rename or an exchange is one change: both names or neither; it is durable with either folder.
   Changes of one name, and moves of one inode, keep their order. `fsync` of a file does not make
   its name durable.
4. `syncfs` makes everything durable; `sync_file_range` and closing make nothing durable.
"""

PAGE_BYTES = 4096


class Data:
    """The content of a file as pages; a page that is not there is a hole."""

    __slots__ = ("size", "pages")

    def __init__(self, size=0, pages=None):
        self.size, self.pages = size, pages if pages is not None else {}

    def copy(self):
        return Data(self.size, dict(self.pages))

    def write(self, offset, data):
        for number, start, piece in split_pages(offset, data):
            if len(piece) == PAGE_BYTES:
                self.pages[number] = bytes(piece)
            else:
                page = bytearray(self.pages.get(number, bytes(PAGE_BYTES)))
                page[start : start + len(piece)] = piece
                self.pages[number] = bytes(page)
        self.size = max(self.size, offset + len(data))

    def truncate(self, size):
        if size < self.size:
            last, rest = divmod(size, PAGE_BYTES)
            self.pages = {n: p for n, p in self.pages.items() if n < last or (n == last and rest)}
            if last in self.pages:
                self.pages[last] = self.pages[last][:rest] + bytes(PAGE_BYTES - rest)
        self.size = size

    def read(self, offset, count):
        end = min(self.size, offset + count)
        return self.bytes()[offset:end] if offset < end else b""

    def bytes(self):
        blank = bytes(PAGE_BYTES)
        count = (self.size + PAGE_BYTES - 1) // PAGE_BYTES
        return b"".join(self.pages.get(n, blank) for n in range(count))[: self.size]

    def key(self):
        return self.size, tuple(sorted(self.pages.items()))


def split_pages(offset, data):
    """Yields (page number, offset in the page, bytes) for a write."""
    view, done = memoryview(data), 0
    while done < len(view):
        number, start = divmod(offset + done, PAGE_BYTES)
        piece = view[done : done + PAGE_BYTES - start]
        yield number, start, piece
        done += len(piece)


class Inode:
    """A file, folder, link or special file: what commands see, what is durable, what is pending."""

    count = 0

    def __init__(self, kind, mode, uid=0, gid=0, rdev=0, target=None):
        Inode.count += 1
        self.number = Inode.count
        self.kind, self.rdev, self.target = kind, rdev, target
        self.attributes = {"mode": mode, "owner": (uid, gid), "mtime": None}
        self.data = Data()
        self.entries = {}
        self.source = None  # the path of an equal file in the pristine copy
        self.durable_attributes = dict(self.attributes)
        self.durable_data = Data()
        self.durable_entries = {}
        self.pending_data = []  # ("write", offset, bytes) or ("truncate", size)
        self.pending_attributes = []  # (key, value); value None removes an extended attribute
        self.writes = 0  # how many writes and truncations there were
        self.durable_writes = 0

    def set(self, key, value):
        apply_attribute(self.attributes, key, value)
        self.pending_attributes.append((key, value))

    def write(self, offset, data):
        self.data.write(offset, data)
        self.pending_data.append(("write", offset, bytes(data)))
        self._touch()

    def truncate(self, size):
        self.data.truncate(size)
        self.pending_data.append(("truncate", size))
        self._touch()

    def _touch(self):
        self.source = None
        self.writes += 1
        self.set("mtime", None)

    def sync_data(self):
        if self.pending_data:
            self.durable_data = self.data.copy()
            self.pending_data = []
        self.durable_writes = self.writes

    def sync_attributes(self):
        if self.pending_attributes:
            self.durable_attributes = dict(self.attributes)
            self.pending_attributes = []


def apply_attribute(attributes, key, value):
    if value is None and key != "mtime":
        attributes.pop(key, None)
    else:
        attributes[key] = value


class NameChange:
    """An atomic change of names: [(folder, name, inode or None)]."""

    __slots__ = ("slots", "needs")

    def __init__(self, slots, needs):
        self.slots, self.needs = slots, needs

    @property
    def folders(self):
        return {folder.number for folder, _, _ in self.slots}


class Disk:
    """The whole file system below one folder."""

    def __init__(self, root):
        self.root = root
        self.pending_names = []
        self.inodes = [root]

    def new(self, *arguments, **keywords):
        inode = Inode(*arguments, **keywords)
        self.inodes.append(inode)
        return inode

    def change_names(self, *slots):
        """Makes one atomic change of names."""
        slots = list(slots)
        touched = {(folder.number, name) for folder, name, _ in slots}
        moved = {inode.number for _, _, inode in slots if inode is not None and inode.kind == "folder"}
        needs = []
        for earlier in self.pending_names:
            for folder, name, inode in earlier.slots:
                if (folder.number, name) in touched or (inode is not None and inode.number in moved):
                    needs.append(earlier)
                    break
        for folder, name, inode in slots:
            if inode is None:
                folder.entries.pop(name, None)
            else:
                folder.entries[name] = inode
            folder.set("mtime", None)
        self.pending_names.append(NameChange(slots, needs))

    def fsync(self, inode, data_only=False):
        inode.sync_data()
        if not data_only:
            inode.sync_attributes()
        if inode.kind == "folder":  # names are the data of a folder: SQLite uses fdatasync for them
            durable = closure([c for c in self.pending_names if inode.number in c.folders])
            self._make_durable(durable)

    def sync_all(self):
        self._make_durable(set(self.pending_names))
        for inode in self.inodes:
            inode.sync_data()
            inode.sync_attributes()

    def _make_durable(self, changes):
        if not changes:
            return
        for change in self.pending_names:
            if change in changes:
                apply_names(change, lambda folder: folder.durable_entries)
        self.pending_names = [c for c in self.pending_names if c not in changes]
        for change in self.pending_names:
            change.needs = [n for n in change.needs if n not in changes]

    def make_durable_as_is(self):
        """Declares the present state durable: how a recording begins."""
        for inode in self.inodes:
            inode.durable_data = inode.data
            inode.data = inode.data.copy()
            inode.durable_attributes = dict(inode.attributes)
            inode.durable_entries = dict(inode.entries)
            inode.pending_data, inode.pending_attributes = [], []
        self.pending_names = []


def closure(changes):
    """Returns the changes and all that they need."""
    found, pending = set(), list(changes)
    while pending:
        change = pending.pop()
        if change not in found:
            found.add(change)
            pending += change.needs
    return found


def apply_names(change, entries_of):
    for folder, name, inode in change.slots:
        entries = entries_of(folder)
        if inode is None:
            entries.pop(name, None)
        else:
            entries[name] = inode
