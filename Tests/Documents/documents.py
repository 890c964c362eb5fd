#!/usr/bin/env python3
"""Runs the commands of a document, in their order, as its reader would type them.

    documents.py --binary IMGSTORE docs/manual.md …     the documents' blocks
    documents.py --binary IMGSTORE --help-examples      the examples of all help texts

How a document is written:
  * A fenced block without a language, or of `sh`, that has a line beginning with `imgstore` or `$ imgstore` is run:
    each line (with what a `\\` continues) is one step. Where lines begin with `$ `, the others are output, not run.
  * A step ends with exit code 0, unless its comment says so: `# exits 3`.
  * `<!-- site: xcat -->` names the machine that the commands meet (machines.py); without it nothing is run.
  * `<!-- run: COMMANDS -->` is run at this place and is not shown: what the reader's own work would have done.
  * `<!-- needs: forget --keep-auto -->` before a block: it is passed over where the program lacks this.
  * Blocks of another language (`text`) are not run; a command in one needs `<!-- not run: REASON -->` before it.

Each document has a machine of its own: a mount namespace in which /install, /srv, /var, /etc and the rest are its own,
and only /usr is this machine's. Messages have at most 80 columns where there is a blank to break them at, and so have
lists, a long name or path apart.
Exit code 77: this machine allows no such namespace. 1: something is not as it must be, and it was said.
"""
import argparse
import json
import os
import pathlib
import re
import subprocess
import sys
import tempfile

import machines

ROOT = pathlib.Path(__file__).resolve().parents[2]


# With these, a command prints what a program reads.
DOCUMENTS = ("--json", "--rules", "-z", "--csv")


class Step:
    """A command, and what it must end with."""

    def __init__(self, line, text, is_shown=True):
        self.line, self.text, self.is_shown = line, text, is_shown
        match = re.search(r"#.*\bexits (\d+)", text)
        self.status = int(match.group(1)) if match else 0


class Commands:
    """What the program knows: its commands and their options."""

    def __init__(self, binary):
        tree = json.loads(subprocess.check_output([binary, "--experimental-dump-help"]))
        self.known = {}
        self.discussions = {}
        self._add(tree["command"], [])

    def _add(self, command, path):
        options = {"-" * (1 if name["kind"] == "short" else 2) + name["name"]
                   for argument in command.get("arguments", []) for name in argument.get("names", [])}
        for name in [command["commandName"]] + command.get("aliases", []):
            self.known[" ".join(path + [name])] = options
        self.discussions[" ".join(path + [command["commandName"]])] = command.get("discussion", "")
        for child in command.get("subcommands", []):
            self._add(child, path + [command["commandName"]] if path or command["commandName"] != "imgstore" else [])

    def have(self, need):
        words = need.split()
        return words[0] in self.known and all(word in self.known[words[0]] for word in words[1:])


def is_command(line):
    return re.match(r"(\$ )?imgstore( |$)", line.strip()) is not None


def steps_of_block(lines, first):
    """The steps of a block; `lines` are what stands between its fences."""
    prompted = any(line.startswith("$ ") for line in lines)
    steps, pending, start = [], "", first
    for number, line in enumerate(lines, first):
        if prompted and not pending:
            if not line.startswith("$ "):
                continue
            line = line[2:]
        if not pending:
            start = number
        pending += line + "\n"
        if line.rstrip().endswith("\\"):
            continue
        if pending.strip() and not pending.strip().startswith("#"):
            steps.append(Step(start, pending.rstrip("\n")))
        pending = ""
    return steps


def read_document(text, commands):
    """The site, the steps, and what is wrong with the document itself."""
    site, steps, faults = None, [], []
    needs, reason = [], None
    lines = text.split("\n")
    i = 0
    while i < len(lines):
        line = lines[i]
        if line.lstrip().startswith("<!--"):
            end = i
            while "-->" not in lines[end]:
                end += 1
            comment = "\n".join(lines[i:end + 1]).strip()[4:].rsplit("-->", 1)[0].strip()
            kind, _, value = comment.partition(":")
            if kind == "site":
                site = value.strip()
            elif kind == "run":
                steps += [Step(i + 1, value.strip(), is_shown=False)]
            elif kind == "needs":
                needs.append(value.strip())
            elif kind == "not run":
                reason = value.strip()
            i = end + 1
            continue
        fence = re.match(r"\s*```(\w*)", line)
        if fence:
            end = i + 1
            while not lines[end].strip().startswith("```"):
                end += 1
            block = lines[i + 1:end]
            if any(map(is_command, block)):
                if fence.group(1) in ("", "sh"):
                    if reason is None and all(map(commands.have, needs)):
                        steps += steps_of_block(block, i + 2)
                elif reason is None:
                    faults.append((i + 1, "a command in a block that is not run, and no reason"))
            needs, reason = [], None
            i = end + 1
            continue
        indented = re.match(r" {4,}(?:\$ )?imgstore ([a-z]+)", line)
        if indented and indented.group(1) in commands.known:
            faults.append((i + 1, "a command in an indented block: put it between fences"))
        for quoted in re.findall(r"`imgstore ([a-z][a-z-]*)[^`]*`", line):
            if quoted not in commands.known and quoted not in OTHER_WORDS:
                faults.append((i + 1, f"there is no command '{quoted}'"))
        i += 1
    return site, steps, faults


