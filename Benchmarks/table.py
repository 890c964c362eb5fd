#!/usr/bin/env python3
"""Measures imgstore beside its peers, in one run on one machine, and prints one table.

    table.py BINARY CORPUS [--rounds N] [--only STEPS] [--json FILE] [--markdown FILE] [--svg FILE] [--docs]
    table.py --from FILE [--markdown FILE] [--svg FILE] [--docs]

CORPUS holds real root trees v1, v2 and v3, each after an update of the one before; they are only read. The peers are
restic, borg, rsync, tar, pigz, mksquashfs, scp and find (scripts/deps.sh bench), each where it does the same work. Cells
of missing peers are empty, and a row that fails does not end the others. It needs root and 25 GB of free disk, and
takes 20 to 40 minutes for trees of 2 GB on two processors.

The programs take turns, with warm caches and a synced disk. A value is the median of N rounds (3); rows that take long
have one run. The ratio is that of the best peer to imgstore, so that more is better. A lower bound is no peer: it does
only a part of the work.

--only takes names of steps with commas: {steps}.
--docs writes the table to docs/performance.md, three lines to README.md, and the chart to docs/benchmark.svg.
--from reads a document that --json wrote, and measures nothing.
"""
import argparse
import functools
import json
import os
import pathlib
import re
import signal
import sys
import tempfile
import time
import traceback

import chart
import floor
import harness
import report
import table_images
import table_store
from pack import Packing
from revert import Reverts

ROOT = pathlib.Path(__file__).resolve().parent.parent
PEERS = ["restic", "borg", "rsync", "tar", "pigz", "cpio", "mksquashfs", "ssh", "find", "zstd", "openssl"]
# In this order: a step uses what the ones before it left behind, or makes it.
STEPS = {"first": table_store.first_snapshot, "unchanged": table_store.unchanged_snapshot,
         "restore": table_store.restore, "growth": table_store.growth, "verify": table_store.verify, "diff": table_store.diff, "forget": table_store.forget,
         "revert": table_images.revert, "changed": table_images.changed_files, "pack": table_images.pack,
         "export": table_images.export, "import": table_images.import_, "squashfs": table_images.squashfs,
         "push": table_images.push, "memory": table_store.peak_memory}
# The last step that needs a directory of the work folder.
LAST_USES = {"restore": ["v1.tar"], "forget": ["history"], "changed": ["reverts"], "squashfs": ["packing"], "push": ["ssh", "sshd"]}


class Table:
    """One run: its work folder, its rounds, and what the steps share."""

    def __init__(self, options, work, corpus):
        self.options = options
        self.binary, self.rounds, self.work = os.path.realpath(options.binary), options.rounds, work
        self.trees = {name: os.path.join(os.path.realpath(options.corpus), name) for name in ("v1", "v2", "v3")}
        self.report = report.Report(work, corpus, PEERS, self.binary)
        self.peaks, self.floor, self.step_failures, self.missing = {}, None, {}, set()

    @functools.cached_property
    def history(self):
        return table_store.History(self)

    @functools.cached_property
    def reverts(self):
        reverts = Reverts(self.options, self.work + "/reverts", self.report)
        reverts.prepare()
        return reverts

    @functools.cached_property
    def packing(self):
        return Packing(self.binary, self.work + "/packing", self.trees["v1"])

    def archive(self, tree):
        """A tar archive of a tree."""
        path = f"{self.work}/{tree}.tar"
        if not os.path.exists(path):
            harness.run("tar", "cf", path, "-C", self.trees[tree], ".")
        return path

    def note(self, name, *usages):
        """Remembers the run of a program with the highest peak memory."""
        runs = [*usages, *([self.peaks[name]] if name in self.peaks else [])]
        self.peaks[name] = max(runs, key=lambda usage: usage.memory_mb)

    def turns(self, what, contestants, rounds):
        """Lets contestants run in turn; those that fail are named and left out, like those that are not installed."""
        def failed(name, error):
            if isinstance(error, harness.CommandMissing):
                print(f"{what}: no {name} ({str(error).splitlines()[-1]})", flush=True)
                return self.missing.add(name)
            self.step_failures[name] = str(error)
            return self.report.fail(f"{what} by {name}", str(error))
        runs = harness.take_turns(contestants, rounds, failed)
        for name, usages in runs.items():
            self.note(name, *usages)
        return runs

    def seconds(self, runs):
        return {name: harness.seconds(usages) for name, usages in runs.items()}

    def add(self, row):
        row.failures = dict(self.step_failures)
        self.report.add(row)

    def run_step(self, name):
        self.step_failures = {}
        start = time.monotonic()
        try:
            STEPS[name](self)
        except Exception as error:  # Whatever it is, the other steps go on.
            self.report.fail(name, f"{error} ({traceback.extract_tb(error.__traceback__)[-1].name})")
        for directory in LAST_USES.get(name, []):
            harness.remove(f"{self.work}/{directory}")
        print(f"-- {name}: {time.monotonic() - start:.0f} s", flush=True)

    def document(self):
        return self.report.document() | {"floor": self.floor}


def corpus_sizes(corpus):
    """The bytes of the files and the number of entries of each tree."""
    sizes = {}
    for name in ("v1", "v2", "v3"):
        tree = os.path.join(corpus, name)
        listed = harness.run("find", tree, "-printf", "%y %i %s\n").output.split("\n")[:-1]
        files = {line.split()[1]: int(line.split()[2]) for line in listed if line.startswith("f")}
        sizes[name] = {"bytes": sum(files.values()), "entries": len(listed)}
    return sizes


