// Depots whose frames have bases that no program writes: cycles, false depths, false bytes, bases of bases
// without end. A pull either fails with an error that explains itself, or brings what the id names, and soon.

import Codec
import Depot
import DepotTestSupport
import Foundation
import ObjectStorage
import Platform
import Store
import Testing
import Transfer

@Suite struct HostileBaseTests {
  /// A depot with snapshots 0 and 2, in which the chunks of snapshot 2 are in these frames.
  private struct Case {
    let name: String
    let frames: [RawFrame]
    var isReadable = false
  }

  private let universe: Universe
  private let own: [ObjectName]
  private let base: ObjectName

  init() throws {
    let universe = try Shared.universe.get()
    func chunks(_ index: Int) -> [ObjectName] {
      universe.snapshots[index].all.filter { $0.kind == .chunk }.sorted { $0.id < $1.id }
    }
    self.universe = universe
    own = chunks(2)
    base = chunks(0)[0]
  }

  private func delta(
    _ chunk: ObjectName, _ base: [(id: Digest, bytes: [UInt8])], depth: UInt8
  ) throws -> RawFrame {
    let prefix = base.flatMap(\.bytes)
    let chunks = base.map { FrameBase.Chunk(id: $0.id, length: $0.bytes.count) }
    return try prefix.withUnsafeBytes {
      try FrameRepacker.frame(
        of: [(chunk.id, bytes(chunk))], base: FrameBase(depth: depth, chunks: chunks), prefix: $0)
    }
  }

  private func bytes(_ name: ObjectName) -> [UInt8] { universe.objects[name] ?? [] }
  private func pair(_ name: ObjectName) -> (id: Digest, bytes: [UInt8]) { (name.id, bytes(name)) }

  private func cases() throws -> [Case] {
    let (a, b) = (own[0], own[1])
    var cases = [
      Case(
        name: "honest", frames: try own.map { try delta($0, [pair(base)], depth: 1) },
        isReadable: true),
      Case(
        name: "deeper than it is", frames: try own.map { try delta($0, [pair(base)], depth: 16) },
        isReadable: true),
      Case(
        name: "a cycle of one depth",
        frames: [try delta(a, [pair(b)], depth: 1), try delta(b, [pair(a)], depth: 1)]),
      Case(
        name: "a cycle of two depths",
        frames: [try delta(a, [pair(b)], depth: 2), try delta(b, [pair(a)], depth: 1)]),
      Case(
        name: "based on itself",
        frames: [try delta(a, [pair(a)], depth: 1), try delta(b, [pair(base)], depth: 1)]),
      Case(
        name: "too little depth",
        frames: [try delta(a, [pair(b)], depth: 1), try delta(b, [pair(base)], depth: 1)]),
      Case(
        name: "a base that is nowhere",
        frames: try own.map { try delta($0, [(SHA256.digest(of: [1]), [1])], depth: 1) }),
    ]
    let other = universe.chunks.first { !own.contains($0) && $0 != base && bytes($0).count == 41 }
    let lie = try #require(other)
    cases.append(
      Case(
        name: "a base with other bytes",
        frames: try own.map { try delta($0, [(lie.id, bytes(base))], depth: 1) }
          + [try Universe.plain([(lie, bytes(base))])]))
    cases.append(
      Case(
        name: "compressed with another base",
        frames: try own.map { try delta($0, [(base.id, bytes(lie))], depth: 1) }))
    let half = Array(bytes(base).prefix(20))
    cases.append(
      Case(
        name: "a base with another length",
        frames: try own.map { try delta($0, [(base.id, half)], depth: 1) }))
    let many = (0..<50_000).map { index in
      let bytes = [UInt8(truncatingIfNeeded: index)]
      return (id: SHA256.digest(of: Array("\(index)".utf8)), bytes: bytes)
    }
    cases.append(
      Case(name: "a base of 50,000 chunks", frames: try own.map { try delta($0, many, depth: 1) }))
    cases.append(try tower())
    return cases
  }

