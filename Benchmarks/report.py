"""The rows that benchmarks print, with their marks: as text, as Markdown and as JSON, all with one schema.

The document is {machine, versions, corpus, rows}. A row has `name`, `unit`, `results` (a value for each program),
`better` ("lower" or "higher"), `ratio` (how many times better than the best peer, or null), `mark` (what is wanted, as
text, or null) and `isReached` (null without a mark). `floor` names the result that is no peer but a lower bound: a
program that does only a part of the work. `rounds` is the number of runs behind each value; `failures` says why a
program has no value.
"""
import dataclasses
import datetime
import json
import os
import re
import subprocess

OURS = "imgstore"
NONE = "–"


@dataclasses.dataclass
class Mark:
    """What a row must reach: a ratio to the best peer, a limit, or a multiple of the floor."""
    ratio: float | None = None
    limit: float | None = None
    floors: float | None = None

    def text(self, row):
        parts = []
        if self.ratio is not None:
            parts.append(f"at least {self.ratio:.3g} ×")
        if self.limit is not None:
            parts.append(f"at most {self.limit:g} {row.unit}".strip())
        if self.floors is not None:
            parts.append(f"at most {self.floors:g} × {row.floor}")
        return ", ".join(parts)

    def is_reached(self, row):
        """Whether all parts are reached; None if a value for one of them is missing."""
        ours, floor, parts = row.results.get(OURS), row.results.get(row.floor), []
        if ours is None:
            return None
        if self.ratio is not None:
            parts.append(None if row.ratio is None else row.ratio >= self.ratio)
        if self.limit is not None:
            parts.append(ours <= self.limit if row.better == "lower" else ours >= self.limit)
        if self.floors is not None:
            parts.append(None if floor is None else ours <= self.floors * floor)
        return False if False in parts else None if None in parts else True


@dataclasses.dataclass
class Row:
    """One line of a table."""
    name: str
    unit: str
    results: dict
    better: str = "lower"
    floor: str | None = None
    mark: Mark | None = None
    rounds: int = 1
    failures: dict = dataclasses.field(default_factory=dict)

    @property
    def peers(self):
        return {name: value for name, value in self.results.items() if name not in (OURS, self.floor)}

    @property
    def ratio(self):
        """How many times better than the best peer the first value is; None without a peer, or beside nothing."""
        ours, peers = self.results.get(OURS), self.peers.values()
        if ours is None or not peers:
            return None
        best = min(peers) if self.better == "lower" else max(peers)
        above, below = (best, ours) if self.better == "lower" else (ours, best)
        return above / below if below else None

    @property
    def is_reached(self):
        return self.mark.is_reached(self) if self.mark else None

    def document(self):
        return {"name": self.name, "unit": self.unit, "results": self.results, "better": self.better,
                "floor": self.floor, "ratio": self.ratio, "mark": self.mark.text(self) if self.mark else None,
                "isReached": self.is_reached, "rounds": self.rounds, "failures": self.failures}


def number(value, unit):
    """A value with two significant digits or more, as a table shows it."""
    if value is None:
        return NONE
    if unit == "B" or isinstance(value, int):
        return f"{value:,.0f}"
    if value < 0.1:
        return f"{value:.3f}"
    return f"{value:.2f}" if value < 10 else f"{value:.1f}" if value < 100 else f"{value:,.0f}"


def with_unit(value, unit):
    return number(value, unit) + (f" {unit}" if unit and value is not None else "")


def verdict(row):
    """The mark of a row's document, and whether it was reached."""
    if not row["mark"]:
        return ""
    return row["mark"] + {True: "", False: ": not reached", None: ": not measured"}[row["isReached"]]


def cells(row):
    """The cells of a row's document: name, ours, restic, borg, the other peers, the floor, ratio, runs, mark."""
    results, unit, floor = row["results"], row["unit"], row["floor"]
    failures = row["failures"]

    def cell(name, with_name=False):
        text = "failed" if name in failures and name not in results else with_unit(results.get(name), unit)
        return f"{name} {text}" if with_name else text

    names = [*results, *(name for name in failures if name not in results)]
    others = [cell(name, True) for name in names if name not in (OURS, "restic", "borg", floor)]
    ratio = NONE if row["ratio"] is None else f"{row['ratio']:.2f}" if row["ratio"] < 10 else f"{row['ratio']:.0f}"
    return [row["name"], cell(OURS), cell("restic"), cell("borg"), ", ".join(others) or NONE,
            cell(floor, True) if floor and floor in names else NONE, ratio, str(row["rounds"]), verdict(row)]


HEADINGS = ["", OURS, "restic", "borg", "other peer", "lower bound", "ratio", "runs", "mark"]


