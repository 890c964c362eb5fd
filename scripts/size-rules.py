#!/usr/bin/env python3
"""Checks the sizes of functions and types in Sources (make lint). With --list, prints all that exceed a limit.

1. A function, initializer, subscript or computed property has at most 60 lines, its signature included.
2. A function, initializer or subscript has at most 6 parameters.
3. A type has at most 25 methods, all its extensions in a module together. Requirements of protocols do not count.
   The protocol FileSystem and the types that conform to it are exempt: their methods are the system's calls.

scripts/size-exceptions.txt lists exceptions: rule (lines, parameters or methods), name and reason, with tabs between.
A name is that of the module, the type and the function: Store.Verifier.read. An exception that is not needed fails.
"""

import collections
import pathlib
import re
import sys

import words

ROOT = pathlib.Path(__file__).resolve().parent.parent
EXCEPTIONS = ROOT / "scripts/size-exceptions.txt"
LIMITS = {"lines": 60, "parameters": 6, "methods": 25}
SEAM = "FileSystem"
# A declaration: a type, a function, an initializer or subscript (not a call), or a computed property.
DECLARATION = re.compile(
    r"(?<![.\w])(?:(?P<kind>extension|struct|class|enum|actor|protocol)\s+(?!func\b|var\b|let\b)(?P<type>\[?\w+[\w.]*\]?)"
    r"|func\s+(?P<func>[^\s(<]+|[<=>]+)(?=\s*[(<])"
    r"|(?P<init>init|subscript)[?!]?(?=\s*[(<])"
    r"|(?P<deinit>deinit)(?=\s*\{)"
    r"|var\s+(?P<var>\w+)\s*:[^={}\n]*(?=\{))")
CLOSING = {"(": ")", "[": "]", "{": "}"}


def blanked(text):
    """Returns Swift code with blanks in place of comments and strings. Offsets and lines stay."""
    result = [mark if mark == "\n" else " " for mark in text]
    for kind, offset, piece in words.swift_pieces(text):
        if kind == "code":
            result[offset:offset + len(piece)] = piece
    return "".join(result)


def close(code, start):
    """Returns the offset of the bracket that closes the one at `start`."""
    depth = 0
    for match in re.compile(r"[()\[\]{}]").finditer(code, start):
        depth += 1 if match.group() in CLOSING else -1
        if depth == 0:
            return match.start()
    sys.exit(f"size-rules.py: bracket without its end: {code[start:start + 60]!r}")


def signature(code, start):
    """Returns the number of parameters of the function whose name ends at `start`, and the offset after them."""
    opening = code.index("(", start)
    if code[start:opening].lstrip().startswith("<"):
        depth = 0
        for match in re.compile(r"(?<!-)>|<").finditer(code, start):
            depth += 1 if match.group() == "<" else -1
            if depth == 0:
                opening = code.index("(", match.end())
                break
    end = close(code, opening)
    count, i = 0, opening + 1
    if code[i:end].strip():
        count = 1
        depth = 0
        for match in re.compile(r"[()\[\]{},<]|(?<!-)>").finditer(code, i, end):
            mark = match.group()
            if mark == "," and depth == 0 and code[match.end():end].strip():
                count += 1
            elif mark in "([{<":
                depth += 1
            elif mark in ")]}>":
                depth -= 1
    return count, end + 1


