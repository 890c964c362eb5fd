// Recompression stores the first version that a snapshot has whole, if the earlier versions below it take
// more space. Nothing that a snapshot needs is lost, and a store that needs all its versions keeps its deltas.

import Codec
import Foundation
import Platform
import Store
import TestSupport
import Testing

@Suite struct BaseReleaseTests {
  private let site: VersionStore
  private var store: ObjectStore { site.store }

  init() throws { site = try VersionStore() }

  private func collect(_ rewriting: CollectionRequest.Rewriting) throws -> CollectionOutcome {
    var request = CollectionRequest()
    request.rewriting = rewriting
    return try store.collect(request, progress: Progress(), report: { _ in })
  }

  /// Returns a version with a part replaced. Without a base, contents compress by a quarter.
  private func rebuilt(_ bytes: [UInt8], part: Int, _ random: inout SplitMix64) -> [UInt8] {
    var bytes = bytes
    let count = bytes.count / part
    let at = Int.random(in: 0..<bytes.count - count, using: &random)
    bytes.replaceSubrange(at..<at + count, with: random.bytes(count).map { $0 & 0x3f })
    return bytes
  }

  private func history(
    _ versions: Int, part: Int, share: Int = 1, _ random: inout SplitMix64
  ) throws -> (states: [VersionStore.Files], firstBytes: UInt64) {
    var contents = (0..<24).map { i in random.bytes(2_000 + 3_000 * i).map { $0 & 0x3f } }
    var states = [try site.commit(contents, following: [])]
    let firstBytes = try site.packBytes()
    for _ in 1..<versions {
      contents = contents.map {
        random.next() % UInt64(share) == 0 ? rebuilt($0, part: part, &random) : $0
      }
      states.append(try site.commit(contents, following: states[states.count - 1]))
    }
    return (states, firstBytes)
  }

  @Test(arguments: seeds)
  func `versions below the first needed one go, and the needed ones stay`(_ seed: UInt64) throws {
    var random = SplitMix64(seed)
    let (states, firstBytes) = try history(4, part: 3, &random)
    #expect(try store.depthsOfFrames().max() == StoreTuning().maxDepth)
    _ = try store.refs.remove(try ImageName("img"), [1, 2])
    _ = try collect(.sparing)
    // gc frees nothing of the chain, and says so.
    let forgotten = try site.packBytes()
    #expect(forgotten > firstBytes * 17 / 10, "\(forgotten), \(firstBytes)")
    #expect(try store.diskUse(progress: Progress()).collectableBytes == 0)
    let outcome = try collect(.all(level: 3))
    let optimized = try site.packBytes()
    #expect(optimized < firstBytes * 3 / 2, "\(optimized), \(firstBytes)")
    #expect(outcome.leftBytes == 0 && outcome.damaged.isEmpty)
    #expect(outcome.freedBytes == Int64(forgotten) - Int64(optimized))
    try site.expectIntact(states[2...], "optimized")
    #expect(try collect(.all(level: 3)).rewrittenPacks == 0)
    #expect(try collect(.sparing).freedBytes == 0)
    try store.reindex()
    try site.expectIntact(states[2...], "reindexed")
  }

  @Test func `a history that is needed as a whole keeps its deltas`() throws {
    var random = SplitMix64(21)
    let (states, _) = try history(5, part: 5, &random)
    let before = try site.packBytes()
    _ = try collect(.all(level: 3))
    #expect(try site.packBytes() <= before + before / 50)
    #expect(try store.depthsOfFrames().count > 0)
    try site.expectIntact(states[...], "optimized")
  }

  @Test func `small deltas are not worth a whole version`() throws {
    var random = SplitMix64(22)
    let (states, firstBytes) = try history(5, part: 200, &random)
    _ = try store.refs.remove(try ImageName("img"), [1, 2, 3])
    _ = try collect(.all(level: 3))
    #expect(try site.packBytes() < firstBytes * 11 / 10)
    #expect(try !store.depthsOfFrames().isEmpty)
    try site.expectIntact(states[3...], "optimized")
  }

  @Test(arguments: seeds)
  func `files that change now and then end near the size of a new store`(_ seed: UInt64) throws {
    var random = SplitMix64(seed)
    let (states, firstBytes) = try history(14, part: 6, share: 3, &random)
    _ = try store.refs.remove(try ImageName("img"), Array(1...11))
    _ = try collect(.sparing)
    let forgotten = try site.packBytes()
    _ = try collect(.all(level: 3))
    let optimized = try site.packBytes()
    #expect(optimized < forgotten, "seed \(seed)")
    #expect(
      optimized < firstBytes * 7 / 4, "seed \(seed): \(firstBytes), \(forgotten), \(optimized)")
    try site.expectIntact(states[11...], "seed \(seed)")
  }
}
