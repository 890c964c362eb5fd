"""Cheap copies of a store: packs are hard links, all other files are copied.

Invariants: nothing that a command changes in place is shared; the copied index keeps a stamp that
fits it, so a clone's first command does not rebuild the index.
"""

import os
import shutil

LINKED = ("packs", "doomed")


def clone_store(source, target):
    """Copies a store; takes about a millisecond."""
    os.mkdir(target)
    for top, folders, files in os.walk(source):
        relative = os.path.relpath(top, source)
        here = target if relative == "." else f"{target}/{relative}"
        for name in folders:
            os.mkdir(f"{here}/{name}")
            shutil.copystat(f"{top}/{name}", f"{here}/{name}")
        is_linked = relative.split("/")[0] in LINKED
        for name in files:
            if is_linked:
                os.link(f"{top}/{name}", f"{here}/{name}")
            else:
                shutil.copyfile(f"{top}/{name}", f"{here}/{name}")
                shutil.copystat(f"{top}/{name}", f"{here}/{name}")
    restamp(f"{source}/index.sqlite", target)


def _stamp_of(info):
    def time(nanoseconds):
        return f"{nanoseconds // 10**9}.{nanoseconds % 10**9}"

    return f"{info.st_ino} {info.st_size} {time(info.st_mtime_ns)} {time(info.st_ctime_ns)}"


def restamp(old_index, store):
    """Makes a clone's stamp name the clone's index, as it named the original's.

    Returns False where the stamp does not look as expected: then the index is rebuilt instead.
    """
    stamp, index = f"{store}/index.stamp", f"{store}/index.sqlite"
    try:
        with open(stamp, encoding="utf-8") as file:
            text = file.read()
        old, new = _stamp_of(os.stat(old_index)), _stamp_of(os.stat(index))
    except (OSError, UnicodeDecodeError):
        return False
    if old not in text:
        return False
    changed = text.replace(old, new)
    padding = len(text) - len(changed)
    if padding > 0:
        changed = changed.rstrip("\n") + " " * padding + "\n"
    elif padding < 0 and changed.endswith(" " * -padding + "\n"):
        changed = changed[: padding - 1] + "\n"
    with open(stamp, "r+", encoding="utf-8") as file:
        file.write(changed)
        file.truncate()
    return True


def restamp_damaged(pristine, store):
    """Writes the stamp that the damaged index would have, had the damage changed no times."""
    clone_index = f"{store}/index.sqlite"
    if not os.path.isfile(clone_index):
        return
    with open(f"{pristine}/index.stamp", "rb") as file:
        text = file.read()
    with open(f"{store}/index.stamp", "wb") as file:
        file.write(text)
    restamp(f"{pristine}/index.sqlite", store)
