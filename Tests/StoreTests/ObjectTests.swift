// Objects and their encodings: encoding and decoding are inverse, and invalid bytes never trap.

import Codec
import Platform
import Store
import TestSupport
import Testing

/// Holds objects in memory.
final class MemorySource: ObjectSource {
  private let objects = Monitor<[Digest: [UInt8]]>([:])
  func put(_ object: Tree.EncodedObject) { objects.withLock { $0[object.id] = object.bytes } }
  func object(_ kind: ObjectKind, _ id: Digest) throws -> [UInt8] {
    try #require(objects.withLock { $0[id] })
  }
}

private func randomEntries(_ random: inout SplitMix64, count: Int) -> [Entry] {
  var names: Set<[UInt8]> = []
  while names.count < count {
    let name = random.bytes(Int.random(in: 1...12, using: &random))
    if FileName(name) != nil { names.insert(name) }
  }
  return names.sorted(by: precedes).map { name in
    let content: EntryContent =
      switch Int.random(in: 0..<8, using: &random) {
      case 0: .directory(tree: Digest(random.bytes(32)) ?? .zero)
      case 1: .symlink(target: random.bytes(Int.random(in: 1...300, using: &random)))
      case 2: .device(isBlock: .random(using: &random), DeviceNumber(major: 7, minor: .max))
      case 3: .fifo
      case 4: .socket
      case 5: .unreadableFile(sizeBytes: 12)
      default: .file(blob: Digest(random.bytes(32)) ?? .zero, sizeBytes: random.next() >> 2)
      }
    return Entry(
      name: name, content: content, mode: UInt16(random.next() & 0o7777),
      uid: UInt32(truncatingIfNeeded: random.next()), gid: 0,
      xattrs: .random(using: &random) ? Digest(random.bytes(32)) : nil,
      holes: content.kind == .file && .random(using: &random) ? Digest(random.bytes(32)) : nil,
      linkGroup: .random(using: &random) ? random.next() : 0,
      modified: Timestamp(
        seconds: Int64(bitPattern: random.next()),
        nanoseconds: UInt32(random.next() % 1_000_000_000)),
      times: content.kind == .directory ? Digest(random.bytes(32)) : nil)
  }
}

@Suite struct ObjectTests {
  @Test(arguments: seeds) func `trees decode to the encoded entries`(_ seed: UInt64) throws {
    var random = SplitMix64(seed)
    for count in [0, 1, 2, 50, 1024, 1025, 6000] {
      let entries = randomEntries(&random, count: count)
      let source = MemorySource()
      let ids = Tree.encode(entries) { source.put($0) }
      #expect(try Tree.entries(ids, from: source) == entries, "seed \(seed), \(count) entries")
    }
  }

  @Test func `times are not part of a tree's identity`() throws {
    var random = SplitMix64(7)
    var entries = randomEntries(&random, count: 100)
    let before = Tree.encode(entries) { _ in }
    entries[40].modified = Timestamp(seconds: 5, nanoseconds: 5)
    let after = Tree.encode(entries) { _ in }
    #expect(before.tree == after.tree)
    #expect(before.times != after.times)
    entries[40].mode ^= 1
    #expect(Tree.encode(entries) { _ in }.tree != before.tree)
  }

  @Test func `one changed entry of a large directory rewrites one leaf`() throws {
    var random = SplitMix64(8)
    var entries = randomEntries(&random, count: 20_000)
    var first: Set<Digest> = []
    _ = Tree.encode(entries) { first.insert($0.id) }
    entries[12_345].mode ^= 1
    var bytes = 0
    var fresh = 0
    _ = Tree.encode(entries) {
      if !first.contains($0.id) {
        fresh += 1
        bytes += $0.bytes.count
      }
    }
    #expect(fresh == 2, "a leaf and the node")
    #expect(bytes < 300_000)
  }

  @Test(arguments: seeds) func `damaged objects are errors, never traps`(_ seed: UInt64) throws {
    var random = SplitMix64(seed)
    var objects: [Tree.EncodedObject] = []
    let ids = Tree.encode(randomEntries(&random, count: 30)) { objects.append($0) }
    for _ in 0..<3000 {
      let damaged = objects.map { object in
        var bytes = object.bytes
        for _ in 0...Int.random(in: 0...2, using: &random) {
          if Bool.random(using: &random) {
            bytes[Int.random(in: 0..<bytes.count, using: &random)] = UInt8.random(
              in: 0...255, using: &random)
          } else {
            bytes.removeLast(Int.random(in: 0..<bytes.count, using: &random))
          }
        }
        return (object.id, bytes)
      }
      let source = RawSource(Dictionary(damaged) { $1 })
      // Either decoding fails, or every decoded name is valid.
      if let entries = try? Tree.entries(ids, from: source) {
        #expect(entries.allSatisfy { FileName($0.name) != nil }, "seed \(seed)")
      }
      for (_, bytes) in damaged {
        _ = try? ChunkList.decode(bytes)
        _ = try? HoleMap.decode(bytes)
        _ = try? XattrSet.decode(bytes)
        _ = try? Snapshot.decode(bytes)
      }
    }
  }

  @Test func `names that leave the directory are refused`() throws {
    for name in ["", ".", "..", "a/b", "a\0b"] {
      let entry = Entry(
        name: Array(name.utf8), content: .fifo, mode: 0, uid: 0, gid: 0,
        modified: Timestamp(seconds: 0, nanoseconds: 0))
      let source = MemorySource()
      let ids = Tree.encode([entry]) { source.put($0) }
      #expect(throws: StoreError.self) { try Tree.entries(ids, from: source) }
    }
  }

  @Test(arguments: seeds) func `chunks are bounded, and cuts survive an insertion`(_ seed: UInt64) {
    var random = SplitMix64(seed)
    let data = random.bytes(6 << 20)
    func cuts(_ bytes: [UInt8]) -> [Int] {
      bytes.withUnsafeBytes { buffer in
        var cuts: [Int] = []
        var at = 0
        while at < buffer.count {
          let length = Chunker.firstCut(UnsafeRawBufferPointer(rebasing: buffer[at...]))
          #expect(length <= Chunker.maxBytes && length > 0)
          #expect(length >= Chunker.minBytes || at + length == buffer.count)
          at += length
          cuts.append(at)
        }
        return cuts
      }
    }
    let before = cuts(data)
    #expect(before.last == data.count)
    let after = cuts([1, 2, 3] + data)
    let shared = Set(before).intersection(after.map { $0 - 3 })
    #expect(shared.count > before.count / 2, "seed \(seed): \(shared.count) of \(before.count)")
  }
}

private struct RawSource: ObjectSource {
  let objects: [Digest: [UInt8]]
  init(_ objects: [Digest: [UInt8]]) { self.objects = objects }
  func object(_ kind: ObjectKind, _ id: Digest) throws -> [UInt8] {
    guard let bytes = objects[id] else { throw StoreError(.missing, "object", "absent") }
    return bytes
  }
}
