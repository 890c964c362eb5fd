"""Rows of the table about the store: snapshots, growth, restores, checks and removals, beside restic and borg.

One live tree goes from v1 to v3. All three programs keep a repository of it, with the options that their manuals name
for this use: restic with its cache, borg without encryption and with zstd 3.
"""
import functools
import json
import os

import floor
import harness
from harness import CommandFailed, CommandMissing, Site
from report import Mark, Row

BORG_ENV = {"BORG_UNKNOWN_UNENCRYPTED_REPO_ACCESS_IS_OK": "yes", "BORG_RELOCATED_REPO_ACCESS_IS_OK": "yes"}


class History:
    """The repositories of the three programs, and what was measured so far."""

    def __init__(self, table):
        self.table, self.trees = table, table.trees
        self.work = table.work + "/history"
        os.makedirs(self.work)
        self.site = Site(table.binary, self.work)
        self.env = dict(self.site.env, RESTIC_PASSWORD="bench", RESTIC_CACHE_DIR=self.work + "/restic-cache",
                        RESTIC_REPOSITORY=self.work + "/restic", BORG_BASE_DIR=self.work + "/borg-home",
                        BORG_REPO=self.work + "/borg", **BORG_ENV)
        self.out, self.version, self.broken = self.work + "/out", 0, {}

    def run(self, *words, warm=(), cwd=None):
        return harness.run(*words, env=self.env, warm=warm, cwd=cwd)

    def turns(self, what, contestants, rounds):
        """Lets the programs run in turn that have all snapshots so far."""
        self.table.step_failures |= {name: reason for name, reason in self.broken.items()
                                     if name in contestants and name not in self.table.missing}
        return self.table.turns(what, {name: go for name, go in contestants.items() if name not in self.broken}, rounds)

    def take(self, tag, contestants, rounds=1):
        """Takes a snapshot by each program; one that fails takes no part in later rows."""
        runs = self.turns(f"snapshot of {tag}", contestants, rounds)
        lost = [name for name in contestants if name not in runs and name not in self.broken]
        self.broken |= {name: f"has no snapshot of {tag}" for name in lost}
        return runs

    def snapshot(self, tag):
        """One snapshot by each program, as contestants."""
        live = self.site.live
        return {
            "imgstore": lambda: self.site.imgstore("snapshot", "v", "--tag", tag, warm=[live]),
            "restic": lambda: self.run("restic", "backup", "-q", "--tag", tag, live, warm=[live]),
            "borg": lambda: self.run("borg", "create", "-C", "zstd,3", f"::{tag}", live, warm=[live])}

    def sizes(self):
        """The bytes of the packs and of the peers' repositories."""
        peers = {name: harness.size(f"{self.work}/{name}") for name in ("restic", "borg")}
        return {"imgstore": self.site.pack_bytes(), **peers}

    def empty(self, program):
        """Replaces the repository of one program by an empty one."""
        if program == "imgstore":
            harness.remove(self.site.store)
            self.site.imgstore("define", "v", "provmethod=netboot", "rootimgdir=/img")
        elif program == "restic":
            harness.remove(self.work + "/restic", self.work + "/restic-cache")
            self.run("restic", "init", "-q")
        else:
            harness.remove(self.work + "/borg", self.work + "/borg-home")
            self.run("borg", "init", "-e", "none")

    def first(self, rounds):
        """Takes the first snapshot of v1 with each program, in empty repositories."""
        harness.copy(self.trees["v1"], self.site.live)

        def contestant(program, snapshot):
            def go():
                self.empty(program)
                return snapshot()
            return go
        contestants = {name: contestant(name, snapshot) for name, snapshot in self.snapshot("v1").items()}
        self.version = 1
        return self.take("v1", contestants, rounds)

    def advance(self):
        """Updates the tree to its next version and takes a snapshot; returns the runs and the growth."""
        self.version += 1
        tag = f"v{self.version}"
        before = self.sizes()
        harness.update(self.site.live, self.trees[tag])
        runs = self.take(tag, self.snapshot(tag))
        after = self.sizes()
        return runs, {name: (after[name] - before[name]) / 1e6 for name in runs}

    def reach(self, version):
        """Takes the snapshots that no row has measured."""
        if self.version == 0:
            self.first(1)
        while self.version < version:
            self.advance()

    def optimize(self):
        """Optimizes the store; returns its size in MB."""
        self.table.note("imgstore", self.site.imgstore("optimize"))
        return self.site.pack_bytes() / 1e6

    def restic_id(self, tag):
        return json.loads(self.run("restic", "snapshots", "--tag", tag, "--json").output)[-1]["id"]


def first_snapshot(table):
    history = table.history
    runs = history.first(table.rounds)
    row = Row("first snapshot of v1", "s", table.seconds(runs), mark=Mark(ratio=3), rounds=table.rounds)
    try:
        table.floor = floor.measure(table.archive("v1"))
        row.floor = "computation"
        row.results[row.floor] = table.floor["seconds"]
        print(floor.text(table.floor), flush=True)
    except CommandMissing as error:
        print(f"no lower bound of the first snapshot: {error}", flush=True)
    except CommandFailed as error:
        table.report.fail("lower bound of the first snapshot", str(error))
    table.add(row)
    sizes = history.sizes()
    table.add(Row("store of v1", "MB", {name: sizes[name] / 1e6 for name in runs}, mark=Mark(ratio=1)))


