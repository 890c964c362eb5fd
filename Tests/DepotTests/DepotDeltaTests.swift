// Frames with bases in depots: pushes, pulls, damage.

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
  @Test func `a push keeps bases, and the first one raises the version of the depot`() throws {
    for localStore in [true, false] {
      let plain = try DepotFixture()
      try plain.push(0)
      let memory = try #require(plain.bucket as? MemoryObjectStorage)
      #expect(Deltas.format(memory).contains("version 1\n"))
      let pushed = try Deltas.push(localStore: localStore)
      #expect(Deltas.format(pushed.memory).contains("version 3\n"))
      #expect(try Deltas.depths(pushed.memory).filter { $0 == 1 }.count == pushed.chunks.count)
      #expect(try pushed.depot.verify(deep: true).problems == [])
      let reopened = try Depot(opening: pushed.memory, pushed.fixture.options)
      #expect(try reopened.verify(deep: true).problems == [])
    }
  }

  @Test func `a depot with older deltas has its version raised by the next one`() throws {
    let fixture = try DepotFixture()
    try fixture.push(0)
    let memory = try #require(fixture.bucket as? MemoryObjectStorage)
    let older = Deltas.format(memory).replacing("version 1\n", with: "version 2\n")
    try memory.write(try #require(ObjectKey("format")), .bytes(Array(older.utf8)))
    let universe = fixture.universe
    try Deltas.pushDeltas(
      2, Deltas.chunks(of: 2, universe), [Deltas.chunks(of: 0, universe)[0]], fixture,
      try fixture.open())
    #expect(Deltas.format(memory) == older.replacing("version 2\n", with: "version 3\n"))
    #expect(try fixture.open().verify(deep: true).problems == [])
  }

  @Test func `a frame is stored without its base where the depot lacks that, or the chain is long`()
    throws
  {
    let fixture = try DepotFixture()
    let universe = fixture.universe
    let depot = try fixture.open()
    let memory = try #require(fixture.bucket as? MemoryObjectStorage)
    // Nothing is there that snapshot 2 could be based on.
    try Deltas.pushDeltas(
      2, Deltas.chunks(of: 2, universe), [Deltas.chunks(of: 0, universe)[0]], fixture, depot)
    #expect(try Deltas.depths(memory).allSatisfy { $0 == 0 })
    #expect(Deltas.format(memory).contains("version 1\n"))
    // Each frame is based on the one before.
    var before = Deltas.chunks(of: 2, universe)[0]
    let session = try DepotSession(depot)
    for chunk in universe.chunks
    where chunk != before && !Deltas.chunks(of: 2, universe).contains(chunk) {
      try session.append(try Universe.delta([chunk], [before], 1, universe.objects))
      try session.flush()
      before = chunk
    }
    session.end()
    let maxDepth = StoreTuning().maxDepth
    #expect(try Set(Deltas.depths(memory)) == Set(0...maxDepth))
    #expect(try fixture.open().verify(deep: true).problems == [])
  }

  @Test func `a pull brings frames with the bases that the store has, and others without`() throws {
    let pushed = try Deltas.push()
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

  @Test func `damage of a base names what rests on it`() throws {
    let pushed = try Deltas.push()
    let location = try Deltas.pack(with: pushed.base, pushed.memory)
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
    let pushed = try Deltas.push()
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

  @Test func `a push of deltas that is killed at any request leaves a whole depot`() throws {
    for kill in 1... {
      var fixture = try DepotFixture()
      fixture.options.requestCount = 1
      try fixture.push(0)
      let memory = try #require(fixture.bucket as? MemoryObjectStorage)
      let universe = fixture.universe
      let base = [Deltas.chunks(of: 0, universe)[0]]
      let own = Deltas.chunks(of: 2, universe)
      var isComplete = false
      do {
        let depot = try Depot(opening: Deltas.killed(memory, at: kill), fixture.options)
        try Deltas.pushDeltas(2, own, base, fixture, depot)
        isComplete = true
      } catch {}
      #expect(try fixture.open().verify(deep: true).problems == [])
      if try Deltas.depths(memory).contains(1) {
        #expect(Deltas.format(memory).contains("version 3\n"))
      }
      try Deltas.pushDeltas(2, own, base, fixture, try fixture.open())
      #expect(try fixture.open().verify(deep: true).problems == [])
      if isComplete { break }
    }
  }
}
