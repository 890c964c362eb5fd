// Images equal their trees, according to unsquashfs and the kernel.

import Foundation
import Platform
import Render
import Store
import TestSupport
import Testing

private let codecs: [SquashfsOptions.Compression] = [
  .gzip(level: 6), .xz(preset: 1), .zstd(level: 3),
]

@Suite(.usesTools) struct SquashfsTests {
  @Test(arguments: codecs)
  func `a tree of unusual entries extracts with every attribute`(
    _ compression: SquashfsOptions.Compression
  ) throws {
    let tree = try StoredTree { try makeNastyTree($0) }
    let report = try tree.write("image", .quick(compression))
    let reported = Set(report.problems.map { String(decoding: $0.path, as: UTF8.self) })
    #expect(
      reported.isSubset(of: ["acl", "acl-dir", "time-1901", "time-1970", "time-2106", "time-2262"]))
    let image = tree.directory.path("image")
    #expect(try run("unsquashfs", "-stat", image).didSucceed)
    let list = try run("unsquashfs", "-lls", image)
    #expect(list.didSucceed, "\(list.errors)")
    try withMounted(image) { mounted throws in
      let found = try differences(tree.live, mounted, seconds: true)
      #expect(changedPaths(found) == reported, "\(found.prefix(2000))")
    }
    guard isRoot else { return }
    // unsquashfs creates no sockets, as it reports itself.
    let found = try differences(tree.live, try extract(image), seconds: true)
    #expect(changedPaths(found).subtracting([".", "socket"]) == reported, "\(found.prefix(2000))")
  }

  @Test func `a real root tree is reproduced with every option`() throws {
    let small = try smallTree()
    let tree = try StoredTree { try copyTree(small, $0) }
    let many: [SquashfsOptions] = [
      .quick(.gzip(level: 1)), .quick(block: 4096, tails: .shareAll),
      .quick(block: 1 << 20, tails: .ownBlocks),
    ]
    for options in many {
      let report = try tree.write("image", options)
      #expect(report.problems.isEmpty)
      #expect((report.fragments == 0) == (options.tails == .ownBlocks))
      try withMounted(tree.directory.path("image")) { mounted throws in
        #expect(try differences(small, mounted, seconds: true) == "", "\(options)")
      }
      guard isRoot, options.blockBytes > 4096 else { continue }
      let extracted = try extract(tree.directory.path("image"))
      #expect(try differences(small, extracted, seconds: true) == "", "\(options)")
      try run("rm", "-rf", extracted)
    }
  }

  @Test func `an empty tree gives a valid image`() throws {
    let tree = try StoredTree { _ in }
    let report = try tree.write("image", .quick())
    #expect(report.inodes == 1 && report.contentBytes == 0 && report.fragments == 0)
    #expect(
      try differences(tree.live, try extract(tree.directory.path("image")), seconds: true) == "")
    try withMounted(tree.directory.path("image")) { mounted throws in
      #expect(try differences(tree.live, mounted, seconds: true) == "")
    }
  }

  @Test func `each of a hundred thousand names in one directory is found`() throws {
    let tree = try StoredTree { live throws in
      let script = """
        import os, sys
        for i in range(100000): os.mknod('%s/%d-%s' % (sys.argv[1], i, 'x' * (i % 40)))
        """
      #expect(try run("python3", "-c", script, live).didSucceed)
    }
    #expect(try tree.write("image", .quick()).inodes == 100_001)
    let list = try run("unsquashfs", "-ls", tree.directory.path("image"))
    #expect(list.output.split(separator: "\n").count == 100_001)
    try withMounted(tree.directory.path("image")) { mounted throws in
      try runFixture("scripts/oracles/look-up-names.py", mounted)
    }
  }

  @Test(arguments: seeds)
  func `a random tree is reproduced with random options`(_ seed: UInt64) throws {
    print("seed \(seed)")
    var random = SplitMix64(seed)
    let tree = try StoredTree { live throws in
      try runFixture("scripts/trees/make-random-tree.py", live, "\(seed)")
    }
    for _ in 0..<3 {
      let options = SquashfsOptions.quick(
        [.gzip(level: 2), .xz(preset: 0), .zstd(level: 2)].randomElement(using: &random) ?? .gzip(),
        block: 4096 << Int.random(in: 0...8, using: &random),
        tails: [.ownBlocks, .shareSmallFiles, .shareAll].randomElement(using: &random) ?? .shareAll,
        workers: Int.random(in: 1...5, using: &random))
      let report = try tree.write("image", options)
      #expect(report.problems.isEmpty)
      try withMounted(tree.directory.path("image")) { mounted throws in
        #expect(
          try differences(tree.live, mounted, seconds: true) == "", "seed \(seed), \(options)")
      }
      let check = try run("unsquashfs", "-lls", tree.directory.path("image"))
      #expect(check.didSucceed, "seed \(seed), \(options): \(check.errors)")
    }
  }

  @Test func `dropped entries are omitted, and directories are included only if needed`() throws {
    let tree = try StoredTree { live throws in
      try shell(
        "cd \"$1\"; mkdir -p a/b/c d/e f; echo 1 >a/b/c/kept; echo 2 >a/b/gone; echo 3 >d/e/gone; ln a/b/c/kept f/link",
        live)
    }
    try tree.write("image", .quick()) { path, entry in
      let path = String(decoding: path, as: UTF8.self)
      if path == "f" { return .drop }
      if entry.kind == .directory { return .keepIfNeeded }
      return path.hasSuffix("gone") ? .drop : .keep
    }
    let list = try run("unsquashfs", "-ls", tree.directory.path("image")).output
    #expect(
      list.split(separator: "\n").map { $0.dropFirst("squashfs-root".count) }
        == ["", "/a", "/a/b", "/a/b/c", "/a/b/c/kept"])
    let extracted = try extract(tree.directory.path("image"))
    #expect(try run("stat", "-c", "%h", extracted + "/a/b/c/kept").output == "1\n")
  }
}