def aligned(rows):
    """The rows' documents as an aligned table of text."""
    lines = [HEADINGS, *(cells(row) for row in rows)]
    widths = [max(len(line[column]) for line in lines) for column in range(len(HEADINGS))]
    is_text = {0, 4, 5, 8}
    return "\n".join("  ".join(cell.ljust(width) if column in is_text else cell.rjust(width)
                               for column, (cell, width) in enumerate(zip(line, widths))).rstrip() for line in lines)


def markdown(rows):
    """The rows' documents as a table of Markdown."""
    lines = [HEADINGS, ["---", *["---:"] * 3, "---", "---", "---:", "---:", "---"], *(cells(row) for row in rows)]
    return "\n".join("| " + " | ".join(line).replace("|  |", "| |") + " |" for line in lines).replace("|  |", "| |")


class Report:
    """Collects the rows of one run, and prints each when it is there."""

    def __init__(self, directory, corpus=None, versions_of=(), binary=None):
        self.rows, self.failures = [], []
        self.document_head = {"date": datetime.datetime.now(datetime.timezone.utc).strftime("%Y-%m-%d"),
                              "machine": machine(directory), "versions": versions(versions_of, binary), "corpus": corpus}

    def add(self, row):
        self.rows.append(row)
        name, ours, restic, borg, other, floor, ratio, _, mark = cells(row.document())
        values = [f"{program} {value}" for program, value in ((OURS, ours), ("restic", restic), ("borg", borg))
                  if value != NONE]
        values += [text for text in (other, floor) if text != NONE]
        print(f"{name:44} {', '.join(values)}" + (f"; ratio {ratio}" if ratio != NONE else "") +
              (f"; {mark}" + (": reached" if row.is_reached else "") if mark else ""), flush=True)
        return row

    def fail(self, name, reason):
        """Names a row or a program that failed; the others go on."""
        self.failures.append(f"{name}: {reason}")
        print(f"FAILED {name}: {reason}", flush=True)

    @property
    def is_reached(self):
        return not self.failures and all(row.is_reached is not False for row in self.rows)

    def document(self):
        return {**self.document_head, "rows": [row.document() for row in self.rows], "failures": self.failures}

    def write(self, path):
        """Writes the document, if there is a path."""
        if path:
            with open(path, "w", encoding="utf-8") as file:
                json.dump(self.document(), file, indent=2, ensure_ascii=False)
                file.write("\n")


def machine(directory):
    """Processors, memory, file system, kernel and distribution; no names of hosts."""
    def field(path, pattern):
        with open(path, encoding="utf-8") as file:
            match = re.search(pattern, file.read(), re.M)
        return match.group(1).strip() if match else "unknown"

    kind = subprocess.run(["findmnt", "-no", "FSTYPE", "-T", directory], stdout=subprocess.PIPE, text=True, check=False)
    return {"processor": field("/proc/cpuinfo", r"^(?:model name|Model|uarch)\s*:\s*(.*)$"), "processors": os.cpu_count(),
            "memoryBytes": int(field("/proc/meminfo", r"^MemTotal:\s+(\d+)")) * 1024,
            "fileSystem": kind.stdout.strip() or "unknown", "kernel": os.uname().release.split("-")[0],
            "distribution": field("/etc/os-release", r'^PRETTY_NAME="?([^"\n]*)')}


VERSION_WORDS = {"restic": ["restic", "version"], "mksquashfs": ["mksquashfs", "-version"], "ssh": ["ssh", "-V"],
                 "openssl": ["openssl", "version"],
                 "nginx": ["nginx", "-v"], "wrk": ["wrk", "-v"]}


def versions(programs, binary=None):
    """The version of each program, or None if it is not there."""
    def version(words):
        try:
            result = subprocess.run(words, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False)
        except OSError:
            return None
        match = re.search(r"\d+(\.\d+)+\w*", result.stdout)
        return match.group() if match else None

    ours = {OURS: version([binary, "--version"])} if binary else {}
    return ours | {name: version(VERSION_WORDS.get(name, [name, "--version"])) for name in programs}


def description(document):
    """The machine, the versions and the corpus in sentences, for a document."""
    host, programs = document["machine"], document["versions"]
    text = (f"{host['processors']} processors ({host['processor']}), {host['memoryBytes'] / 2**30:.0f} GiB of memory, "
            f"{host['fileSystem']}, Linux {host['kernel']}, {host['distribution']}. ")
    text += ", ".join(f"{name} {version}" for name, version in programs.items() if version) + "."
    missing = [name for name, version in programs.items() if not version]
    if missing:
        text += f" Not installed: {', '.join(missing)}."
    trees = [f"{name} has {tree['bytes'] / 1e9:.2f} GB in {tree['entries']:,} entries"
             for name, tree in (document["corpus"] or {}).items()]
    return text + (" " + "; ".join(trees) + "." if trees else "")