  /// Each frame of a level is based on all frames of the level below, so a reader without a memory would
  /// decode 8^15 frames.
  private func tower() throws -> Case {
    var frames: [RawFrame] = []
    var below = [pair(base)]
    for depth in UInt8(1)...15 {
      var level: [(id: Digest, bytes: [UInt8])] = []
      for index in 0..<8 {
        let bytes = Array("level \(depth) chunk \(index)".utf8)
        level.append((SHA256.digest(of: bytes), bytes))
      }
      let prefix = below.flatMap(\.bytes)
      let base = FrameBase(
        depth: depth,
        chunks: below.map { FrameBase.Chunk(id: $0.id, length: $0.bytes.count) })
      for chunk in level {
        frames.append(
          try prefix.withUnsafeBytes {
            try FrameRepacker.frame(of: [chunk], base: base, prefix: $0)
          })
      }
      below = level
    }
    for chunk in own { frames.append(try delta(chunk, below, depth: 16)) }
    return Case(name: "a tower", frames: frames, isReadable: true)
  }

  /// Replaces the packs of a depot with both snapshots by one pack.
  private func depot(_ hostile: Case, withDirectory: Bool) throws -> MemoryObjectStorage {
    let memory = MemoryObjectStorage(name: "s3://hostile/depot")
    let fixture = try DepotFixture(memory)
    for index in [0, 2] { try fixture.push(index) }
    let front = try #require(
      memory.content.first { $0.key.text.hasPrefix("packs/") }?.value.prefix(16))
    for key in memory.content.keys where key.text.hasPrefix("packs/") || key.text.hasPrefix("dirs/")
    {
      try memory.delete(key)
    }
    var generator = SeededGenerator(3)
    let names = universe.snapshots[0].all.union(universe.snapshots[2].all).subtracting(own)
    let frames =
      universe.frames(Array(names), inPairs: false, using: &generator) + hostile.frames
    let pack = Array(front) + frames.flatMap(\.bytes)
    let name = DepotPack(digest: SHA256.digest(of: pack), writer: WriterID(high: 1, low: 2))
    memory.content[try #require(ObjectKey("packs/\(name)"))] = pack
    guard withDirectory else { return memory }
    let headers = frames.flatMap {
      $0.bytes.prefix(FrameHeader.byteCount + $0.header.directoryBytes)
    }
    let directory = DirectoryObject.encode([
      PackDirectory(
        pack: name, sizeBytes: UInt64(pack.count), headers: headers, frameCount: frames.count)
    ])
    let key = try #require(ObjectKey("dirs/\(SHA256.digest(of: directory).hex)"))
    memory.content[key] = directory
    return memory
  }

  @Test func `bases that no program writes end in errors`() throws {
    let start = monotonicSeconds()
    for hostile in try cases() {
      for withDirectory in [true, false] {
        let memory = try depot(hostile, withDirectory: withDirectory)
        let fixture = try DepotFixture(memory)
        let scratch = try Scratch()
        let image = universe.snapshots[2].image
        func pull() throws -> Digest {
          try fixture.pull(
            image, 2, from: try Depot(opening: memory, fixture.options),
            into: try scratch.store("target"))
        }
        if hostile.isReadable {
          #expect(try pull() == universe.snapshots[2].id, "\(hostile.name)")
          #expect(try Depot(opening: memory, fixture.options).verify(deep: true).problems == [])
          continue
        }
        let error = #expect(throws: (any Error).self, "\(hostile.name)") { try pull() }
        let explained = error as? any ExplainedError
        #expect(
          [.objectMissing, .remoteDamaged].contains(explained?.errorCode),
          "\(hostile.name): \(explained?.message ?? "\(String(describing: error))")")
        let depot = try Depot(opening: memory, fixture.options)
        #expect(!(try depot.verify(deep: true)).problems.isEmpty, "\(hostile.name)")
        var options = CollectionOptions()
        options.minNeededShare = 1.1
        // A collection deletes nothing that is needed: either it refuses, or the pack stays.
        _ = try? depot.collect(options)
        #expect(try PackListing(memory).packs.count >= 1, "\(hostile.name)")
      }
    }
    #expect(monotonicSeconds() - start < 60)
  }
}
