#!/usr/bin/env python3
"""The keys in docs/json.md, from the schemas: json-docs.py [--check]

docs/schema is printed from the types of the program (`make schemas`). Each row of the table of documents, and each item
of "Objects", has its keys in the first `{…}`; this script writes them. The words around them are written by people.
With --check, it changes nothing, and fails if docs/json.md is out of date. It always fails if a kind of document or an
object is not described.
"""
import json
import re
import sys
import textwrap
from collections import Counter
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
PAGE = ROOT / "docs/json.md"
ENVELOPE = {"schema", "document"}
# An object without an item of its own is written out where it is used: if that is one place, or if it has at most so
# many keys, all of them plain values.
MAX_INLINE_KEYS = 6


class Schemas:
    def __init__(self, described):
        self.described = described
        self.documents = {path.stem: json.loads(path.read_text()) for path in (ROOT / "docs/schema").glob("*.json")}
        self.objects = {name: body for document in self.documents.values()
                        for name, body in document.get("$defs", {}).items()}
        kinds = {frozenset(self.keys(body)): kind for kind, body in self.documents.items()}
        # A document inside of another has the name of its kind.
        self.nested = {name: kinds[keys] for name, body in self.objects.items()
                       if (keys := frozenset(body["properties"])) in kinds}
        self.names = {name: self.nested.get(name) or self.spelled(name) for name in self.objects}
        bodies = [body for kind, body in self.documents.items() if kind not in self.nested.values()]
        self.uses = Counter(name for body in bodies + list(self.objects.values())
                            for name in re.findall(r'"#/\$defs/([^"]+)"', json.dumps(body["properties"])))

    @staticmethod
    def spelled(name):
        """The name of an object in the page: "import.image" for "Import.Image"."""
        return ".".join(part[0].lower() + part[1:] for part in name.split("."))

    @staticmethod
    def keys(body):
        """The keys in the order of the type: those that every value has, then the others, sorted."""
        required = [key for key in body["required"] if key not in ENVELOPE]
        return required + sorted(set(body["properties"]) - set(required) - ENVELOPE)

    def is_inline(self, name):
        body = self.objects[name]
        if name in self.nested or self.names[name] in self.described:
            return False
        plain = all("type" in value and value["type"] not in ("array", "object")
                    for value in body["properties"].values())
        return self.uses[name] == 1 or plain and len(body["properties"]) <= MAX_INLINE_KEYS

    def text(self, body):
        """The keys of an object: "{name, parts: [text], exact?}"."""
        words = []
        for key in self.keys(body):
            kind = self.kind(body["properties"][key])
            mark = "" if key in body["required"] else "?"
            words.append(key + mark + (f": {kind}" if kind and kind != key else ""))
        return "{" + ", ".join(words) + "}"

    def kind(self, value):
        """The kind of a value; nothing for a plain one."""
        if "$ref" in value:
            name = value["$ref"].rsplit("/", 1)[1]
            return self.text(self.objects[name]) if self.is_inline(name) else self.names[name]
        if value["type"] == "array":
            return f"[{self.kind(value['items']) or ('number' if value['items']['type'] == 'integer' else 'text')}]"
        if value["type"] == "object":
            return "{…}"
        return ""


def with_keys(words, keys):
    """Replaces the first `{…}`."""
    return re.sub(r"`\{[^`]*`", lambda _: f"`{keys}`", words, count=1)


def main():
    old = PAGE.read_text()
    start = old.index("\n## Documents\n")
    middle = old.index("\n## Objects\n")
    schemas = Schemas(set(re.findall(r"\n- \*\*([A-Za-z.-]+)\*\*", old[middle:])))
    problems = []

    rows = []
    seen = set()
    for line in old[start:middle].split("\n"):
        row = re.fullmatch(r"\| (`.*|any) \| `([a-z-]+)` \| (.*) \|", line)
        if row and row[2] != "error":
            command, kind, words = row.groups()
            seen.add(kind)
            if kind not in schemas.documents:
                problems.append(f"no document is of the kind '{kind}'")
            elif "`{" not in words:
                problems.append(f"the row of '{kind}' has no place for its keys: write `{{}}`")
            else:
                line = f"| {command} | `{kind}` | {with_keys(words, schemas.text(schemas.documents[kind]))} |"
        rows.append(line)
    problems += [f"no row of the document '{kind}'" for kind in sorted(set(schemas.documents) - seen - {"error"})]

    items = old[middle:].split("\n- ")
    for number, item in enumerate(items[1:], 1):
        name = re.match(r"\*\*([A-Za-z.-]+)\*\*", item)
        words = " ".join(item.split())
        if name:
            body = next((schemas.objects[o] for o, text in schemas.names.items() if text == name[1]), None)
            if body and words.startswith(f"**{name[1]}**: `{{"):
                words = with_keys(words, schemas.text(body))
        items[number] = "\n".join(textwrap.wrap("- " + words, 100, subsequent_indent="  ", break_long_words=False,
                                                break_on_hyphens=False))[2:]
    problems += [f"no item for the object '{name}'" for schema, name in sorted(schemas.names.items())
                 if schema not in schemas.nested and name not in schemas.described and not schemas.is_inline(schema)]
    new = old[:start] + "\n".join(rows) + "\n- ".join(items) + "\n"
    if problems:
        sys.exit("docs/json.md: " + "\ndocs/json.md: ".join(problems))
    if new != old:
        if "--check" in sys.argv[1:]:
            sys.exit("docs/json.md: the keys differ from docs/schema: run scripts/json-docs.py")
        PAGE.write_text(new)


main()
