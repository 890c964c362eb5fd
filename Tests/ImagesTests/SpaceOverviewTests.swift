// The use of space at a glance, and the space of a tree, compared with `du` and with the files.

import Foundation
import Images
import TestSupport
import Testing

@Suite struct SpaceOverviewTests {
  private static func site() throws -> TestNode {
    let node = try TestNode(
      image: "img",
      tree: [
        "etc/motd": "hello\n", "usr/lib/a": String(repeating: "a", count: 5000),
        "usr/lib/copy": String(repeating: "a", count: 5000),
        "usr/share/deep/b": String(repeating: "b", count: 3000), "top": "12345",
      ])
    let workspace = try node.open()
    _ = try workspace.snapshot("img")
    var random = SystemRandomNumberGenerator()
    let text = (0..<40_000).map { _ in "\(UInt8.random(in: 0...255, using: &random))" }.joined()
    try node.write(text, to: "img/rootimg/usr/lib/new")
    _ = try workspace.snapshot("img")
    return node
  }

  @Test func `the overview has the numbers of du`() throws {
    let node = try Self.site()
    defer { withExtendedLifetime(node) {} }
    let workspace = try node.open()
    let overview = try workspace.spaceOverview()
    let use = try workspace.diskUse([], bySnapshot: true)
    #expect(overview.images.total.use.reachedBytes == use.total.use.reachedBytes)
    #expect(overview.growth.last?.bytes == use.total.use.reachedBytes)
    #expect(
      overview.snapshots.map(\.reachedBytes) == use.lines.map(\.use.reachedBytes),
      "the snapshots of one image are in the order of their numbers")
    #expect(
      overview.snapshots.reduce(0) { $0 + $1.addedBytes } == use.total.use.reachedBytes)
    #expect(zip(overview.growth, overview.growth.dropFirst()).allSatisfy { $0.bytes <= $1.bytes })
  }

  @Test func `the last point of a thinned overview is the latest snapshot`() throws {
    let node = try Self.site()
    defer { withExtendedLifetime(node) {} }
    let workspace = try node.open()
    let whole = try workspace.spaceOverview()
    let thin = try workspace.spaceOverview(maxPoints: 1)
    #expect(thin.growth.count == 1)
    #expect(thin.growth.last?.bytes == whole.growth.last?.bytes)
  }

  @Test func `the space of a tree counts each content once`() throws {
    let node = try Self.site()
    defer { withExtendedLifetime(node) {} }
    let workspace = try node.open()
    let reader = try workspace.reader(of: try workspace.find(try Reference("img@1")))
    let space = try #require(try reader.space(depth: 2))
    #expect(space.files == 5)
    #expect(space.bytes == 6 + 5000 + 3000 + 5)
    let sizes = Dictionary(uniqueKeysWithValues: space.directories.map { ($0.name, $0.bytes) })
    #expect(sizes == ["etc": 6, "usr": 8000, "usr/lib": 5000, "usr/share": 3000])
    #expect(space.packages.isEmpty)
    #expect(space.unowned.files == 0)
  }
}

@Suite struct LineBlameTests {
  @Test(arguments: seeds) func `each line was in all snapshots since its origin`(
    _ seed: UInt64
  ) throws {
    var random = SplitMix64(seed)
    let node = try TestNode(image: "img", tree: ["file": ""])
    defer { withExtendedLifetime(node) {} }
    let workspace = try node.open()
    var lines = (0..<20).map { "line \($0)" }
    var versions: [[String]] = []
    for version in 0..<10 {
      for _ in 0..<Int.random(in: 0...4, using: &random) {
        let index = Int.random(in: 0...lines.count, using: &random)
        if Bool.random(using: &random), index < lines.count {
          lines.remove(at: index)
        } else {
          lines.insert("new \(version) \(Int.random(in: 0...3, using: &random))", at: index)
        }
      }
      // Each version differs.
      lines.append("new \(version) end")
      versions.append(lines)
      try node.write(lines.map { $0 + "\n" }.joined(), to: "img/rootimg/file")
      _ = try workspace.snapshot("img")
    }
    let runs = try workspace.lineBlame(try Reference("img@10"), path: "file")
    #expect(runs.reduce(0) { $0 + $1.lines.count } == lines.count, "seed \(seed)")
    var next = 1
    for run in runs {
      #expect(run.lines.lowerBound == next && !run.isLimit)
      next = run.lines.upperBound + 1
      for line in run.lines {
        let text = lines[line - 1]
        // A line names the version that wrote it; the first version wrote the others.
        let first = text.hasPrefix("new ") ? Int(text.split(separator: " ")[1]) ?? 0 : 0
        #expect(run.origin.number >= first + 1, "seed \(seed), line \(line)")
        for version in (run.origin.number - 1)..<10 {
          #expect(versions[version].contains(text), "seed \(seed), line \(line)")
        }
      }
    }
  }
}
