// Snapshots whose files are stored as deltas of earlier ones: histories that grow, shrink, are collected and
// recompressed, are damaged, and travel.

import Codec
import Foundation
import Images
import Platform
import Store
import TestSupport
import Testing

@Suite(.usesTools) struct DeltaTests {
  private static let names = (1...12).map { "lib/modules/6.1/m\($0).ko" } + ["big", "etc/conf.d/x"]

  /// A site whose files compress by a quarter alone, and much more as deltas.
  private func site(_ random: inout SplitMix64) throws -> CollectedStore {
    let site = try CollectedStore()
    for name in DeltaTests.names {
      let count = name == "big" ? 900_000 : Int.random(in: 2_000...80_000, using: &random)
      try write(random.bytes(count).map { $0 & 0x3f }, name, site)
    }
    return site
  }

  private func write(_ bytes: [UInt8], _ name: String, _ site: CollectedStore) throws {
    let url = URL(fileURLWithPath: "\(site.tree())/\(name)")
    try FileManager.default.createDirectory(
      at: url.deletingLastPathComponent(), withIntermediateDirectories: true)
    try Data(bytes).write(to: url)
  }

  /// Changes a few bytes of some files.
  private func edit(_ site: CollectedStore, _ names: [String], _ random: inout SplitMix64) throws {
    for name in names {
      var bytes = [UInt8](try Data(contentsOf: URL(fileURLWithPath: "\(site.tree())/\(name)")))
      for _ in 0..<3 {
        let at = Int.random(in: 0..<bytes.count, using: &random)
        bytes.replaceSubrange(at..<at, with: random.bytes(20))
      }
      try write(bytes, name, site)
    }
  }

  /// A site with two snapshots, the second one as deltas.
  /// - Returns: the site, the directory of the packs, and the pack of the first snapshot.
  private func twoStates(
    _ seed: UInt64
  ) throws -> (site: CollectedStore, packs: String, first: String) {
    var random = SplitMix64(seed)
    let site = try site(&random)
    try site.snapshot()
    let packs = site.directory.path("store/packs")
    let first = try #require(try FileManager.default.contentsOfDirectory(atPath: packs).first)
    try edit(site, DeltaTests.names, &random)
    try site.snapshot()
    return (site, packs, first)
  }

  private func some(_ random: inout SplitMix64) -> [String] {
    DeltaTests.names.filter { _ in random.next() % 2 == 0 } + ["big"]
  }

  @Test(arguments: seeds)
  func `a history of deltas can be cut anywhere, collected and recompressed`(
    _ seed: UInt64
  ) throws {
    var random = SplitMix64(seed)
    let site = try site(&random)
    try site.snapshot()
    for round in 0..<8 {
      for _ in 0..<2 {
        try edit(site, some(&random), &random)
        if random.next() % 5 == 0 {
          // As an update of the kernel: a new directory, whose files resemble those of another.
          try shell("cd \"$1/lib/modules\"; rm -rf 5.*; cp -r 6.1 5.$2", site.tree(), "\(round)")
        }
        try site.snapshot()
      }
      let entries = try site.open().log("img")
      let gone = entries.map(\.committed.name).filter { _ in random.next() % 3 == 0 }
      if gone.count < entries.count, !gone.isEmpty {
        _ = try site.open().remove(gone, force: true)
      }
      switch random.next() % 3 {
      case 0: _ = try site.open().collect()
      case 1: _ = try site.open().collect(request(.all(level: 5)))
      default: break
      }
      try site.check("seed \(seed), round \(round)")
    }
    #expect(try !site.open().store().depthsOfFrames().isEmpty, "seed \(seed): there are no deltas")
    try site.check("seed \(seed), the end", restoring: true)
    try site.open().store().reindex()
    try site.check("seed \(seed), reindexed", restoring: true)
  }

