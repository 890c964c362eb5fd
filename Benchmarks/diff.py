#!/usr/bin/env python3
"""Times diffs, and holds `diff --packages` against dpkg-query.

    diff.py BINARY CORPUS [--rounds N] [--json FILE]

CORPUS holds real Debian root trees v1 and v2 (v1 after an update). Needs rsync and dpkg-query, and 6 GB of free disk
beside CORPUS. Prints medians, warm: of v1 and v2, and of two neighbours, v2 and v2 with one package's files changed.
"""
import argparse
import json
import os
import sys
import tempfile

import harness
from harness import Site
from report import Report, Row


def packages(tree):
    listed = harness.run("dpkg-query", f"--admindir={tree}/var/lib/dpkg", "-W").output
    return dict(line.split("\t") for line in listed.splitlines())


def main():
    parser = argparse.ArgumentParser(usage=__doc__)
    parser.add_argument("binary")
    parser.add_argument("corpus")
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("--json")
    options = parser.parse_args()
    v1, v2 = (os.path.join(os.path.realpath(options.corpus), name) for name in ("v1", "v2"))
    work = tempfile.mkdtemp(prefix="imgstore-diff-", dir=os.path.dirname(os.path.realpath(options.corpus)))
    try:
        report, site = Report(work, None, [], options.binary), Site(options.binary, work)
        site.define(v1)
        site.imgstore("snapshot", "v")
        harness.update(site.live, v2)
        site.imgstore("snapshot", "v")
        with open(site.live + "/etc/motd", "a", encoding="utf-8") as file:
            file.write("changed\n")
        for top, _, files in os.walk(site.live + "/usr/share/doc/tzdata"):
            for file in files:
                os.utime(os.path.join(top, file))
        site.imgstore("snapshot", "v")

        def diff(*words):
            return harness.run(site.binary, "diff", *words, env=site.env)
        before, after = packages(v1), packages(v2)
        wanted = {(name, before.get(name), after.get(name)) for name in before.keys() | after.keys()
                  if before.get(name) != after.get(name)}
        said = json.loads(diff("v@1", "v@2", "--packages", "--json").output)["packages"][0]["changes"]
        is_same = wanted == {(change["name"], change.get("old"), change.get("new")) for change in said}
        print(f"diff v1 v2 --packages: {len(said)} packages differ, {'as' if is_same else 'NOT as'} dpkg-query says")
        for name, pair in (("v1 and v2", ("v@1", "v@2")), ("neighbours", ("v@2", "v@3"))):
            for flags in ([], ["--packages"]):
                runs = harness.take_turns({"imgstore": lambda: diff(*pair, *flags)}, options.rounds)
                report.add(Row(" ".join(["diff of", name, *flags]), "s", {"imgstore": harness.seconds(runs["imgstore"])},
                               rounds=options.rounds))
        report.write(options.json)
        sys.exit(0 if is_same else 1)
    except harness.CommandFailed as error:
        sys.exit(str(error))
    finally:
        harness.remove(work)


if __name__ == "__main__":
    main()
