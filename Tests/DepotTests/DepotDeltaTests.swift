// Frames with bases in depots: pushes, pulls, collections, damage.

import Codec
import Depot
import DepotTestSupport
import Foundation
import ObjectStorage
import Platform
import Store
import Testing
import Transfer

@Suite struct DepotDeltaTests {
  /// Snapshot 0 without bases, then snapshot 2 with frames that are based on the first file of snapshot 0.
  struct Pushed {
    let fixture: DepotFixture
    let memory: MemoryObjectStorage
    let depot: Depot
    /// The chunks of snapshot 2, which are all in frames with a base.
    let chunks: [ObjectName]
    let base: ObjectName
  }

  private func push(localStore: Bool = true) throws -> Pushed {
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

  private func chunks(of index: Int, _ universe: Universe) -> [ObjectName] {
    universe.snapshots[index].all.filter { $0.kind == .chunk }.sorted { $0.id < $1.id }
  }

  private func pushDeltas(
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

  private func format(_ memory: MemoryObjectStorage) -> String {
    let bytes = memory.content.first { $0.key.text == "format" }?.value
    return String(decoding: bytes ?? [], as: UTF8.self)
  }

  /// The depths of the frames of all packs.
  private func depths(_ memory: MemoryObjectStorage) throws -> [UInt8] {
    var depths: [UInt8] = []
    let fetcher = DirectoryFetcher(storage: memory, requestCount: 1)
    for (pack, size) in try PackListing(memory).packs {
      try fetcher.readPack(pack, sizeBytes: size)?.forEachFrame {
        depths.append($0.header.base?.depth ?? 0)
      }
    }
    return depths.sorted()
  }

  @Test func `a push keeps bases, and the first one raises the version of the depot`() throws {
    for localStore in [true, false] {
      let plain = try DepotFixture()
      try plain.push(0)
      let memory = try #require(plain.bucket as? MemoryObjectStorage)
      #expect(format(memory).contains("version 1\n"))
      let pushed = try push(localStore: localStore)
      #expect(format(pushed.memory).contains("version 2\n"))
      #expect(try depths(pushed.memory).filter { $0 == 1 }.count == pushed.chunks.count)
      #expect(try pushed.depot.verify(deep: true).problems == [])
      let reopened = try Depot(opening: pushed.memory, pushed.fixture.options)
      #expect(try reopened.verify(deep: true).problems == [])
    }
  }

  @Test func `a frame is stored without its base where the depot lacks that, or the chain is long`()
    throws
  {
    let fixture = try DepotFixture()
    let universe = fixture.universe
    let depot = try fixture.open()
    let memory = try #require(fixture.bucket as? MemoryObjectStorage)
    // Nothing is there that snapshot 2 could be based on.
    try pushDeltas(2, chunks(of: 2, universe), [chunks(of: 0, universe)[0]], fixture, depot)
    #expect(try depths(memory).allSatisfy { $0 == 0 })
    #expect(format(memory).contains("version 1\n"))
    // Each frame is based on the one before.
    var before = chunks(of: 2, universe)[0]
    let session = try DepotSession(depot)
    for chunk in universe.chunks where chunk != before && !chunks(of: 2, universe).contains(chunk) {
      try session.append(try Universe.delta([chunk], [before], 1, universe.objects))
      try session.flush()
      before = chunk
    }
    session.end()
    let maxDepth = StoreTuning().maxDepth
    #expect(try Set(depths(memory)) == Set(0...maxDepth))
    #expect(try fixture.open().verify(deep: true).problems == [])
  }

  @Test func `a pull brings frames with the bases that the store has, and others without`() throws {
    let pushed = try push()
    let image = pushed.fixture.universe.snapshots[0].image
    for hasBase in [true, false] {
      let scratch = try Scratch()
      let store = try scratch.store("target")
      let depot = try pushed.fixture.open()
      if hasBase { _ = try pushed.fixture.pull(image, 1, from: depot, into: store) }
      let id = try pushed.fixture.pull(image, 2, from: depot, into: store)
      #expect(id == pushed.fixture.universe.snapshots[2].id)
      let depths = try store.depthsOfFrames()
      #expect(depths == (hasBase ? pushed.chunks.map { _ in 1 } : []))
    }
  }

  @Test func `a base stays as long as a snapshot needs what rests on it`() throws {
    let pushed = try push()
    let image = pushed.fixture.universe.snapshots[0].image
    try pushed.depot.forget(image, 1)
    var options = CollectionOptions()
    options.minNeededShare = 1.1
    for _ in 0..<2 { _ = try pushed.depot.collect(options) }
    #expect(try depths(pushed.memory).filter { $0 == 1 }.count == pushed.chunks.count)
    #expect(try pushed.depot.verify(deep: true).problems == [])
    #expect(try pushed.depot.registeredWriters().isEmpty)
    let usage = try pushed.depot.usage()
    #expect(usage.unneededBytes == 0)
    #expect(usage.images.first?.neededBytes ?? 0 > 0)
    let scratch = try Scratch()
    let id = try pushed.fixture.pull(
      image, 2, from: try pushed.fixture.open(), into: try scratch.store("target"))
    #expect(id == pushed.fixture.universe.snapshots[2].id)
    // Without the snapshot, nothing is left.
    try pushed.depot.forget(image, 2)
    _ = try pushed.depot.collect(options)
    #expect(try PackListing(pushed.memory).packs.isEmpty)
  }

  @Test func `part of a frame is copied with the base of the frame`() throws {
    let fixture = try DepotFixture()
    let universe = fixture.universe
    let depot = try fixture.open()
    try fixture.push(0, to: depot)
    let base = chunks(of: 0, universe)[0]
    let own = chunks(of: 2, universe)
    // The frame has a chunk that no snapshot needs.
    let other = try #require(
      universe.chunks.first { chunk in
        ![0, 2].contains { universe.snapshots[$0].all.contains(chunk) }
      })
    let session = try DepotSession(depot)
    var generator = SeededGenerator(7)
    for frame in universe.frames(
      try session.missing(Array(universe.snapshots[2].all)).filter { $0.kind != .chunk },
      inPairs: false, using: &generator)
    {
      try session.append(frame)
    }
    try session.append(try Universe.delta(own + [other], [base], 1, universe.objects))
    _ = try session.commit(try TransferredSnapshot(universe.snapshots[2].bytes), bases: [])
    session.end()
    let memory = try #require(fixture.bucket as? MemoryObjectStorage)
    var options = CollectionOptions()
    options.minNeededShare = 1.1
    _ = try depot.collect(options)
    #expect(try depths(memory).filter { $0 == 1 }.count == 1)
    #expect(try DepotSource(depot).contents(of: [other.id])[0] == nil)
    #expect(try depot.verify(deep: true).problems == [])
  }

  @Test func `damage of a base names what rests on it`() throws {
    let pushed = try push()
    let location = try #require(
      PackListing(pushed.memory).packs.keys.first { pack in
        try DirectoryFetcher(storage: pushed.memory, requestCount: 1)
          .readPack(pack, sizeBytes: PackListing(pushed.memory).packs[pack] ?? 0)
          .map { directory in
            var isThere = false
            try directory.forEachFrame { frame in
              isThere =
                isThere || frame.header.objects.contains { $0.id == pushed.base.id }
            }
            return isThere
          } ?? false
      })
    let key = try #require(ObjectKey("packs/\(location)"))
    let intact = try #require(pushed.memory.content[key])
    // The last byte of the pack is in the checksum of a payload.
    for offset in stride(from: intact.count - 1, to: 200, by: -7) {
      var damaged = intact
      damaged[offset] ^= 1
      pushed.memory.content[key] = damaged
      let depot = try Depot(opening: pushed.memory, pushed.fixture.options)
      do {
        try DepotSource(depot).objects([pushed.chunks[0]]) { _, _ in }
      } catch let error as DepotError {
        #expect(error.subject.contains(pushed.chunks[0].id.shortHex))
        #expect(error.reason.contains(pushed.base.id.hex), "\(error.message)")
        #expect(error.errorCode == .remoteDamaged)
        let problems = try depot.verify(deep: true).problems.map(\.subject)
        #expect(problems.contains { $0.hasPrefix("pack ") })
        // All files of snapshot 2 rest on the base.
        #expect(problems.count { $0.contains("@2: /x/") } == 3, "\(problems)")
        #expect(problems.contains { $0.contains("@1: /x/") }, "\(problems)")
        return
      }
    }
    Issue.record("no byte of the pack is the base's")
  }

  @Test func `a lost pack with a base makes the snapshots incomplete that rest on it`() throws {
    let pushed = try push()
    let all = try PackListing(pushed.memory).packs.keys
    var count = 0
    for pack in all {
      let key = try #require(ObjectKey("packs/\(pack)"))
      let bytes = pushed.memory.content[key]
      try pushed.memory.delete(key)
      let depot = try Depot(opening: pushed.memory, pushed.fixture.options)
      let source = DepotSource(depot)
      if try source.contents(of: [pushed.base.id])[0] == nil {
        count += 1
        #expect(try source.contents(of: [pushed.chunks[0].id])[0] == nil)
        let problems = try depot.verify(deep: true).problems
        #expect(problems.contains { $0.subject.hasSuffix("@2") && $0.code == .objectMissing })
        #expect(throws: DepotError.self) { try depot.collect() }
        // A push brings the base again, and then all is there.
        try pushed.fixture.push(0, to: depot)
        let repaired = try Depot(opening: pushed.memory, pushed.fixture.options)
        #expect(try repaired.verify(deep: true).problems == [])
      }
      pushed.memory.content[key] = bytes
    }
    #expect(count == 1)
  }
}
