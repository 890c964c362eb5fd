#!/usr/bin/env python3
"""Measures what new versions of files cost: growth, time, restores, single files, and a history of updates.

    deltas.py BINARY CORPUS [--rounds N] [--updates N] [--parts LIST] [--json FILE]

CORPUS holds real root trees v1, v2 and v3, each after an update of the one before. Needs restic, borg, rsync, find, and
12 GB of free disk beside CORPUS. The parts are growth, restore and updates; the default is all of them. Growth has the
rows of table.py about snapshots, and compares each snapshot with its tree afterwards.
"""
import argparse
import json
import os
import random
import shutil
import statistics
import sys
import tempfile

import harness
import table_store
from harness import Site
from report import Mark, Row
from table import Table


def differences(table, site, reference, tree):
    """Adds a row: the paths of a snapshot that differ from a tree, in content or attributes."""
    out = table.work + "/out"
    harness.remove(out)
    table.note("imgstore", site.imgstore("restore", reference, out))
    count = harness.differences(tree, out)
    harness.remove(out)
    table.add(Row(f"differences of {reference} from its tree", "", {"imgstore": count}, mark=Mark(limit=0)))


def growth(table, _):
    for step in (table_store.first_snapshot, table_store.unchanged_snapshot, table_store.growth, table_store.verify):
        step(table)
    for tag, tree in table.trees.items():
        differences(table, table.history.site, f"v@{tag}", tree)
    table_store.peak_memory(table)
    harness.remove(table.history.work)


def store_of(table, name, trees):
    """A store with a snapshot of each tree, one after the other at one path."""
    site = Site(table.binary, f"{table.work}/{name}")
    site.define(trees[0])
    for tree in trees:
        harness.update(site.live, tree)
        site.imgstore("snapshot", "v")
    harness.remove(site.live)
    return site


def restore(table, options):
    v1, v2 = table.trees["v1"], table.trees["v2"]
    sites = {"imgstore": store_of(table, "deltas", [v1, v2]), "without deltas": store_of(table, "whole", [v2])}
    out = table.work + "/out"

    def contestant(site):
        def go():
            harness.remove(out)
            return site.imgstore("restore", "v", out, warm=[site.store + "/packs"])
        return go
    runs = harness.take_turns({name: contestant(site) for name, site in sites.items()}, options.rounds)
    harness.remove(out)
    table.add(Row("restore of v2 with deltas", "s", table.seconds(runs), floor="without deltas", mark=Mark(floors=1.25),
                  rounds=options.rounds))
    site = sites["imgstore"]
    paths = (os.path.join(top, file) for top, _, names in os.walk(v2 + "/usr/lib/modules") for file in names)
    files = [os.path.relpath(path, v2) for path in paths if os.path.isfile(path) and not os.path.islink(path)]
    random.seed(1)
    slowest, name = 0, ""
    for file in random.sample(files, min(100, len(files))):
        seconds = min(site.imgstore("cat", "v", file).seconds for _ in range(3))
        slowest, name = max((slowest, name), (seconds, os.path.basename(file)))
    if files:
        print(f"the slowest module is {name}", flush=True)
        table.add(Row("cat of a module, the slowest of 100", "s", {"imgstore": slowest}, mark=Mark(limit=0.05), rounds=3))
    table.add(Row("peak memory of restores", "MB", {"imgstore": harness.peak(runs["imgstore"])}, mark=Mark(limit=300)))
    harness.remove(*(each.directory for each in sites.values()))


