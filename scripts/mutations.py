#!/usr/bin/env python3
"""Breaks the invariants of ImageTransaction.swift, one at a time, in a copy of the sources, and requires that a unit
test fails.

    mutations.py [NAME ...]

The copy is .build/mutations. It is built once (some minutes), then again after each mutation. Ends with 1 if a mutation
does not apply any more, or if the test that it must break passes.
"""
import os, re, subprocess, sys

SUITE = "ImageTransactionTests"
TRANSACTION = "Sources/Images/Change/Transaction/ImageTransaction.swift"
# name, file, text, its replacement, the test that must fail
MUTATIONS = [
    ("skip-journal-sync", "Sources/Store/Repository/TemporaryFile.swift",
     "    try layout.fileSystem.sync(directory.raw)\n", "",
     "the journal is durable before the image is touched"),
    ("skip-journal-file-sync", "Sources/Store/Repository/TemporaryFile.swift",
     "      try layout.fileSystem.sync(temporary.file.raw)\n", "",
     "the journal is durable before the image is touched"),
    ("record-before-proof", TRANSACTION,
     "    let proof = try ChangeProof(",
     "    _ = try context.store().refs.append(applied.stage.target.snapshot)\n    let proof = try ChangeProof(",
     "the new state is recorded after a capture has proven it and a sync has ended"),
    ("remove-old-tree-early", TRANSACTION,
     "    change.willChangeRows()\n",
     "    _ = try executor.removeOldTrees(execution)\n    execution.oldTrees = []\n    change.willChangeRows()\n",
     "the old tree is removed after the new one is recorded"),
    ("forget-safety-snapshot", TRANSACTION,
     "    let before = try change.keepStateBefore()\n    let target = try change.target(after: before.snapshot)\n"
     "    let journal = journal(for: target, before)\n",
     "    let before = StateBefore.declined\n    let target = try change.target(after: before.snapshot)\n"
     "    let journal = journal(for: target, before)\n",
     "the state before is recorded before the journal is written"),
    ("save-cache-early", TRANSACTION,
     "    try executor.waitForSyncs(syncs)\n    return Verified(",
     "    _ = proof.savingCache(context, of: applied.stage.target)\n    try executor.waitForSyncs(syncs)\n"
     "    return Verified(",
     "the stat cache is saved after the files are on disk"),
    ("rows-before-sync", TRANSACTION,
     "      try executor.sync(paths, syncs)\n      try executor.waitForSyncs(syncs)\n      execution.report",
     "      execution.report",
     "table rows change after the files are on disk"),
    ("journal-removed-early", TRANSACTION,
     "    let recorded = try change.record(\n",
     "    try context.store().journals.remove(image)\n    let recorded = try change.record(\n",
     "the journal is removed last"),
]


def run(*command, **options):
    return subprocess.run(command, text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, **options)


def build(copy):
    result = run("swift", "build", "--build-tests", cwd=copy)
    return result.returncode == 0, result.stdout[-3000:]


def failing(copy):
    """Returns the output of the suite, and the names of the tests that fail."""
    result = run("swift", "test", "--skip-build", "--filter", SUITE, cwd=copy)
    names = set(re.findall(r'Test "([^"]+)"(?: with \d+ test cases)? failed', result.stdout))
    return result.stdout, names, result.returncode


def main():
    unknown = set(sys.argv[1:]) - {m[0] for m in MUTATIONS}
    if unknown:
        sys.exit(f"no such mutation: {', '.join(sorted(unknown))}; there are {', '.join(m[0] for m in MUTATIONS)}")
    chosen = [m for m in MUTATIONS if m[0] in sys.argv[1:] or len(sys.argv) == 1]
    copy = os.path.abspath(".build/mutations")
    os.makedirs(copy, exist_ok=True)
    files = run("git", "ls-files", "-z").stdout
    subprocess.run(["rsync", "-a", "--files-from=-", "--from0", ".", copy], input=files, text=True, check=True)
    good, output = build(copy)
    if not good:
        sys.exit(f"the copy cannot be built:\n{output}")
    output, names, status = failing(copy)
    if status != 0:
        sys.exit(f"{SUITE} fails without a mutation:\n{output[-3000:]}")
    survived = []
    for name, path, old, new, test in chosen:
        with open(os.path.join(copy, path)) as file:
            text = file.read()
        if text.count(old) != 1:
            print(f"{name:24} does not apply: its text occurs {text.count(old)} times in {path}")
            survived.append(name)
            continue
        with open(os.path.join(copy, path), "w") as file:
            file.write(text.replace(old, new))
        good, output = build(copy)
        if good:
            output, names, _ = failing(copy)
            red = test in names
            print(f"{name:24} {'red' if red else 'SURVIVED'}: {test}" + ("" if red else f" passes; failing: {sorted(names)}"),
                  flush=True)
        else:
            red = False
            print(f"{name:24} cannot be built:\n{output}")
        if not red:
            survived.append(name)
        with open(os.path.join(copy, path), "w") as file:
            file.write(text)
    print(f"{len(chosen) - len(survived)} of {len(chosen)} mutations make their test fail")
    sys.exit(1 if survived else 0)


main()
