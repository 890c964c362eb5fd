#!/usr/bin/env python3
"""Breaks the protocol of depots in one place after the other, and expects a test to find it.

Usage: scripts/depot-mutations.py [--histories N] [--directory DIR] [NAME…]

Each mutation is an edit of Sources/Depot in a copy of the sources, a build of the modules below Depot, and a run of
DepotModelTests, DepotTests and those of deltas. Prints one line a mutation. Exits with 1 if the test missed one.
"""

import argparse
import os
import pathlib
import re
import shutil
import subprocess
import sys
import tempfile

PACKAGE = """// swift-tools-version: 6.2
import PackageDescription
let strict: [SwiftSetting] = [
  .enableUpcomingFeature("ExistentialAny"), .enableUpcomingFeature("InferIsolatedConformances"),
]
func module(_ name: String, _ dependencies: [Target.Dependency]) -> Target {
  .target(name: name, dependencies: dependencies, swiftSettings: strict)
}
let package = Package(name: "imgstore", targets: [
  .systemLibrary(name: "CZlib", pkgConfig: "zlib"), .systemLibrary(name: "CZstd", pkgConfig: "libzstd"),
  .systemLibrary(name: "CDeflate", pkgConfig: "libdeflate"), .systemLibrary(name: "CLzma", pkgConfig: "liblzma"),
  .systemLibrary(name: "CBzip2"), .systemLibrary(name: "CCrypto", pkgConfig: "libcrypto"),
  .systemLibrary(name: "CSQLite", pkgConfig: "sqlite3"), .target(name: "CLinux"),
  .target(name: "CZstdExperimental", dependencies: ["CZstd"]),
  module("Platform", ["CLinux"]),
  module("Codec", ["CZlib", "CZstd", "CZstdExperimental", "CLzma", "CDeflate", "CBzip2", "CCrypto"]),
  module("SQLite", ["CSQLite"]), module("Store", ["Codec", "Platform", "SQLite"]),
  module("ObjectStorage", ["Codec", "Platform"]), 
  module("Archive", ["Codec"]), module("Transfer", ["Store", "Archive", "Codec", "Platform"]),
  module("Depot", ["Transfer", "Store", "ObjectStorage", "Codec", "Platform"]),
  .target(
    name: "DepotTestSupport", dependencies: ["Depot", "Transfer", "Store", "ObjectStorage", "Codec", "Platform"],
    path: "Tests/DepotTestSupport", swiftSettings: strict),
  .testTarget(
    name: "DepotTests",
    dependencies: ["Depot", "DepotTestSupport", "Transfer", "Store", "ObjectStorage", "Codec", "Platform"],
    swiftSettings: strict),
], swiftLanguageModes: [.v6])
"""