class File:
    """The declarations of one file."""

    def __init__(self, path):
        self.path, self.module = path, path.relative_to(ROOT / "Sources").parts[0]
        self.code = blanked(path.read_text())
        self.found = []     # (rule, name, value, offset)
        self.methods = []   # (type, offset)
        self.conforming = set()
        self.read(0, len(self.code), [], True)

    def read(self, start, limit, types, is_member):
        """Reads the declarations between two offsets, which are members of `types`, or local to a function."""
        i = start
        while match := DECLARATION.search(self.code, i, limit):
            i = match.end()
            if match["kind"]:
                opening = self.code.find("{", i, limit)
                if opening < 0:
                    return
                end = close(self.code, opening)
                name = match["type"]
                if re.search(rf"[:,]\s*{SEAM}\b", self.code[i:opening]) and match["kind"] != "protocol":
                    self.conforming.add(".".join(types + [name]))
                if match["kind"] != "protocol":
                    self.read(opening + 1, end, types + [name], True)
                i = end + 1
                continue
            name = ".".join([self.module, *types, match["func"] or match["init"] or match["deinit"] or match["var"]])
            if not (match["var"] or match["deinit"]):
                count, i = signature(self.code, i)
                self.found.append(("parameters", name, count, match.start()))
            if match["func"] and is_member and types:
                self.methods.append((".".join(types), match.start()))
            opening = self.code.find("{", i, limit)
            if opening < 0:
                return
            end = close(self.code, opening)
            self.found.append(("lines", name, self.code.count("\n", match.start(), end) + 1, match.start()))
            self.read(opening + 1, end, types, False)
            i = end + 1

    def where(self, offset):
        return f"{self.path.relative_to(ROOT)}:{self.code.count(chr(10), 0, offset) + 1}"


def excesses():
    """Returns everything that exceeds a limit: {(rule, name): [(value, place)]}."""
    result = collections.defaultdict(list)
    methods, conforming = collections.defaultdict(list), {SEAM}
    for path in sorted((ROOT / "Sources").rglob("*.swift")):
        file = File(path)
        conforming |= file.conforming
        for type_name, offset in file.methods:
            methods[file.module, type_name].append(file.where(offset))
        for rule, name, value, offset in file.found:
            if value > LIMITS[rule]:
                result[rule, name].append((value, file.where(offset)))
    for (module, name), places in methods.items():
        if len(places) > LIMITS["methods"] and name not in conforming:
            result["methods", f"{module}.{name}"].append((len(places), places[0].rpartition(":")[0]))
    return result


def exceptions():
    """Returns the exceptions: {(rule, name): line number}."""
    result = {}
    for number, line in enumerate(EXCEPTIONS.read_text().splitlines(), 1):
        if not line or line.startswith("#"):
            continue
        fields = [field.strip() for field in line.split("\t") if field.strip()]
        if len(fields) != 3 or fields[0] not in LIMITS:
            sys.exit(f"{EXCEPTIONS.name}:{number}: expected a rule, a name and a reason, with tabs between")
        result[fields[0], fields[1]] = number
    return result


def closures_in_monitors():
    """Returns the places of monitors that hold closures: each reading would wrap the closure once more."""
    texts = {path: path.read_text() for path in sorted((ROOT / "Sources").rglob("*.swift"))}
    names = {name for text in texts.values() for name in re.findall(r"typealias (\w+)\s*=[^=]*?\)[^=\n]*->", text)}
    for path, text in texts.items():
        # A type of the file hides a closure of the same name elsewhere.
        closures = names - set(re.findall(r"\b(?:class|enum|struct) (\w+)", text))
        pattern = re.compile(
            r"\bMonitor(?:<[^<>\n]*->|\s*\(\s*\{|<\(?(?:" + "|".join(closures) + r")\)?\??>)")
        for number, line in enumerate(text.splitlines(), 1):
            if not line.lstrip().startswith("//") and pattern.search(line):
                yield f"{path.relative_to(ROOT)}:{number}"


def main():
    closures = list(closures_in_monitors())
    for place in closures:
        print(f"{place}: a Monitor must not hold a closure (Threads.swift says why)", file=sys.stderr)
    found, excepted = excesses(), exceptions()
    shown = found if "--list" in sys.argv else {key: value for key, value in found.items() if key not in excepted}
    for (rule, name), items in sorted(shown.items()):
        for value, place in items:
            print(f"{place}: {name} has {value} {rule}; the limit is {LIMITS[rule]}", file=sys.stderr)
    unneeded = [(key, number) for key, number in excepted.items() if key not in found]
    for (rule, name), number in unneeded:
        print(f"{EXCEPTIONS.name}:{number}: {name} needs no exception for {rule}", file=sys.stderr)
    return 1 if shown or unneeded or closures else 0


if __name__ == "__main__":
    sys.exit(main())
