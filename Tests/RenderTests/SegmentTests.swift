// Segments: their boundaries, the cache's contents, and that the cache does not change a rendering.

import Codec
import Foundation
import Platform
import Render
import Store
import TestSupport
import Testing

private let sizes = SegmentSizes(
  minBytes: 64 << 10, normalBytes: 256 << 10, maxBytes: 1 << 20)

private func cut(_ entries: [ArchiveEntry], _ sizes: SegmentSizes = sizes) -> [Segment] {
  var cutter = Segmenter(sizes)
  var segments: [Segment] = []
  for entry in entries { cutter.add(entry) { segments.append($0) } }
  cutter.finish([1, 2, 3]) { segments.append($0) }
  return segments
}

private func entries(_ random: inout SplitMix64, _ count: Int) -> [ArchiveEntry] {
  (0..<count).map { i in
    let size = random.next() % 20 == 0 ? random.next() % 2_000_000 : random.next() % 10_000
    let name = Array("dir/\(i)-\(random.next() % 1000)".utf8)
    return ArchiveEntry(
      path: name, header: name,
      content: .blob(SHA256.digest(of: name), sizeBytes: size), paddingBytes: Int(size % 4))
  }
}

@Suite struct SegmentCutterTests {
  @Test(arguments: seeds)
  func `segments of a fixed size are split anywhere, and only the last is shorter`(_ seed: UInt64) {
    var random = SplitMix64(seed)
    let entries = entries(&random, 500)
    let segments = cut(entries, SegmentSizes(fixedBytes: 100_000))
    #expect(segments.dropLast().allSatisfy { $0.sizeBytes == 100_000 })
    #expect((1...100_000).contains(segments.last?.sizeBytes ?? 0))
    // The ranges of each blob follow one another.
    var next: [Digest: UInt64] = [:]
    for case .blob(let blob, _, let range) in segments.flatMap(\.parts) {
      #expect(range.lowerBound == next[blob, default: 0])
      next[blob] = range.upperBound
    }
    for entry in entries {
      guard case .blob(let blob, let size) = entry.content, size > 0 else { continue }
      #expect(next[blob] == size)
    }
    #expect(
      segments.reduce(0) { $0 + UInt64($1.sizeBytes) } == entries.reduce(3) { $0 + $1.sizeBytes })
  }

  @Test(arguments: seeds)
  func `segments contain every byte and do not exceed the maximum length`(_ seed: UInt64) {
    var random = SplitMix64(seed)
    let entries = entries(&random, 2000)
    let segments = cut(entries)
    let total = entries.reduce(3) { $0 + $1.sizeBytes }
    #expect(segments.reduce(0) { $0 + UInt64($1.sizeBytes) } == total, "seed \(seed)")
    #expect(segments.allSatisfy { $0.sizeBytes <= 2 << 20 })
    let average = total / UInt64(segments.count)
    #expect(100_000 < average && average < 600_000, "seed \(seed): \(average)")
  }

  @Test(arguments: seeds)
  func `a new or changed entry changes few segments`(_ seed: UInt64) {
    var random = SplitMix64(seed)
    var entries = entries(&random, 2000)
    let before = Set(cut(entries).map { $0.key(encoder: "x") })
    let new = Array("dir/new".utf8)
    entries.insert(
      ArchiveEntry(path: new, header: new, content: .bytes(random.bytes(5000))),
      at: Int(random.next() % 2000))
    let after = cut(entries).map { $0.key(encoder: "x") }
    #expect(after.filter { !before.contains($0) }.count <= 6, "seed \(seed)")
    #expect(Set(after) != Set(cut(entries).map { $0.key(encoder: "y") }))
  }
}

@Suite struct SegmentCacheTests {
  private func layout(_ directory: TemporaryDirectory) throws -> Layout {
    try Layout.open(
      KernelFileSystem.shared, path: Array(directory.path("store").utf8), create: true)
  }
  private func key(_ n: Int) -> Digest { SHA256.digest(of: Array("key \(n)".utf8)) }
  private func value(_ n: Int) -> [UInt8] {
    var random = SplitMix64(UInt64(n))
    return random.bytes(1000 + n % 777)
  }
  private func files(_ directory: TemporaryDirectory) throws -> [String] {
    let path = directory.path("store/cache/segments")
    return try FileManager.default.contentsOfDirectory(atPath: path).sorted().map {
      "\(path)/\($0)"
    }
  }

