#!/usr/bin/env python3
"""Writes the manual pages, from the program's own help: manual.py BINARY FOLDER [--check]

imgstore(1) lists all commands; each command has a page named git's way, imgstore-revert(1); imgstore-json(5) is
docs/json.md. Examples are those of the help text, else the first ones of docs/manual.md: all of them are tested.
ENVIRONMENT, FILES and EXIT STATUS stand in manual-common.txt. The date is that of the last commit, so that the same
source gives the same pages. With --check, each page must have its sections, and must please mandoc, if it is there.
"""
import json
import pathlib
import re
import shutil
import subprocess
import sys

ROOT = pathlib.Path(__file__).resolve().parent.parent
SECTIONS = ["NAME", "SYNOPSIS", "DESCRIPTION", "ENVIRONMENT", "FILES", "EXIT STATUS", "EXAMPLES", "SEE ALSO"]
RELATED = {
    "add": ["snapshot", "define"], "snapshot": ["status", "log", "revert"], "status": ["diff", "snapshot"],
    "diff": ["status", "log"], "revert": ["undo", "resume", "diff"], "undo": ["revert", "resume"],
    "resume": ["revert", "undo"], "export": ["import", "secrets"], "import": ["export", "undo"],
    "forget": ["remove", "pin", "gc"], "remove": ["forget", "gc"], "gc": ["forget", "optimize", "du"],
    "verify": ["repair"], "repair": ["verify"], "tag": ["tags", "untag"], "pin": ["unpin", "forget"],
    "pack": ["bench", "recipes"], "restore": ["cat", "ls"], "sign": ["key", "verify"],
}


def escape(text):
    """Text as roff takes it."""
    text = text.replace("\\", "\\e")
    return "\n".join("\\&" + line if line[:1] in (".", "'") else line for line in text.split("\n"))


def literal(text):
    """A command, an option: the hyphen is one that can be copied."""
    return escape(text).replace("-", "\\-")


def bold(text):
    return "\\fB" + literal(text) + "\\fR"


def sentence(text):
    return text[:1].lower() + text[1:].rstrip(".")


