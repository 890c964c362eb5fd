#!/usr/bin/env python3
"""Looks for the words of scripts/words.txt in identifiers, comments, strings and documents: words.py [FILE...]"""
import fnmatch
import pathlib
import re
import sys

ROOT = pathlib.Path(__file__).resolve().parent.parent
WORDS = ROOT / "scripts/words.txt"
SCANNED = ["Sources/**/*.swift", "Tests/**/*.swift", "Examples/*/Sources/**/*.swift", "Package.swift",
           "*.md", "docs/**/*.md", "Sources/**/*.md", ".github/**/*.md"]
IDENTIFIER = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
PART = re.compile(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+")


class Rule:
    """A line of words.txt."""

    def __init__(self, line, number):
        fields = [field.strip() for field in line.split("\t") if field.strip()]
        if len(fields) < 2:
            sys.exit(f"{WORDS.name}:{number}: expected a word, a tab and its replacement")
        self.word, self.replacement = fields[:2]
        self.globs = []
        for exception in fields[2:]:
            glob, separator, reason = exception.partition(": ")
            if not separator or not reason:
                sys.exit(f"{WORDS.name}:{number}: an exception is 'GLOB: REASON'")
            self.globs.append(glob)
        scope, _, word = self.word.rpartition(":") if re.match(r"(name|text):", self.word) else ("", "", self.word)
        self.name = self.text = self.exact = None
        if word.startswith("/"):
            self.text = re.compile(word.strip("/"))
        elif word.startswith("=") or word != word.lower():
            self.exact = word.removeprefix("=")
        else:
            if scope != "text" and " " not in word:
                self.name = word
            if scope != "name":
                self.text = re.compile(r"\b" + re.escape(word).replace(r"\ ", r"\s+") + r"\b", re.I)

    def excepts(self, path):
        return any(fnmatch.fnmatch(path, glob) for glob in self.globs)


def swift_pieces(text):
    """Yields (kind, offset, piece) of Swift code: "code", "comment" or "text" (strings, and names in backticks)."""
    pattern = re.compile(r'//[^\n]*|/\*.*?\*/|(#*)("""|")|`[^`\n]*`', re.S)
    i = 0
    while match := pattern.search(text, i):
        yield "code", i, text[i:match.start()]
        start, quote = match.start(), match.group(2)
        if not quote:
            piece = match.group()
            kind = "comment" if piece.startswith("/") else "text" if " " in piece else "code"
            yield kind, start, piece
            i = match.end()
            continue
        # A string ends at its delimiter; an interpolation is code, with strings of its own.
        end = quote + match.group(1)
        escape = "\\" + match.group(1)
        i = begin = match.end()
        while i < len(text) and not text.startswith(end, i):
            if text.startswith(escape + "(", i):
                yield "text", begin, text[begin:i]
                inner = i = i + len(escape) + 1
                depth = 1
                while i < len(text) and depth:
                    if text[i] == '"':
                        i = max(text.find('"', i + 1), i)
                    depth += {"(": 1, ")": -1}.get(text[i], 0)
                    i += 1
                yield "code", inner, text[inner:i - 1]
                begin = i
            elif text.startswith(escape, i):
                i += len(escape) + 1
            else:
                i += 1
        yield "text", begin, text[begin:i]
        i += len(end)
    yield "code", i, text[i:]


def markdown_pieces(text):
    """Yields the prose of a document, and its code spans as code; fenced and indented blocks are left out."""
    text = re.sub(r"^(```|~~~).*?^\1[^\n]*$|^(?: {4}|\t)[^\n]*$|<!--.*?-->|\]\([^)\n]*\)|^---\n.*?^---$",
                  lambda m: re.sub(r"[^\n]", " ", m.group()), text, flags=re.S | re.M)
    i = 0
    for match in re.finditer(r"``?[^`]*``?", text):
        yield "text", i, text[i:match.start()]
        yield "code", match.start(), match.group()
        i = match.end()
    yield "text", i, text[i:]


def findings(path, rules):
    """The lines of a file that hold a banned word: (line, word as it stands there, rule)."""
    text = (ROOT / path).read_text(encoding="utf-8", errors="replace")
    rules = [rule for rule in rules if not rule.excepts(path)]
    names = {rule.name: rule for rule in rules if rule.name}
    exact = {rule.exact: rule for rule in rules if rule.exact}
    found = []

    def check_code(offset, piece):
        for match in IDENTIFIER.finditer(piece):
            name = match.group()
            hits = [names[part.lower()] for part in PART.findall(name) if part.lower() in names]
            hits += [exact[name]] if name in exact else []
            found.extend((offset + match.start(), name, rule) for rule in hits)

    def check_text(offset, piece):
        for rule in rules:
            for match in rule.text.finditer(piece) if rule.text else ():
                found.append((offset + match.start(), " ".join(match.group().split()), rule))

    if path.endswith(".swift"):
        for kind, offset, piece in swift_pieces(text):
            if kind == "code":
                check_code(offset, piece)
            elif kind == "comment":
                for line in re.finditer(r"[^\n]+", piece):
                    words = re.sub(r"^\s*(///?|\*|/\*)\s?", lambda m: " " * len(m.group()), line.group())
                    prose = re.sub(r"`[^`]*`", lambda m: "`" * len(m.group()), words)
                    lead = len(prose) - len(prose.lstrip())
                    check_text(offset + line.start() + lead, prose.strip())
                    for span in re.finditer(r"`[^`]*`", words):
                        check_code(offset + line.start() + span.start(), span.group())
            else:
                check_text(offset, piece)
    else:
        for kind, offset, piece in markdown_pieces(text):
            if kind == "code":
                check_code(offset, piece)
            else:
                check_text(offset, piece)
    return sorted({(text.count("\n", 0, at) + 1, word, rule.word, rule.replacement) for at, word, rule in found})


def main():
    rules = [Rule(line, number) for number, line in enumerate(WORDS.read_text().splitlines(), 1)
             if line.strip() and not line.startswith("#")]
    files = [str(pathlib.Path(name).resolve().relative_to(ROOT)) for name in sys.argv[1:]]
    if not files:
        files = sorted({str(path.relative_to(ROOT)) for glob in SCANNED for path in ROOT.glob(glob)
                        if not any(part.startswith(".build") for part in path.relative_to(ROOT).parts)})
    problems = 0
    for path in files:
        for line, word, _, replacement in findings(path, rules):
            print(f"{path}:{line}: '{word[:40]}'; write: {replacement}")
            problems += 1
    if problems:
        sys.exit(f"words: {problems} findings")
    print(f"words: {len(files)} files, no banned words")


if __name__ == "__main__":
    main()