# name: (file, text, replacement, text, replacement …)
MUTATIONS = {
    "no-wait-for-writers": (
        "Collect/DepotCollector.swift",
        "      if waiting.isEmpty {",
        "      if true {"),
    "packs-before-marks": (
        "Depot.swift",
        """    var doomed: Set<DepotPack> = []
    try PackListing.list(storage, DepotKeys.doomed) { pack, _ in
      doomed.insert(pack)
      return doomed.count
    }
    var packs: [DepotPack: UInt64] = [:]
    try PackListing.list(storage, DepotKeys.packs) { pack, size in
      packs[pack] = size
      return packs.count
    }
""",
        """    var packs: [DepotPack: UInt64] = [:]
    try PackListing.list(storage, DepotKeys.packs) { pack, size in
      packs[pack] = size
      return packs.count
    }
    var doomed: Set<DepotPack> = []
    try PackListing.list(storage, DepotKeys.doomed) { pack, _ in
      doomed.insert(pack)
      return doomed.count
    }
"""),
    "list-before-registering": (
        "Write/DepotSession.swift",
        """    id = try writers.register()
    do {
      // A push that was killed here must not make collections elsewhere wait for ever.
      _ = try writers.removeDead(among: try writers.ids().subtracting([id]))
      let listing = try depot.refreshListing()
""",
        """    let listing = try depot.refreshListing()
    id = try writers.register()
    do {
"""),
    "writers-ignore-marks": (
        "Write/SessionPacks.swift",
        "    listing.isUsable(pack) || content.withLock",
        "    listing.packs[pack] != nil || content.withLock"),
    "no-check-after-ref": (
        "Write/DepotSession.swift",
        """    do {
      try requireRegistered()
    } catch {
      if isNew { try depot.marks.rollBack(image, number) }
      throw error
    }
""",
        "    _ = isNew\n"),
    "delete-all-marked": (
        "Collect/DepotCollector.swift",
        "      let marked = packs.filter { listing.packs[$0] != nil }",
        "      let marked = listing.doomed.filter { listing.packs[$0] != nil }"),
    "rely-on-marked-packs": (
        "Collect/PackRewriter.swift",
        "    let usable = PresentCopies(depot, listing) { listing.isUsable($0.pack) }",
        "    let marked = marked\n    let usable = PresentCopies(depot, listing) {\n"
        "      listing.packs[$0.pack] != nil && !marked.contains($0.pack)\n    }"),
    "same-name-for-same-pack": (
        "Write/PackBuilder.swift",
        "        pack: DepotPack(digest: digest, writer: writer), sizeBytes",
        "        pack: DepotPack(digest: digest, writer: WriterID(high: 1, low: 1)), sizeBytes"),
    "no-second-look-at-refs": (
        "Collect/DepotCollector.swift",
        "      guard try waitForWriters(marked.count) else { return report }\n      try deleteMarked(marked)",
        "      let early = try walkRefs()\n      guard try waitForWriters(marked.count) else { return report }\n"
        "      try deleteMarked(marked, early)",
        "  private mutating func deleteMarked(_ packs: Set<DepotPack>) throws {",
        "  private mutating func deleteMarked(_ packs: Set<DepotPack>, _ reachable: DepotReachability) throws {",
        "      let reachable = try walkRefs()\n      let listing",
        "      let listing"),
    "marks-deleted-first": (
        "Collect/DepotCollector.swift",
        """          try storage.delete(DepotKeys.pack(pack))
          try storage.delete(DepotKeys.doomed(pack))
""",
        """          try storage.delete(DepotKeys.doomed(pack))
          try storage.delete(DepotKeys.pack(pack))
"""),
    "number-reused": (
        "Refs/DepotRefs.swift",
        "        if try !isRemoved(image, number) { return number }",
        "        return number"),
    "adopt-without-looking": (
        "Refs/DepotMarks.swift",
        "    return try !isBeingForgotten(image, number)\n"
        "      && storage.size(of: DepotKeys.ref(image, number)) != nil",
        "    return true"),
    "take-back-adopted": (
        "Refs/DepotMarks.swift",
        "    let isAdopted = try storage.size(of: adoption(image, number)) != nil",
        "    let isAdopted = false"),
    "tag-without-looking": (
        "Refs/DepotMarks.swift",
        "    try requireNotForgotten(image, number, deleting: key)\n    return number",
        "    return number"),
    "any-base": (
        "Write/DepotSession.swift",
        "    ids.filter { depot.completeness.packs(of: $0)?.allSatisfy(isUsable) ?? false }",
        "    ids.filter { depot.completeness.packs(of: $0) != nil }"),
    "only-best-recipe-needed": (
        "Collect/DepotReachability.swift",
        "      for copy in recipes[blob] ?? [] { try markParts(of: copy.bytes, blob, resolver) }",
        "      for copy in (recipes[blob] ?? []).prefix(1) { try markParts(of: copy.bytes, blob, resolver) }"),
    "bases-not-needed": (
        "Collect/DepotCollector.swift",
        "        try reachable.addBases()\n        return reachable",
        "        return reachable"),
    "base-not-required": (
        "Read/PresentCopies.swift",
        "    if frame.depth == 0 { return nil }\n    if let known",
        "    if frame.depth <= FrameBase.maxDepth { return nil }\n    if let known"),
    "any-depth-stays": (
        "Collect/PackRewriter.swift",
        "        if let other = try usable.copy(of: key), other.depth <= best.depth { return }",
        "        if try usable.copy(of: key) != nil { return }"),
    "collector-not-registered": (
        "Collect/DepotCollector.swift",
        "    depot.index.hasBasedFrame(in: packs) ? try depot.writers.register() : nil",
        "    depot.index.hasBasedFrame(in: packs) ? depot.options.makeID() : nil",
        "    guard let id, try !depot.writers.isRegistered(id) else { return }",
        "    guard let id, id.description.isEmpty else { return }"),
    "no-check-after-copies": (
        "Collect/DepotCollector.swift",
        "        try requireRegistered(id)\n",
        ""),
    "bases-not-recorded": (
        "Read/PresentCopies.swift",
        "    guard frame.depth > 0, visited.insert(frame).inserted else { return }",
        "    guard frame.depth > FrameBase.maxDepth, visited.insert(frame).inserted else { return }"),
    "base-anywhere": (
        "Write/SessionPacks.swift",
        "      let new = PresentCopies(depot, listing) { [weak self] in self?.isUsable($0.pack) ?? false }",
        "      let new = PresentCopies(depot, listing) { [weak self] in "
        "$0.depth == 0 || self?.isUsable($0.pack) ?? false }"),
}


