// Histories of many versions: each one takes little space, and reading one decodes few frames.

import Codec
import Foundation
import Platform
import Store
import TestSupport
import Testing

@Suite struct DeltaHistoryTests {
  private let site: VersionStore
  private var store: ObjectStore { site.store }

  init() throws { site = try VersionStore() }

  /// Returns a version as a new build makes it: a few bytes are inserted, removed and replaced.
  private func rebuilt(_ bytes: [UInt8], _ random: inout SplitMix64) -> [UInt8] {
    var bytes = bytes
    for _ in 0..<max(1, bytes.count / 4096) {
      let at = Int.random(in: 0..<bytes.count - 8, using: &random)
      let new = random.bytes(Int.random(in: 0..<8, using: &random)).map { $0 & 0x3f }
      bytes.replaceSubrange(at..<at + Int.random(in: 0..<4, using: &random), with: new)
    }
    return bytes
  }

  @Test(arguments: seeds)
  func `sixty versions of files that change at random take few bytes, and few frames`(
    _ seed: UInt64
  ) throws {
    var random = SplitMix64(seed)
    var contents = (0..<150).map { i in random.bytes(5_000 + 250 * i).map { $0 & 0x3f } }
    var states = [try site.commit(contents, following: [])]
    let firstBytes = try site.packBytes()
    for version in 1..<60 {
      for i in contents.indices where random.next() % 6 == 0 {
        contents[i] = rebuilt(contents[i], &random)
      }
      states.append(try site.commit(contents, following: states[version - 1]))
      if states.count > 2 { states[states.count - 3] = [] }
    }
    let grown = try site.packBytes() - firstBytes
    #expect(grown < firstBytes / 4, "seed \(seed): \(grown) bytes after \(firstBytes)")
    #expect(try store.depthsOfFrames().max() == StoreTuning().maxDepth)
    #expect(try store.frameCountsOfBases().allSatisfy { $0 == 1 })
    try site.expectIntact(states[58...], "seed \(seed)")
  }

  @Test(arguments: seeds)
  func `three hundred versions of a file take no more at the end than at the start`(
    _ seed: UInt64
  ) throws {
    var random = SplitMix64(seed)
    var content = random.bytes(50_000).map { $0 & 0x3f }
    var state = try site.commit([content], following: [])
    var sizes = [try site.packBytes()]
    for version in 1...300 {
      content = rebuilt(content, &random)
      state = try site.commit([content], following: state)
      if version % 100 == 0 { sizes.append(try site.packBytes()) }
    }
    let growth = zip(sizes.dropFirst(), sizes).map { Double($0 - $1) }
    #expect(growth[2] < 2.5 * growth[0], "seed \(seed): \(growth)")
    #expect(sizes[3] < 600_000, "seed \(seed): \(sizes)")
    try site.expectIntact([state], "seed \(seed)")
  }
}