def measure(options):
    """Runs the steps and returns the document."""
    steps = options.only.split(",") if options.only else list(STEPS)
    unknown = [name for name in steps if name not in STEPS]
    if unknown:
        sys.exit(f"table.py: no such step: {', '.join(unknown)}; steps: {', '.join(STEPS)}")
    start = time.monotonic()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    corpus = os.path.realpath(options.corpus)
    work = tempfile.mkdtemp(prefix="imgstore-bench-", dir=options.work or os.path.dirname(corpus))
    try:
        os.environ["LC_ALL"] = "C.UTF-8"
        table = Table(options, work, corpus_sizes(corpus))
        print(report.description(table.document()), flush=True)
        for name in STEPS:
            if name in steps:
                table.run_step(name)
                table.report.write(options.json)  # What an interrupted run has measured is not lost.
        return table.document() | {"seconds": round(time.monotonic() - start)}
    finally:
        harness.remove(work)


def between(path, text, name="bench"):
    """Replaces the part of a document between two comments."""
    document = path.read_text(encoding="utf-8")
    new, count = re.subn(rf"(<!-- {name}: [^\n]*-->\n).*?(<!-- {name} end -->)",
                         lambda match: f"{match.group(1)}\n{text}\n\n{match.group(2)}", document, flags=re.S)
    if count != 1:
        sys.exit(f"table.py: {path.name} has no part between '<!-- {name}: … -->' and '<!-- {name} end -->'")
    path.write_text(new, encoding="utf-8")


def wrapped(text):
    """Wraps a paragraph at 100 columns, as documents are."""
    lines = [""]
    for word in text.split():
        if lines[-1] and len(lines[-1]) + 1 + len(word) > 100:
            lines.append("")
        lines[-1] += (" " if lines[-1] else "") + word
    return "\n".join(lines)


def markdown(document):
    """The paragraph about the run and the table, for docs/performance.md."""
    took = f" The run took {document['seconds'] / 60:.0f} minutes, on {document['date']}." if "seconds" in document else ""
    text = wrapped(report.description(document) + took) + "\n\n" + report.markdown(document["rows"])
    if document["failures"]:
        text += "\n\n" + "\n".join(f"- Failed: {failure.splitlines()[0]}" for failure in document["failures"])
    return text


def readme(document):
    """Three rows for the README: what a reader compares first."""
    lines = ["| | imgstore | others |", "|---|---|---|"]
    for row in document["rows"]:
        name = {"snapshot of the unchanged tree": "snapshot of the unchanged image",
                "first snapshot of v1": "first snapshot, every block verified",
                "cpio.gz of v1 again": "pack the root image again"}.get(row["name"])
        if name:
            others = [f"{peer} {report.with_unit(value, row['unit'])}" for peer, value in row["results"].items()
                      if peer not in (report.OURS, row["floor"])]
            lines.append(f"| {name} | {report.with_unit(row['results'].get(report.OURS), row['unit'])} | {', '.join(others)} |")
    return "\n".join(lines)


def publish(document, options):
    """Prints the table, and writes the files that were asked for."""
    print("\n" + report.description(document) + "\n\n" + report.aligned(document["rows"]))
    if document.get("floor"):
        print("\n" + floor.text(document["floor"]))
    if "seconds" in document:
        print(f"\n{len(document['rows'])} rows in {document['seconds'] / 60:.1f} minutes")
    for failure in document["failures"]:
        print(f"FAILED {failure}")
    outputs = {options.json: json.dumps(document, indent=2, ensure_ascii=False), options.markdown: markdown(document),
               options.svg: chart.svg(document).rstrip("\n")}
    for path, text in outputs.items():
        if path:
            pathlib.Path(path).write_text(text + "\n", encoding="utf-8")
    if options.docs:
        between(ROOT / "docs/performance.md", markdown(document))
        if document.get("floor"):
            between(ROOT / "docs/performance.md", floor.markdown(document["floor"]), "floor")
        between(ROOT / "README.md", readme(document))
        (ROOT / "docs/benchmark.svg").write_text(chart.svg(document), encoding="utf-8")


def main():
    parser = argparse.ArgumentParser(usage=__doc__.replace("{steps}", ", ".join(STEPS)).replace("%", "%%"))
    parser.add_argument("binary", nargs="?")
    parser.add_argument("corpus", nargs="?")
    parser.add_argument("--rounds", type=int, default=3)
    for name in ("--only", "--json", "--markdown", "--svg", "--work", "--from"):
        parser.add_argument(name, **({"dest": "source"} if name == "--from" else {}))
    parser.add_argument("--docs", action="store_true")
    options = parser.parse_args()
    if options.source:
        document = json.loads(pathlib.Path(options.source).read_text(encoding="utf-8"))
    elif options.corpus and all(os.path.isdir(os.path.join(options.corpus, name)) for name in ("v1", "v2", "v3")):
        document = measure(options)
    else:
        parser.error("give BINARY and CORPUS, with root trees CORPUS/v1, CORPUS/v2 and CORPUS/v3")
    publish(document, options)
    sys.exit(1 if document["failures"] else 0)


if __name__ == "__main__":
    main()