class Pages:
    def __init__(self, binary):
        tree = json.loads(subprocess.check_output([binary, "--experimental-dump-help"]))["command"]
        self.version = subprocess.check_output([binary, "--version"], text=True).strip()
        date = subprocess.run(["git", "-C", ROOT, "log", "-1", "--format=%cs"], capture_output=True, text=True)
        self.date = date.stdout.strip() or "2026-01-01"
        self.tree = tree
        self.commands = [c for c in tree["subcommands"] if c["commandName"] != "help" and c.get("shouldDisplay", True)]
        spellings = [{self.spelling(a) for a in self.options(leaf)} for c in self.commands for leaf in self.leaves(c)]
        # Some commands need no store, and have no options.
        self.common = set.intersection(*(s for s in spellings if "--store" in s))
        self.common_options = [a for a in self.options(next(self.leaves(self.commands[0])))
                               if self.spelling(a) in self.common]
        self.manual_examples = self.read_manual()

    # What the help says.

    @staticmethod
    def options(command):
        return [a for a in command["arguments"] if a["kind"] != "positional" and a.get("shouldDisplay", True)
                and a["valueName"] not in ("help", "version")]

    @staticmethod
    def leaves(command):
        if command.get("subcommands"):
            for child in command["subcommands"]:
                if child["commandName"] != "help":
                    yield from Pages.leaves(child)
        else:
            yield command

    @staticmethod
    def spelling(argument):
        names = [("-" if n["kind"] == "short" else "--") + n["name"] for n in argument["names"]]
        return ", ".join(sorted(names, key=len))

    @staticmethod
    def read_manual():
        """The first three commands of docs/manual.md for each command."""
        found, fenced, is_run = {}, False, False
        for line in (ROOT / "docs/manual.md").read_text().split("\n"):
            if line.startswith("```"):
                is_run = line == "```" and not fenced
                fenced = not fenced
            match = re.match(r"imgstore ([a-z-]+)\b", line)
            if is_run and match and not line.endswith("\\") and len(found.setdefault(match[1], [])) < 3:
                found[match[1]].append(re.sub(r"\s+#.*", "", line))
        return found

    # Pages.

    def header(self, name, section):
        return f".TH {literal(name.upper())} {section} {self.date} \"{self.version}\" \"imgstore manual\"\n.ad l\n.nh\n"

    def discussion(self, command):
        """Paragraphs, and the example lines."""
        paragraphs, examples = [], []
        for paragraph in command.get("discussion", "").split("\n\n"):
            match = re.match(r"\s*Examples?:\s*", paragraph)
            if match:
                examples += [line.strip() if line.strip().startswith("imgstore") else "    " + line.strip()
                             for line in paragraph[match.end():].split("\n")]
            elif paragraph.strip() and not paragraph.startswith("Exit codes:"):
                paragraphs.append(paragraph.strip())
        return paragraphs, examples

    def describe(self, arguments):
        text = ""
        for a in arguments:
            text += ".TP\n"
            if a["kind"] == "positional":
                text += "\\fI" + literal(a["valueName"]) + "\\fR\n"
            else:
                value = " \\fI" + literal(a["valueName"].replace("> <", " ")) + "\\fR" if a["kind"] == "option" else ""
                text += ", ".join(bold(s) + value for s in self.spelling(a).split(", ")) + "\n"
            about = re.sub(r"\s+", " ", a.get("abstract", "")).strip()
            if a.get("defaultValue") and "default" not in about and a["kind"] == "option":
                about = f"{about.rstrip('.')} (default: {a['defaultValue']})"
            text += escape(about or "See above.") + "\n"
        return text

    def synopsis(self, words, command):
        text = bold(" ".join(words))
        if any(self.spelling(a) not in self.common for a in self.options(command)):
            text += " [\\fIoptions\\fR]"
        for a in command["arguments"]:
            if a["kind"] != "positional":
                continue
            name = "\\fI" + literal(a["valueName"]) + "\\fR" + (" ..." if a["isRepeating"] else "")
            if a["parsingStrategy"] == "postTerminator":
                name = bold("--") + " " + name
            text += f" [{name}]" if a["isOptional"] else f" {name}"
        return text

    def command(self, command):
        name = command["commandName"]
        paragraphs, examples = self.discussion(command)
        children = [c for c in command.get("subcommands", []) if c["commandName"] != "help"]
        text = self.header("imgstore-" + name, 1)
        text += f".SH NAME\nimgstore\\-{literal(name)} \\- {escape(sentence(command['abstract']))}\n.SH SYNOPSIS\n"
        text += "\n.br\n".join(self.synopsis(["imgstore", name, c["commandName"]], c) for c in children) \
            or self.synopsis(["imgstore", name], command)
        text += "\n.SH DESCRIPTION\n" + "\n.PP\n".join(escape(p) for p in [command["abstract"], *paragraphs]) + "\n"
        if command.get("aliases"):
            text += ".PP\nAlso called " + " and ".join(bold("imgstore " + a) for a in command["aliases"]) + ".\n"
        for child in children:
            text += f".SS imgstore {name} {literal(child['commandName'])}\n"
            text += "\n.PP\n".join(escape(p) for p in [child["abstract"], *self.discussion(child)[0]]) + "\n"
            text += self.describe(self.own(child))
        if not children:
            text += self.describe(self.own(command))
        text += ".PP\nOptions of every command are described in\n.BR imgstore (1).\n"
        text += common_sections() + self.examples(examples or self.manual_examples.get(name, []))
        return text + self.see_also(RELATED.get(name, []))

    def own(self, command):
        positionals = [a for a in command["arguments"] if a["kind"] == "positional"]
        return positionals + [a for a in self.options(command) if self.spelling(a) not in self.common]

    def examples(self, lines):
        return ".SH EXAMPLES\n.nf\n" + "\n".join(literal(line) for line in lines) + "\n.fi\n"

    def see_also(self, names):
        pages = sorted(f"imgstore-{name}" for name in names) + ["imgstore"]
        text = ".SH SEE ALSO\n"
        for i, page in enumerate(sorted(pages)):
            text += f".BR {literal(page)} (1)" + (" ,\n" if i < len(pages) - 1 else "\n").replace(" ,", ",")
        return text

    def main(self):
        paragraphs, _ = self.discussion(self.tree)
        text = self.header("imgstore", 1)
        text += ".SH NAME\nimgstore \\- snapshots of node images: compare, revert, export, import\n"
        text += ".SH SYNOPSIS\n" + bold("imgstore") + " [\\fIoptions\\fR] \\fIcommand\\fR [\\fIargument\\fR ...]\n"
        text += ".SH DESCRIPTION\n" + "\n.PP\n".join(escape(p) for p in paragraphs) + "\n.SH COMMANDS\n"
        for c in self.commands:
            text += f".TP\n.BR imgstore\\-{literal(c['commandName'])} (1)\n{escape(c['abstract'])}\n"
        text += ".SH OPTIONS\nThese may stand before the command, too.\n" + self.describe(self.common_options)
        text += ".TP\n" + bold("-h") + ", " + bold("--help") + "\nPrint help.\n"
        text += ".TP\n" + bold("--version") + "\nPrint the version.\n"
        lines = ["imgstore images", 'imgstore snapshot compute -m "before the update" --tag golden',
                 "imgstore diff compute@golden", "imgstore revert compute@golden:etc/ssh", "imgstore undo compute"]
        text += common_sections() + self.examples(lines)
        return text + (".SH SEE ALSO\n.BR imgstore\\-json (5),\n.BR imgexport (1),\n.BR imgimport (1),\n"
                       ".BR packimage (1),\n.BR liteimg (1)\n")

    def all(self):
        pages = {"imgstore.1": self.main(), "imgstore-json.5": self.header("imgstore-json", 5) + json_page()}
        for c in self.commands:
            pages[f"imgstore-{c['commandName']}.1"] = self.command(c)
        for name in ["imgexport.1", "imgimport.1", "packimage.1", "liteimg.1"]:
            # These are written by hand; XCATNameTests and PackNameTests compare them with the usages.
            pages[name] = re.sub(r"^\.Dd .*", ".Dd " + self.date, (ROOT / "docs" / name).read_text())
        return pages