# What else stands behind the program's name: words that it answers, text of files (format.md, signatures.md), and
# commands that it is about to get.
OTHER_WORDS = ("help", "version", "signed", "sparse", "store")


def help_examples(commands):
    """The example lines of the help texts, by command."""
    for command, discussion in commands.discussions.items():
        found = []
        for paragraph in discussion.split("\n\n"):
            match = re.match(r"\s*Examples?:\s*", paragraph)
            if match:
                found += paragraph[match.end():].split("\n")
        # What is said about an example stands behind it, after two blanks.
        joined = re.sub(r"\\\n\s*", "", "\n".join(found)).split("\n")
        found = [re.sub(r"  +[^ '\"-].*$", "", line.strip()) for line in joined]
        yield command, [line for line in found if line.startswith("imgstore ")]


def wide_help(binary, commands):
    """The lines of help texts that are wider than 80 columns, and the examples that the help folds."""
    environment = dict(os.environ, COLUMNS="80")
    for command, discussion in commands.discussions.items():
        examples = (line for line in discussion.splitlines() if line.startswith("  imgstore"))
        yield from ((command, line) for line in examples if len(line) > 80)
        help_words = [] if command == "imgstore" else command.split()
        said = subprocess.run([binary, *help_words, "--help"], capture_output=True, text=True, env=environment)
        yield from ((command, line) for line in said.stdout.splitlines() if len(line) > 80)


def is_too_wide_message(line):
    """Whether a line has over 80 columns and a blank where it could be broken before that."""
    return len(line) > 80 and " " in line[:81].strip()


def is_too_wide_row(line):
    """Whether a line has over 80 columns, and not because of a long name, path or digest in it."""
    return is_too_wide_message(line) and len(" ".join(word for word in line.split() if len(word) <= 30)) > 80


def run(site, steps, binary):
    """Runs steps on a new machine of that kind, or on a copy of a machine; returns the faults and the results."""
    with tempfile.TemporaryDirectory(prefix="imgstore-document-") as folder:
        machine = machines.Machine(pathlib.Path(folder), binary)
        if isinstance(site, machines.Machine):
            subprocess.run(["cp", "-a", f"{site.path}/.", folder], check=True)
        else:
            machine.build(site)
        results = machine.run([step.text for step in steps])
        faults = []
        for step, (status, output, errors) in zip(steps, results):
            if status != step.status:
                faults.append((step.line, f"exits {status}, not {step.status}: {step.text}\n{output[-2000:]}{errors}"))
            if not step.is_shown or any(word in DOCUMENTS for word in step.text.split()):
                continue
            wide = [line for line in output.splitlines() if is_too_wide_row(line)]
            wide += [line for line in errors.splitlines() if is_too_wide_message(line)]
            faults += [(step.line, f"{len(line)} columns: {step.text}\n{line}") for line in wide]
        return faults, list(zip(steps, results))


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--binary", required=True)
    parser.add_argument("--help-examples", action="store_true")
    parser.add_argument("--show", action="store_true", help="print what the steps print")
    parser.add_argument("documents", nargs="*")
    options = parser.parse_args()
    if not machines.is_possible():
        print("documents: this machine allows no mount namespaces", file=sys.stderr)
        return 77
    binary = pathlib.Path(options.binary).resolve()
    commands = Commands(binary)
    faults, count = [], 0
    work = []
    for name in options.documents:
        site, steps, found = read_document(pathlib.Path(name).read_text(), commands)
        faults += [(name, *fault) for fault in found]
        if any(step.is_shown for step in steps) and site is None:
            faults.append((name, 1, "commands, and no <!-- site: … -->"))
        elif site is not None:
            work.append((name, site, steps))
    template_folder = tempfile.TemporaryDirectory(prefix="imgstore-document-")
    if options.help_examples:
        template = machines.Machine(pathlib.Path(template_folder.name), binary)
        template.build("examples")
        for command, lines in help_examples(commands):
            if command in machines.NEED_REFLINKS:
                lines = list(filter(machines.NEED_REFLINKS[command], lines))
            if lines:
                steps = [Step(0, text, False) for text in machines.BEFORE_EXAMPLES.get(command, [])]
                work.append((f"help {command}", template, steps + [Step(n + 1, line) for n, line in enumerate(lines)]))
        faults += [(f"help {command}", 0, f"{len(line)} columns: {line}")
                   for command, line in wide_help(binary, commands)]
    for name, site, steps in work:
        found, results = run(site, steps, binary)
        faults += [(name, *fault) for fault in found]
        count += sum(step.is_shown for step in steps)
        if options.show:
            for step, (status, output, errors) in results:
                print(f"--- {name}:{step.line} [{status}] {step.text}\n{output}{errors}", end="")
    for name, line, what in faults:
        print(f"{name}:{line}: {what}")
    print(f"{count} commands, {len(faults)} faults")
    return 1 if faults else 0


if __name__ == "__main__":
    sys.exit(main())