def unchanged_snapshot(table):
    history = table.history
    history.reach(1)
    live = history.site.live
    count = [0]

    def borg():
        count[0] += 1
        return history.snapshot(f"again{count[0]}")["borg"]()
    contestants = {"imgstore": lambda: history.site.imgstore("snapshot", "v", warm=[live]),
                   "restic": history.snapshot("again")["restic"], "borg": borg,
                   "find": lambda: history.run("find", live, "-printf", "%s %T@ %C@ %i\n", warm=[live])}
    history.turns("unchanged snapshot", contestants, 1)  # The first one learns the times of the files.
    before, old = history.sizes(), files(history.site.store)
    runs = history.turns("unchanged snapshot", contestants, table.rounds)
    after = history.sizes()
    table.add(Row("snapshot of the unchanged tree", "s", table.seconds(runs), floor="find", mark=Mark(floors=1),
                  rounds=table.rounds))
    added = {name: (after[name] - before[name]) / table.rounds for name in runs if name in after}
    if "imgstore" in added:
        new = files(history.site.store)
        added["imgstore"] = sum(status[0] for path, status in new.items()
                                if "/refs/" not in path and old.get(path) != status)
    table.add(Row("bytes of an unchanged snapshot, without the ref", "B", added, mark=Mark(limit=4096)))


def files(directory):
    """Size and modification time of each file."""
    paths = (os.path.join(top, name) for top, _, names in os.walk(directory) for name in names)
    return {path: (status.st_size, status.st_mtime_ns) for path, status in ((path, os.lstat(path)) for path in paths)}


def restore(table):
    history = table.history
    history.reach(1)
    archive, out = table.archive("v1"), history.out

    def into_empty(*words, warm, cwd=None):
        def go():
            harness.remove(out)
            if cwd:
                os.mkdir(out)
            return history.run(*words, warm=warm, cwd=cwd)
        return go
    work = history.work
    runs = history.turns("restore", {
        "imgstore": into_empty(table.binary, "restore", "v@v1", out, "-q", warm=[work + "/store/packs"]),
        "restic": into_empty("restic", "restore", "latest", "--tag", "v1", "-t", out, warm=[work + "/restic"]),
        "borg": into_empty("borg", "extract", "::v1", warm=[work + "/borg"], cwd=out),
        "tar x": into_empty("tar", "xf", archive, warm=[archive], cwd=out)}, 1)
    harness.remove(out)
    table.add(Row("restore of v1 into a new directory", "s", table.seconds(runs), mark=Mark(ratio=1)))


def growth(table):
    history = table.history
    history.reach(1)
    if "imgstore" in history.broken:
        raise CommandFailed(history.broken["imgstore"])
    size = history.optimize()
    peers = {name: value / 1e6 for name, value in history.sizes().items() if name != "imgstore" and value}
    table.add(Row("store of v1 after optimize", "MB", {"imgstore": size, **peers}, mark=Mark(limit=560)))
    for old, new, after_snapshot, after_optimize in (("v1", "v2", 75, 50), ("v2", "v3", 72, 58)):
        runs, grown = history.advance()
        table.add(Row(f"snapshot of {new} after {old}", "s", table.seconds(runs), mark=Mark(ratio=3)))
        table.add(Row(f"growth from {old} to {new}", "MB", grown, mark=Mark(limit=after_snapshot)))
        if "imgstore" not in runs:
            raise CommandFailed(history.broken["imgstore"])
        optimized = history.optimize()
        table.add(Row(f"growth from {old} to {new} after optimize", "MB", {**grown, "imgstore": optimized - size},
                      mark=Mark(limit=after_optimize)))
        size = optimized


def verify(table):
    history = table.history
    history.reach(3)
    work = history.work
    runs = history.turns("verification", {
        "imgstore": lambda: history.site.imgstore("verify", "--deep", warm=[work + "/store/packs"]),
        "restic": lambda: history.run("restic", "check", "-q", "--read-data", warm=[work + "/restic"]),
        "borg": lambda: history.run("borg", "check", "--verify-data", warm=[work + "/borg"])}, table.rounds)
    table.add(Row("verification of every byte, v1 to v3", "s", table.seconds(runs), rounds=table.rounds))


def diff(table):
    history = table.history
    history.reach(3)

    @functools.cache
    def ids():
        return [history.restic_id("v1"), history.restic_id("v2")]
    runs = history.turns("diff", {
        "imgstore": lambda: history.run(table.binary, "diff", "v@v1", "v@v2", "--packages"),
        "restic": lambda: history.run("restic", "diff", *ids()),
        "borg": lambda: history.run("borg", "diff", "::v1", "v2")}, table.rounds)
    table.add(Row("diff of v1 and v2, ours with packages", "s", table.seconds(runs), rounds=table.rounds))


def forget(table):
    history = table.history
    history.reach(3)
    runs = history.turns("removal of all snapshots but the latest", {
        "imgstore": lambda: harness.shell('"$1" forget v --keep-last 1 --force -q && "$1" gc -q', table.binary,
                                          env=history.env),
        "restic": lambda: history.run("restic", "forget", "-q", "--keep-last", "1", "--group-by", "host", "--prune"),
        "borg": lambda: harness.shell("borg prune --keep-last 1 && borg compact", env=history.env)}, 1)
    table.add(Row("removal of all snapshots but v3, space freed", "s", table.seconds(runs)))
    sizes = history.sizes()
    table.add(Row("store of v3 after that", "MB", {name: sizes[name] / 1e6 for name in runs}))


def peak_memory(table):
    peaks = {name: table.peaks[name] for name in ("imgstore", "restic", "borg") if name in table.peaks}
    for name, usage in peaks.items():
        print(f"peak memory of {name}, {usage.memory_mb:.0f} MB: {usage.command[:100]}", flush=True)
    table.add(Row("peak memory in all of these", "MB", {name: usage.memory_mb for name, usage in peaks.items()},
                  mark=Mark(limit=300)))