def common_sections():
    text, heading = "", True
    for line in (ROOT / "scripts/manual-common.txt").read_text().split("\n"):
        if not line:
            heading = True
        elif heading:
            text, heading = text + f".SH {line}\n", False
        elif line.startswith("  "):
            text += escape(line.strip()) + "\n"
        else:
            text += ".TP\n" + bold(line) + "\n"
    return text


def inline(text):
    """A line of Markdown."""
    text = re.sub(r"\[([^\]]*)\]\([^)]*\)", r"\1", text).replace("\\|", "|")
    parts = re.split(r"(`[^`]*`|\*\*[^*]*\*\*)", text)
    return "".join(bold(p.strip("`*")) if p[:1] == "`" or p[:2] == "**" else escape(p) for p in parts)


def json_page():
    """docs/json.md: headings, paragraphs, tables and lists."""
    text = (".SH NAME\nimgstore\\-json \\- documents that imgstore prints with \\-\\-json\n.SH DESCRIPTION\n")
    blocks = re.sub(r"<!--.*?-->", "", (ROOT / "docs/json.md").read_text(), flags=re.S).split("\n\n")
    is_first = True
    for block in blocks:
        lines = [line for line in block.split("\n") if line.strip()]
        if not lines or lines[0].startswith("# "):
            lines = lines[1:]
        if not lines:
            continue
        if lines[0].startswith("#"):
            text += ".SH " + inline(lines[0].lstrip("# ").upper()) + "\n"
            lines, is_first = lines[1:], True
            if not lines:
                continue
        if lines and lines[0].startswith("```"):
            text += ".nf\n" + "\n".join(literal(line) for line in lines[1:-1]) + "\n.fi\n"
        elif lines and lines[0].startswith("|"):
            for line in lines[2:]:
                cells = [c.strip() for c in re.split(r"(?<!\\)\|", line.strip("|"))]
                text += ".TP\n" + inline(cells[0]) + "\n" + inline("; ".join(c for c in cells[1:] if c)) + "\n"
        elif lines and lines[0].startswith("- "):
            for item in re.split(r"\n- ", "\n" + "\n".join(lines))[1:]:
                text += ".IP \\(bu 2\n" + inline(re.sub(r"\s+", " ", item)) + "\n"
        elif lines:
            text += ("" if is_first else ".PP\n") + inline(" ".join(lines)) + "\n"
        is_first = False
    return text + ".SH SEE ALSO\n.BR imgstore (1)\n"


def check(folder, pages):
    faults = []
    for name, text in pages.items():
        if name.startswith("imgstore") and name.endswith(".1"):
            found = re.findall(r"^\.SH (.*)", text, re.M)
            faults += [f"{name}: has no {s}" for s in SECTIONS if s not in found]
            if re.search(r"\.SH EXAMPLES\n\.nf\n\n", text):
                faults.append(f"{name}: has no example: add one to its help, or to docs/manual.md")
        if shutil.which("mandoc"):
            said = subprocess.run(["mandoc", "-T", "lint", "-W", "warning", folder / name], capture_output=True, text=True)
            faults += said.stdout.splitlines()
    return faults


def main():
    binary, folder = sys.argv[1], pathlib.Path(sys.argv[2])
    folder.mkdir(parents=True, exist_ok=True)
    pages = Pages(binary).all()
    for name, text in pages.items():
        (folder / name).write_text(text)
    faults = check(folder, pages) if "--check" in sys.argv else []
    print("\n".join(faults), end="\n" if faults else "")
    return 1 if faults else 0


if __name__ == "__main__":
    sys.exit(main())
