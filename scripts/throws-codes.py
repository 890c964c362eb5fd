#!/usr/bin/env python3
"""Checks that `- Throws:` comments name codes that exist (make lint).

These forms name a code: "`ImageError` (`code`)", "(`code`) if …", "`code` if …", and "for" or "while" instead of "if".
A code of ImageError, XCATError and BundleError is a case of ErrorCode, one of StoreError a case of StoreError.Kind,
and one of CodecError a case of CodecError. Without the name of the error, it is a case of any of them.
"""

import pathlib
import re
import sys

ROOT = pathlib.Path(__file__).resolve().parent.parent
SOURCES = ROOT / "Sources"
THROWS = re.compile(r"^[ \t]*/// - Throws:(?P<text>.*(?:\n[ \t]*///   .*)*)", re.M)
ITEM = re.compile(r"`(?P<error>\w+Error)`(?:\s+\((?P<codes>`[a-z]\w*`(?:,\s+`[a-z]\w*`)*)\))?"
                  r"|\(?`(?P<code>[a-z]\w*)`\)?\s+(?:if|for|while)\b")


def cases(path, start, end="\n}"):
    """Returns the cases of the enumeration that begins with `start`."""
    text = (SOURCES / path).read_text()
    body = text[text.index(start):]
    return set(re.findall(r"^\s*case (\w+)", body[:body.index(end)], re.M))


def main():
    codes = cases("Platform/Errors/ErrorCode.swift", "public enum ErrorCode")
    kinds = cases("Store/Model/StoreError.swift", "public enum Kind", "\n    /// The usual code")
    faults = cases("Codec/CodecError.swift", "public enum CodecError", "\n\n")
    known = {"ImageError": codes, "XCATError": codes, "BundleError": codes, "StoreError": kinds, "CodecError": faults}
    every = codes | kinds | faults
    problems = 0
    for path in sorted(SOURCES.rglob("*.swift")):
        text = path.read_text()
        for comment in THROWS.finditer(text):
            # A line break within a comment becomes a blank, and offsets stay.
            prose = re.sub(r"\n[ \t]*///", lambda match: " " * len(match.group()), comment["text"])
            for item in ITEM.finditer(prose):
                for code in re.findall(r"\w+", item["codes"] or item["code"] or ""):
                    if code not in known.get(item["error"], every):
                        line = text.count("\n", 0, comment.start("text") + item.start()) + 1
                        print(f"{path.relative_to(ROOT)}:{line}: `{code}` is not a code"
                              + (f" of {item['error']}" if item["error"] else ""), file=sys.stderr)
                        problems += 1
    return 1 if problems else 0


if __name__ == "__main__":
    sys.exit(main())
