"""What a management node looks like to those who use its images: files below /install and table rows.

Invariant: reading a view changes nothing but SQLite's own recovery of an interrupted transaction.
"""

import os
import sqlite3
import stat

from common.tree import describe, difference


class View:
    """Files and rows of a node, as a value."""

    def __init__(self, root):
        self.files = _without_times_of_plain_folders(describe(f"{root}/install"))
        self.rows = table_rows(f"{root}/etc/xcat")

    def __eq__(self, other):
        return self.files == other.files and self.rows == other.rows

    def without(self, times_of, parts):
        """Returns the view without the times of some paths, and without files of some suffix."""
        view = View.__new__(View)
        view.rows, view.files = self.rows, {}
        for path, facts in self.files.items():
            if not path.endswith(parts):
                view.files[path] = facts[:4] + (None,) + facts[5:] if path in times_of else facts
        return view

    def difference(self, other):
        """Returns a line that says what another view has otherwise."""
        text = difference(self.files, other.files)
        for table in sorted(self.rows.keys() | other.rows.keys()):
            if self.rows.get(table) != other.rows.get(table):
                text += f"; rows of {table}"
        return text.lstrip("; ")


def _without_times_of_plain_folders(files):
    """Folders that only hold images have times of their own: any name in them changes these."""
    changed = {}
    for path, facts in files.items():
        if facts[0] == stat.S_IFDIR and b"rootimg" not in path.split(b"/"):
            facts = facts[:4] + (None,) + facts[5:]
        changed[path] = facts
    return changed


def table_rows(folder):
    """Returns {table: rows in order} of all table files."""
    found = {}
    if not os.path.isdir(folder):
        return found
    for file in sorted(os.listdir(folder)):
        if not file.endswith(".sqlite"):
            continue
        connection = sqlite3.connect(f"{folder}/{file}")
        try:
            names = [r[0] for r in connection.execute("select name from sqlite_master where type = 'table'")]
            for name in names:
                rows = [repr(row) for row in connection.execute(f'select * from "{name}"')]
                if rows:
                    found[name] = sorted(rows)
        finally:
            connection.close()
    return found
