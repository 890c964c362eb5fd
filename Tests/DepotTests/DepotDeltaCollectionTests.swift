// Collections of depots whose frames have bases.

import Codec
import Depot
import DepotTestSupport
import Foundation
import ObjectStorage
import Platform
import Store
import Testing
import Transfer

@Suite struct DepotDeltaCollectionTests {
  @Test func `a base stays as long as a snapshot needs what rests on it`() throws {
    let pushed = try Deltas.push()
    let image = pushed.fixture.universe.snapshots[0].image
    try pushed.depot.forget(image, 1)
    var options = CollectionOptions()
    options.minNeededShare = 1.1
    for _ in 0..<2 { _ = try pushed.depot.collect(options) }
    #expect(try Deltas.depths(pushed.memory).filter { $0 == 1 }.count == pushed.chunks.count)
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
    let base = Deltas.chunks(of: 0, universe)[0]
    let own = Deltas.chunks(of: 2, universe)
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
    #expect(try Deltas.depths(memory).filter { $0 == 1 }.count == 1)
    #expect(try DepotSource(depot).contents(of: [other.id])[0] == nil)
    #expect(try depot.verify(deep: true).problems == [])
  }

  @Test func `what rests on a pack that may be deleted does not count`() throws {
    let fixture = try DepotFixture()
    let universe = fixture.universe
    let depot = try fixture.open()
    let base = Deltas.chunks(of: 0, universe)[0]
    // The base has a pack of its own.
    let session = try DepotSession(depot)
    try session.append(try Universe.plain([(base, universe.objects[base] ?? [])]))
    session.end()
    let memory = try #require(fixture.bucket as? MemoryObjectStorage)
    let pack = try #require(PackListing(memory).packs.keys.first)
    try fixture.push(0, to: depot)
    let chunks = Deltas.chunks(of: 2, universe)
    try Deltas.pushDeltas(2, chunks, [base], fixture, depot)
    let id = universe.snapshots[2].id
    let first = try DepotSession(depot)
    #expect(try first.usableBases([id]) == [id])
    #expect(try first.missing([chunks[0]]).isEmpty)
    first.end()
    memory.content[try #require(ObjectKey("doomed/\(pack)"))] = []
    let second = try DepotSession(depot)
    defer { second.end() }
    #expect(try second.usableBases([id]) == [])
    #expect(try second.missing([chunks[0]]) == [chunks[0]])
  }

  @Test
  func `a collection is registered while it copies bases, and an evicted one deletes nothing`()
    throws
  {
    for isEvicted in [false, true] {
      let pushed = try Deltas.push()
      try pushed.depot.forget(pushed.fixture.universe.snapshots[0].image, 1)
      let memory = pushed.memory
      let registered = Monitor(0)
      var hooks = MemoryObjectStorage.Hooks()
      hooks.before = { request throws(StorageError) in
        guard request.operation == .write, request.key.hasPrefix("packs/") else { return }
        for key in memory.content.keys where key.text.hasPrefix("writers/") {
          registered.withLock { $0 += 1 }
          if isEvicted { try memory.delete(key) }
        }
      }
      var options = CollectionOptions()
      options.minNeededShare = 1.1
      let depot = try Depot(opening: memory.with(hooks), pushed.fixture.options)
      let before = try Set(PackListing(memory).packs.keys)
      if isEvicted {
        let error = #expect(throws: DepotError.self) { try depot.collect(options) }
        #expect(error?.errorCode == .remoteUnavailable)
        #expect(try before.isSubset(of: PackListing(memory).packs.keys))
      } else {
        _ = try depot.collect(options)
        #expect(try before.isDisjoint(with: PackListing(memory).packs.keys))
      }
      #expect(registered.withLock { $0 } > 0)
      _ = try pushed.depot.collect(options)
      #expect(try pushed.depot.verify(deep: true).problems == [])
      #expect(try pushed.depot.registeredWriters().isEmpty)
    }
  }

  @Test func `a collection of deltas that is killed at any request is completed by the next`()
    throws
  {
    var options = CollectionOptions()
    options.minNeededShare = 1.1
    options.wait = { _ in false }
    for kill in 1... {
      let pushed = try Deltas.push()
      var settings = pushed.fixture.options
      settings.requestCount = 1
      try pushed.depot.forget(pushed.fixture.universe.snapshots[0].image, 1)
      var isComplete = false
      do {
        _ = try Depot(opening: Deltas.killed(pushed.memory, at: kill), settings).collect(options)
        isComplete = true
      } catch {}
      let depot = try Depot(opening: pushed.memory, settings)
      #expect(try depot.verify(deep: true).problems == [])
      for writer in try depot.registeredWriters() { _ = try depot.evict(writer.id) }
      for _ in 0..<2 { _ = try depot.collect(options) }
      #expect(try depot.verify(deep: true).problems == [])
      #expect(try Deltas.depths(pushed.memory).count { $0 == 1 } == pushed.chunks.count)
      #expect(try depot.usage().unneededBytes == 0)
      if isComplete { break }
    }
  }
}
