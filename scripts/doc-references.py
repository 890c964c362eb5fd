#!/usr/bin/env python3
"""Checks that documents exist where code and documents refer to them (make lint).

Three forms are checked: the path docs/NAME.md, an anchor docs/NAME.md#ANCHOR, and the title of a section,
docs/NAME.md, "TITLE". In documents, the targets of relative links are checked, too.
"""

import pathlib
import re
import subprocess
import sys

ROOT = pathlib.Path(__file__).resolve().parent.parent
REFERENCE = re.compile(r'(?<![\w/])(docs/[\w./-]+?\.md)(#[\w-]+|(?:,\s+|\s+)"([^"]+)")?')
LINK = re.compile(r"\]\((?!\w+:)([^)#\s]*)(#[\w-]+)?\)")
# A comment may continue on the next line.
COMMENT_BREAK = re.compile(r"\n\s*(?://+|#)\s*")


def headings(path):
    """Returns the titles and the anchors of a document."""
    titles, anchors, counts = set(), set(), {}
    fenced = False
    for line in path.read_text().splitlines():
        if line.startswith("```"):
            fenced = not fenced
        anchors.update(re.findall(r'<a (?:id|name)="([^"]+)"', line))
        match = re.match(r"#+\s+(.*?)\s*$", line)
        if fenced or not match:
            continue
        title = re.sub(r"[`*_]|<[^>]*>", "", match[1])
        titles.add(title.lower())
        anchor = re.sub(r"[^\w\- ]", "", title.lower()).replace(" ", "-")
        counts[anchor] = counts.get(anchor, -1) + 1
        anchors.add(anchor if counts[anchor] == 0 else f"{anchor}-{counts[anchor]}")
    return titles, anchors


def main():
    own = pathlib.Path(__file__).name
    names = subprocess.run(
        ["git", "ls-files", "-co", "--exclude-standard"], cwd=ROOT, capture_output=True, text=True, check=True
    ).stdout.splitlines()
    known, problems = {}, []

    def check(place, target, anchor=None, title=None):
        if not target.exists():
            problems.append(f"{place}: {target.relative_to(ROOT)} does not exist")
            return
        if target.suffix != ".md" or not (anchor or title):
            return
        titles, anchors = known.setdefault(target, headings(target))
        if anchor and anchor not in anchors:
            problems.append(f"{place}: {target.name} has no anchor #{anchor}")
        if title and " ".join(title.lower().split()) not in titles:
            problems.append(f'{place}: {target.name} has no section "{title}"')

    for name in names:
        path = ROOT / name
        if path.name == own or path.suffix not in {".swift", ".md", ".py", ".sh", ".c", ".h"} or not path.is_file():
            continue
        text = path.read_text(errors="replace")
        if path.suffix == ".md":
            for match in LINK.finditer(re.sub(r"^```.*?^```", "", text, flags=re.S | re.M)):
                target = (path.parent / match[1]).resolve() if match[1] else path
                if target.is_relative_to(ROOT):
                    check(name, target, (match[2] or "")[1:] or None)
            continue
        for match in REFERENCE.finditer(COMMENT_BREAK.sub(" ", text)):
            anchor = (match[2] or "")[1:] if (match[2] or "").startswith("#") else None
            check(name, ROOT / match[1], anchor, match[3])
    for problem in problems:
        print(problem, file=sys.stderr)
    return 1 if problems else 0


if __name__ == "__main__":
    sys.exit(main())
