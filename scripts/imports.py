#!/usr/bin/env python3
"""Compares the imports of each target with its dependencies in Package.swift: each must be listed, and used."""
import json
import pathlib
import re
import subprocess
import sys

ROOT = pathlib.Path(__file__).resolve().parent.parent
IMPORT = re.compile(r"^(?:@\w+ |public |internal |package )*import (?:\w+ )?(\w+)", re.M)

package = json.loads(subprocess.run(
    ["swift", "package", "dump-package"], cwd=ROOT, check=True, stdout=subprocess.PIPE).stdout)
names = {target["name"] for target in package["targets"]}
faults = []
for target in package["targets"]:
    folder = ROOT / (target.get("path") or ("Tests" if target["type"] == "test" else "Sources") + "/" + target["name"])
    files = list(folder.rglob("*.swift"))
    if not files:
        continue
    listed = {next(iter(d.values()))[0] for d in target["dependencies"]} & names
    used = {name for file in files for name in IMPORT.findall(file.read_text())} & names
    # Tests run the executables that they depend on, and may import the modules of TestSupport.
    listed -= {t["name"] for t in package["targets"] if t["type"] == "executable"}
    faults += [f"{target['name']} does not import {name}, which it depends on" for name in sorted(listed - used)]
    faults += [f"{target['name']} imports {name}, but does not depend on it"
               for name in sorted(used - listed - {target["name"]})]
if faults:
    sys.exit("Package.swift: " + "\nPackage.swift: ".join(faults))