def build(data):
    """Changes a file as a new build does: addresses shift, and a few functions change."""
    for _ in range(max(1, len(data) // 4096)):
        offset = random.randrange(len(data))
        data[offset:offset + random.randrange(4)] = random.randbytes(random.randrange(8))


def updates(table, options):
    """Monthly updates of a small tree: in each, some packages get new versions, as between v1 and v2."""
    v1, v2 = table.trees["v1"], table.trees["v2"]
    site, borg = Site(table.binary, table.work + "/updates"), table.work + "/borg"
    env = dict(os.environ, BORG_BASE_DIR=table.work + "/borg-home", **table_store.BORG_ENV)
    random.seed(2)
    names = [os.path.relpath(os.path.join(top, file), v1) for top, _, files in os.walk(v1 + "/usr") for file in files]
    names = [file for file in names if os.path.isfile(os.path.join(v2, file)) and not os.path.islink(os.path.join(v1, file))
             and 1 << 12 < os.path.getsize(os.path.join(v1, file)) < 2 << 20]
    chosen = random.sample(names, min(1500, len(names)))
    content = {}
    for file in chosen:
        os.makedirs(os.path.dirname(os.path.join(site.live, file)), exist_ok=True)
        shutil.copy2(os.path.join(v1, file), os.path.join(site.live, file))
        with open(os.path.join(v1, file), "rb") as source:
            content[file] = bytearray(source.read())
    site.imgstore("define", "v", "provmethod=netboot", "rootimgdir=/img")
    harness.run("borg", "init", "-e", "none", borg, env=env)
    times = []
    for month in range(options.updates + 1):
        for file in random.sample(chosen, len(chosen) // 6) if month else []:
            build(content[file])
            with open(os.path.join(site.live, file), "wb") as out:
                out.write(content[file])
        times.append(site.imgstore("snapshot", "v", warm=[site.live]).seconds)
        harness.run("borg", "create", "-C", "zstd,3", f"{borg}::{month}", site.live, env=env)
    sizes = {"imgstore": site.pack_bytes() / 1e6, "borg": harness.size(borg) / 1e6}
    table.add(Row(f"store after {options.updates} updates", "MB", sizes, mark=Mark(ratio=1 / 0.35)))
    early, late = statistics.median(times[2:5]), statistics.median(times[-3:])
    table.add(Row("last snapshots, beside the third", "s", {"imgstore": late, "the third": early}, floor="the third",
                  mark=Mark(floors=1.2), rounds=3))
    out = table.work + "/out"
    table.add(Row("restore of the last of them", "s",
                  {"imgstore": site.imgstore("restore", "v", out, warm=[site.store + "/packs"]).seconds}))
    harness.remove(out)
    said = json.loads(site.imgstore("forget", "v", "--keep-last", "5", "-n", "--json").output)["freedBytes"]
    before = site.pack_bytes() + harness.size(site.store + "/refs")
    site.imgstore("forget", "v", "--keep-last", "5")
    site.imgstore("gc")
    freed = before - site.pack_bytes() - harness.size(site.store + "/refs")
    print(f"gc freed {freed / 1e6:.1f} MB, {said / 1e6:.1f} MB were estimated", flush=True)
    table.add(Row("freed by gc, difference from the estimate", "%", {"imgstore": 100 * abs(freed - said) / max(said, 1)},
                  mark=Mark(limit=2)))
    site.imgstore("verify", "--deep")
    differences(table, site, "v", site.live)


def main():
    parser = argparse.ArgumentParser(usage=__doc__)
    parser.add_argument("binary")
    parser.add_argument("corpus")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--updates", type=int, default=50)
    parser.add_argument("--parts", default="growth,restore,updates")
    parser.add_argument("--json")
    options = parser.parse_args()
    parts = [{"growth": growth, "restore": restore, "updates": updates}[name] for name in options.parts.split(",")]
    work = tempfile.mkdtemp(prefix="imgstore-deltas-", dir=os.path.dirname(os.path.realpath(options.corpus)))
    try:
        table = Table(options, work, None)
        for part in parts:
            part(table, options)
        table.report.write(options.json)
        sys.exit(1 if table.report.failures else 0)
    except harness.CommandFailed as error:
        sys.exit(str(error))
    finally:
        harness.remove(work)


if __name__ == "__main__":
    main()
