// Depots with frames that have bases, for tests.

import Codec
import Depot
import DepotTestSupport
import Foundation
import ObjectStorage
import Platform
import Store
import Testing
import Transfer

/// Pushes frames with bases, and looks at what a depot has.
enum Deltas {
  /// Snapshot 0 without bases, then snapshot 2 with frames that are based on the first file of snapshot 0.
  struct Pushed {
    let fixture: DepotFixture
    let memory: MemoryObjectStorage
    let depot: Depot
    /// The chunks of snapshot 2, which are all in frames with a base.
    let chunks: [ObjectName]
    let base: ObjectName
  }

  static func push(localStore: Bool = true) throws -> Pushed {
    var fixture = try DepotFixture()
    if !localStore { fixture.options.localStore = nil }
    let depot = try fixture.open()
    try fixture.push(0, to: depot)
    let universe = fixture.universe
    // Two files of snapshot 0 have 41 bytes.
    let base = try #require(
      chunks(of: 0, universe).first { universe.objects[$0]?.count == 41 })
    let second = chunks(of: 2, universe)
    try pushDeltas(2, second, [base], fixture, depot)
    let memory = try #require(fixture.bucket as? MemoryObjectStorage)
    return Pushed(fixture: fixture, memory: memory, depot: depot, chunks: second, base: base)
  }

  static func chunks(of index: Int, _ universe: Universe) -> [ObjectName] {
    universe.snapshots[index].all.filter { $0.kind == .chunk }.sorted { $0.id < $1.id }
  }

  static func pushDeltas(
    _ index: Int, _ chunks: [ObjectName], _ base: [ObjectName], _ fixture: DepotFixture,
    _ depot: Depot
  ) throws {
    let universe = fixture.universe
    var generator = SeededGenerator(7)
    let session = try DepotSession(depot)
    defer { session.end() }
    let missing = try session.missing(Array(universe.snapshots[index].all))
    let plain = missing.filter { !chunks.contains($0) }
    for frame in universe.frames(plain, inPairs: false, using: &generator) {
      try session.append(frame)
    }
    for chunk in chunks {
      try session.append(try Universe.delta([chunk], base, 1, universe.objects))
    }
    _ = try session.commit(try TransferredSnapshot(universe.snapshots[index].bytes), bases: [])
  }

  static func format(_ memory: MemoryObjectStorage) -> String {
    let bytes = memory.content.first { $0.key.text == "format" }?.value
    return String(decoding: bytes ?? [], as: UTF8.self)
  }

  /// The depths of the frames of all packs.
  static func depths(_ memory: MemoryObjectStorage) throws -> [UInt8] {
    var depths: [UInt8] = []
    let fetcher = DirectoryFetcher(storage: memory, requestCount: 1)
    for (pack, size) in try PackListing(memory).packs {
      try fetcher.readPack(pack, sizeBytes: size)?.forEachFrame {
        depths.append($0.header.base?.depth ?? 0)
      }
    }
    return depths.sorted()
  }

  /// The pack that has a chunk.
  static func pack(with chunk: ObjectName, _ memory: MemoryObjectStorage) throws -> DepotPack {
    let fetcher = DirectoryFetcher(storage: memory, requestCount: 1)
    for (pack, size) in try PackListing(memory).packs {
      var isThere = false
      try fetcher.readPack(pack, sizeBytes: size)?.forEachFrame { frame in
        isThere = isThere || frame.header.objects.contains { $0.id == chunk.id }
      }
      if isThere { return pack }
    }
    throw DepotError(.objectMissing, "\(chunk)", "is in no pack")
  }

  /// Returns a view of a bucket that fails from the request with this number on.
  static func killed(_ memory: MemoryObjectStorage, at kill: Int) -> MemoryObjectStorage {
    let dead = StorageError(.unavailable, "the program", "was killed")
    let count = Monitor(0)
    var hooks = MemoryObjectStorage.Hooks()
    hooks.before = { _ throws(StorageError) in
      let number = count.withLock { count in
        count += 1
        return count
      }
      if number >= kill { throw dead }
    }
    return memory.with(hooks)
  }
}