def prepare(root, directory):
    for name in ["CZlib", "CZstd", "CDeflate", "CLzma", "CBzip2", "CCrypto", "CSQLite", "CLinux",
                 "CZstdExperimental", "Platform", "Archive", "Codec", "SQLite", "Store", "ObjectStorage", "Transfer",
                 "Depot"]:
        shutil.copytree(root / "Sources" / name, directory / "Sources" / name, dirs_exist_ok=True)
    for name in ["DepotTests", "DepotTestSupport"]:
        shutil.copytree(root / "Tests" / name, directory / "Tests" / name, dirs_exist_ok=True)
    (directory / "Package.swift").write_text(PACKAGE)


def build(directory):
    return subprocess.run(
        ["swift", "build", "-c", "release", "--build-tests"],
        cwd=directory, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)


def run(directory, histories):
    program = directory / ".build" / "release" / "imgstorePackageTests.xctest"
    environment = dict(os.environ, IMGSTORE_HISTORIES=str(histories))
    return subprocess.run(
        [program, "--testing-library", "swift-testing", "--filter",
         r"DepotModelTests|DepotTests\.Depot(Delta|DeltaCollection)?Tests/"],
        cwd=directory, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--histories", type=int, default=100_000)
    parser.add_argument("--directory", type=pathlib.Path)
    parser.add_argument("names", nargs="*")
    arguments = parser.parse_args()
    root = pathlib.Path(__file__).resolve().parent.parent
    directory = arguments.directory or pathlib.Path(tempfile.mkdtemp(prefix="depot-mutations-"))
    directory.mkdir(parents=True, exist_ok=True)
    prepare(root, directory)
    missed = 0
    for name, (file, *edits) in MUTATIONS.items():
        if arguments.names and name not in arguments.names:
            continue
        path = directory / "Sources" / "Depot" / file
        source = path.read_text()
        mutated = source
        for text, replacement in zip(edits[::2], edits[1::2]):
            mutated = mutated.replace(text, replacement) if mutated.count(text) == 1 else source
        if mutated == source:
            print(f"{name}: the source has changed: adapt the mutation", flush=True)
            missed += 1
            continue
        path.write_text(mutated)
        built = build(directory)
        if built.returncode != 0:
            print(f"{name}: does not build\n{built.stdout[-2000:]}", flush=True)
            missed += 1
        else:
            result = run(directory, arguments.histories)
            reason = re.search(r"seed \d+: (.*)", result.stdout)
            count = re.search(r"histories: (\d+)", result.stdout)
            where = f"after {count.group(1)} histories" if count else ""
            if result.returncode == 0:
                missed += 1
                print(f"{name}: MISSED {where}", flush=True)
            else:
                names = sorted(set(re.findall(r'Test "([^"]*)" failed', result.stdout)))
                text = reason.group(1)[:110] if reason else "; ".join(names)
                print(f"{name}: found {where if reason else 'at once'}: {text}", flush=True)
        path.write_text(source)
    if not arguments.directory:
        shutil.rmtree(directory)
    sys.exit(1 if missed else 0)


if __name__ == "__main__":
    main()