  @Test func `stored segments are found, also by other processes`() throws {
    let directory = try TemporaryDirectory()
    let first = SegmentCache(try layout(directory))
    for n in 0..<500 { first.put(key(n), value(n)) }
    #expect((0..<500).allSatisfy { first.find(key($0)) == value($0) })
    #expect(first.find(key(500)) == nil)
    // A second cache reads the existing content and appends to its own file.
    let second = SegmentCache(try layout(directory))
    #expect((0..<500).allSatisfy { second.find(key($0)) == value($0) })
    second.put(key(500), value(500))
    first.put(key(501), value(501))
    #expect(try files(directory).count == 2)
    let third = SegmentCache(try layout(directory))
    #expect((0..<502).allSatisfy { third.find(key($0)) == value($0) })
  }

  @Test func `one process after another appends to one file`() throws {
    let directory = try TemporaryDirectory()
    for n in 0..<20 { SegmentCache(try layout(directory)).put(key(n), value(n)) }
    #expect(try files(directory).count == 1)
    let cache = SegmentCache(try layout(directory))
    #expect((0..<20).allSatisfy { cache.find(key($0)) == value($0) })
  }

  @Test(arguments: seeds)
  func `a damaged cache entry is a miss and never a wrong value`(_ seed: UInt64) throws {
    let directory = try TemporaryDirectory()
    var random = SplitMix64(seed)
    do {
      let cache = SegmentCache(try layout(directory))
      for n in 0..<300 { cache.put(key(n), value(n)) }
    }
    let file = try #require(try files(directory).first)
    for round in 0..<30 {
      var bytes = [UInt8](try Data(contentsOf: URL(fileURLWithPath: file)))
      switch random.next() % 3 {
      case 0: bytes[Int(random.next() % UInt64(bytes.count))] ^= UInt8(1 + random.next() % 255)
      case 1: bytes.removeLast(Int(random.next() % 3000))
      default:
        let at = Int(random.next() % UInt64(bytes.count - 2000))
        bytes.replaceSubrange(at..<at + 2000, with: random.bytes(2000))
      }
      try Data(bytes).write(to: URL(fileURLWithPath: file))
      let cache = SegmentCache(try layout(directory))
      for n in 0..<300 {
        let found = cache.find(key(n))
        #expect(found == nil || found == value(n), "seed \(seed), round \(round)")
        if found == nil { cache.put(key(n), value(n)) }
        #expect(cache.find(key(n)) == value(n), "seed \(seed), round \(round)")
      }
      let again = SegmentCache(try layout(directory))
      #expect((0..<300).allSatisfy { again.find(key($0)) == value($0) }, "seed \(seed)")
    }
  }

  @Test func `a cache that is deleted while in use continues to work, and its limit holds`() throws
  {
    let directory = try TemporaryDirectory()
    let cache = SegmentCache(try layout(directory))
    cache.put(key(1), value(1))
    try FileManager.default.removeItem(atPath: directory.path("store/cache/segments"))
    cache.put(key(2), value(2))
    #expect(cache.find(key(3)) == nil)
    #expect(SegmentCache(try layout(directory)).find(key(2)) == nil)

    let none = SegmentCache(try layout(directory), limitBytes: 0)
    none.put(key(1), value(1))
    #expect(none.find(key(1)) == nil)

    let limit: UInt64 = 2 << 20
    let big = (0..<400).map { n in [UInt8](repeating: UInt8(n % 251), count: 100_000) }
    for n in 0..<400 {
      // One file per process: 400 short-lived processes.
      SegmentCache(try layout(directory), limitBytes: limit).put(key(n), big[n])
    }
    let size = SegmentCache(try layout(directory), limitBytes: limit).sizeBytes
    #expect(size <= limit + 100_048)
    #expect(SegmentCache(try layout(directory)).find(key(399)) == big[399])
  }
}