  @Test(arguments: seeds) func `gc frees what the estimate says, with bases`(_ seed: UInt64) throws
  {
    var random = SplitMix64(seed)
    let site = try site(&random)
    try site.snapshot()
    for _ in 0..<9 {
      try edit(site, some(&random), &random)
      try site.snapshot()
    }
    let estimate = try site.open().forget(["img"], policy(last: 3), dryRun: true)
    let before = try site.packBytes()
    _ = try site.open().forget(["img"], policy(last: 3))
    let outcome = try site.open().collect()
    #expect(outcome.freedBytes == Int64(before - (try site.packBytes())))
    let expected = Int(estimate.freedBytes ?? 0)
    // The estimate has the refs, too.
    #expect(
      abs(expected - Int(outcome.freedBytes)) < expected / 50 + 40_000,
      "seed \(seed): \(expected), \(outcome.freedBytes)")
    try site.check("seed \(seed)", restoring: true)
  }

  @Test func `optimize stores versions whole if their bases take more, and frees these`() throws {
    var random = SplitMix64(12)
    let site = try site(&random)
    try site.snapshot()
    let whole = try site.packBytes()
    // A third of each file changes in each round, so the deltas together take as much as a version.
    func rebuild() throws {
      for name in DeltaTests.names {
        var bytes = [UInt8](try Data(contentsOf: URL(fileURLWithPath: "\(site.tree())/\(name)")))
        let count = bytes.count / 3
        let at = Int.random(in: 0..<bytes.count - count, using: &random)
        bytes.replaceSubrange(at..<at + count, with: random.bytes(count).map { $0 & 0x3f })
        try write(bytes, name, site)
      }
      try site.snapshot()
    }
    for _ in 0..<3 { try rebuild() }
    _ = try site.open().forget(["img"], policy(last: 2))
    _ = try site.open().collect()
    let forgotten = try site.packBytes()
    #expect(try site.open().store().depthsOfFrames().max() == StoreTuning().maxDepth)
    #expect(forgotten > whole * 17 / 10, "\(forgotten), \(whole)")
    let outcome = try site.open().collect(request(.all(level: 3)))
    #expect(outcome.leftBytes == 0)
    let rest = try site.packBytes()
    #expect(rest < whole * 3 / 2, "\(rest), \(whole)")
    try site.check("optimized", restoring: true)
    // Nothing is left to do.
    #expect(try site.open().collect(request(.all(level: 3))).rewrittenPacks == 0)
    #expect(try site.open().collect().freedBytes == 0)
  }

  @Test func `damage of a base is reported for every file that rests on it`() throws {
    let (site, packs, first) = try twoStates(7)

    let url = URL(fileURLWithPath: packs + "/" + first)
    let whole = try Data(contentsOf: url)
    var damaged = whole
    for at in stride(from: 3_000, to: damaged.count - 3_000, by: 20_000) { damaged[at] ^= 0xff }
    try damaged.write(to: url)
    func expectAllNamed(deep: Bool) throws {
      let report = try site.open().verify(deep: deep)
      let affected = Set(
        report.problems.flatMap(\.affected).filter { $0.snapshot == "img@2" }.map {
          String(decoding: $0.path, as: UTF8.self)
        })
      for name in DeltaTests.names {
        #expect(affected.contains { $0.hasSuffix("/" + name) }, "\(name), deep: \(deep)")
      }
    }
    try expectAllNamed(deep: true)
    try FileManager.default.removeItem(at: url)
    try expectAllNamed(deep: false)
    #expect(try site.open().repair(RepairOptions()).losses.isEmpty == false)

    try whole.write(to: url)
    try site.open().store().reindex()
    try site.check("the pack is back", restoring: true)
  }

  @Test func `gc keeps the base of a frame that an outdated index lacks`() throws {
    let (site, packs, first) = try twoStates(10)
    let second = try FileManager.default.contentsOfDirectory(atPath: packs).filter { $0 != first }
    // The index is rebuilt while the frames cannot be found, and then they are there again.
    var whole: [String: Data] = [:]
    for name in second {
      let url = URL(fileURLWithPath: packs + "/" + name)
      let data = try Data(contentsOf: url)
      whole[name] = data
      try (data.prefix(16) + Data(count: data.count - 16)).write(to: url)
    }
    try site.open().store().reindex()
    for (name, data) in whole { try data.write(to: URL(fileURLWithPath: packs + "/" + name)) }
    _ = try site.open().remove(["img@1"], force: true)
    _ = try site.open().collect()
    try site.check("collected", restoring: true)
  }

  @Test func `a damaged base is restored from another store`() throws {
    let (site, packs, first) = try twoStates(8)
    let copy = site.directory.path("copy")
    try shell("cp -a \"$1\" \"$2\"", site.directory.path("store"), copy)
    try FileManager.default.removeItem(atPath: packs + "/" + first)
    var repair = RepairOptions()
    repair.sources = [copy]
    let outcome = try site.open().repair(repair)
    #expect(outcome.losses.isEmpty, "\(outcome.losses.paths.first.map { "\($0)" } ?? "")")
    try site.check("repaired", restoring: true)
  }

  @Test func `deltas travel to a store that has their bases, and whole chunks to others`() throws {
    var random = SplitMix64(9)
    let site = try site(&random)
    try site.snapshot()
    try edit(site, DeltaTests.names, &random)
    let before = try site.packBytes()
    try site.snapshot()
    let grown = try site.packBytes() - before

    func other(_ name: String) -> String {
      site.directory.path(name)
    }
    for number in [1, 2] {
      let pushed = try site.open().push(PushRequest(other("near"), ["img@\(number)"]))
      if number == 2 {
        #expect(Int(pushed.amount.bytes) < grown + grown / 50 + 500, "\(pushed.amount), \(grown)")
      }
    }
    let plan = try site.open().push(PushRequest(other("far"), ["img@2"]))
    #expect(Int(plan.amount.bytes) > grown * 3)
    for name in ["near", "far"] {
      let workspace = try Workspace(
        WorkspaceOptions(store: other(name), root: site.directory.path("root"))
      ) { _ in }
      let report = try workspace.verify(deep: true)
      #expect(report.isClean, "\(name): \(report.problems)")
      let number = name == "near" ? 2 : 1
      let out = site.directory.path("out-\(name)")
      _ = try workspace.restore("img@\(number)", to: out)
      let copy = try #require(site.pristine["img@2"])
      #expect(try differences(copy, out) == "", "\(name)")
    }
  }
}
