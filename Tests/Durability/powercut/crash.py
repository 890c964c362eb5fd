"""Chooses what a power cut leaves: a state is a value that can be compared, counted, and made real.

Invariant: every chosen state is one that the rules in disk.py allow; with everything kept, it is what
commands see.
"""

import hashlib

from powercut.disk import PAGE_BYTES, apply_attribute, apply_names, closure, split_pages

# How a cut treats what is pending, with weights. The plain ones read best; the others differ each time.
MANNERS = {
    "all kept": 1, "all lost": 1, "data lost": 1, "names lost": 1, "attributes lost": 1, "one lost": 2,
    "one kept": 2, "names in order": 2, "half": 3, "few kept": 3, "few lost": 3, "torn": 3,
}  # fmt: skip


class State:
    """A tree that a power cut may leave: nodes by path, with the cut that leads to it."""

    def __init__(self, cut, manner, nodes, said, stamp_fits):
        self.cut, self.manner, self.nodes, self.said = cut, manner, nodes, said
        self.stamp_fits = stamp_fits

    def key(self):
        """Returns a digest that equal states share."""
        digest = hashlib.sha256(repr((self.said, self.stamp_fits)).encode())
        groups = {}
        for path in sorted(self.nodes):
            inode, attributes, data, source = self.nodes[path]
            group = groups.setdefault(inode.number, len(groups))
            digest.update(repr((path, inode.kind, inode.target, group, sorted(attributes.items(), key=repr))).encode())
            if source is not None:
                digest.update(source)
            elif data is not None:
                digest.update(repr(data.size).encode())
                for number, page in sorted(data.pages.items()):
                    digest.update(b"%d" % number + page)
        return digest.digest()


class Chooser:
    """Decides, for each pending change, whether it is kept."""

    def __init__(self, manner, random, count):
        self.manner, self.random = manner, random
        self.chosen = random.randrange(count) if count else 0
        self.seen = -1
        self.keep_names = random.random()
        self.share = {"half": 0.5, "few kept": 0.1, "few lost": 0.9}.get(manner, 0.5)

    def __call__(self, kind):
        self.seen += 1
        manner = self.manner
        if manner in ("all kept", "names in order"):
            return True
        if manner == "all lost":
            return False
        if manner in ("data lost", "names lost", "attributes lost"):
            return kind != manner.split(" ")[0]
        if manner == "one lost":
            return self.seen != self.chosen
        if manner == "one kept":
            return self.seen == self.chosen
        if manner == "torn":
            return self.random.random() < 0.5 if kind == "data" else True
        return self.random.random() < self.share


def pending_count(disk):
    count = len(disk.pending_names)
    for inode in disk.inodes:
        count += len(inode.pending_attributes)
        for change in inode.pending_data:
            count += 1 if change[0] == "truncate" else (len(change[2]) + PAGE_BYTES - 1) // PAGE_BYTES
    return count


def choose(disk, random, cut, said, stamped):
    """Returns a state that a power cut at this moment may leave."""
    manner = random.choices(list(MANNERS), list(MANNERS.values()))[0]
    chooser = Chooser(manner, random, pending_count(disk))
    if manner == "names in order":
        kept = set(disk.pending_names[: random.randrange(len(disk.pending_names) + 1)])
        keeps_data = random.random() < 0.5
    else:
        kept = closure([c for c in disk.pending_names if chooser("names")])
        keeps_data = True
    entries = {}
    for change in disk.pending_names:
        if change in kept:
            for folder, _, _ in change.slots:
                if folder.number not in entries:
                    entries[folder.number] = dict(folder.durable_entries)
            apply_names(change, lambda folder: entries[folder.number])
    resolved = {}

    def content(inode):
        """What is left of an inode: the same under each of its names."""
        if inode.number not in resolved:
            attributes = inode.durable_attributes
            if inode.pending_attributes:
                attributes = dict(attributes)
                for key, value in inode.pending_attributes:
                    if chooser("attributes"):
                        apply_attribute(attributes, key, value)
            data = None
            if inode.kind == "file":
                data = inode.durable_data
                if inode.pending_data and keeps_data:
                    data = _torn(inode, chooser, random)
            resolved[inode.number] = attributes, data, inode.source
        return resolved[inode.number]

    nodes, seen, pending = {}, set(), [(b"", disk.root)]
    while pending:
        path, inode = pending.pop()
        if inode.kind == "folder":
            if inode.number in seen:
                continue  # a folder has one name
            seen.add(inode.number)
            for name, child in entries.get(inode.number, inode.durable_entries).items():
                pending.append((path + b"/" + name if path else name, child))
        nodes[path] = (inode, *content(inode))
    return State(cut, manner, nodes, said, _stamp_fits(nodes, stamped, random))


def _torn(inode, chooser, random):
    """The content of a file of which some pending pages reached the disk."""
    data = inode.durable_data.copy()
    for change in inode.pending_data:
        if change[0] == "truncate":
            if chooser("data"):
                data.truncate(change[1])
            continue
        for number, start, piece in split_pages(change[1], change[2]):
            if chooser("data"):
                data.write(number * PAGE_BYTES + start, piece)
    if data.size < inode.data.size and random.random() < 0.3:
        data.truncate(inode.data.size)  # the size reached the disk, the data did not
    return data


def _stamp_fits(nodes, stamped, random):
    """Whether the stamp in this state names the index in it: the same inode, and no durable change of
    its times since. A page may reach the disk before the time that tells of it."""
    if stamped is None or b"store/index.sqlite" not in nodes or b"store/index.stamp" not in nodes:
        return False
    index, writes, text = stamped
    inode, _, data, _ = nodes[b"store/index.sqlite"]
    stamp = nodes[b"store/index.stamp"][2]
    if inode is not index or stamp is None or stamp.bytes() != text:
        return False
    if index.durable_writes > writes:
        return False
    if index.writes == writes and data.key() == index.data.key():
        return True
    return random.random() < 0.5
