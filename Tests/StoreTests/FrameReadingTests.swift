// A chunk that is requested alone is decoded without the rest of its frame, and never returned wrong.

import Codec
import Foundation
import Platform
import Store
import TestSupport
import Testing

@Suite struct FrameReadingTests {
  /// Creates a store with frames of 27 chunks each.
  private func makeStore(
    _ path: String, chunks count: Int = 40, _ random: inout SplitMix64
  ) throws -> [Digest: [UInt8]] {
    let store = try open(path)
    var chunks: [Digest: [UInt8]] = [:]
    let session = try store.beginSession()
    try session.withWorker { worker in
      for _ in 0..<count {
        // Half of the bytes compress well.
        let words = random.bytes(10_000)
        let bytes = words + words.map { $0 & 3 }
        chunks[try bytes.withUnsafeBytes { try worker.addChunk($0) }] = bytes
      }
    }
    try session.finish()
    return chunks
  }

  private func open(_ path: String) throws -> ObjectStore {
    try ObjectStore(KernelFileSystem.shared, path: Array(path.utf8), create: true) { _ in }
  }

  @Test func `every chunk is read alone, again, and among the others`() throws {
    let directory = try TemporaryDirectory()
    var random = SplitMix64(1)
    let chunks = try makeStore(directory.path("store"), &random)
    for (id, bytes) in chunks {
      let store = try open(directory.path("store"))
      #expect(try store.object(.chunk, id) == bytes)
      #expect(try store.object(.chunk, id) == bytes)
    }
    let store = try open(directory.path("store"))
    for (id, bytes) in chunks { #expect(try store.object(.chunk, id) == bytes) }
  }

  @Test(arguments: seeds) func `chunks of many frames are read in any order by many threads`(
    _ seed: UInt64
  ) throws {
    let directory = try TemporaryDirectory()
    var random = SplitMix64(seed)
    let chunks = try makeStore(directory.path("store"), chunks: 260, &random)
    let store = try open(directory.path("store"))
    let order = Monitor(chunks.keys.shuffled(using: &random) + Array(chunks.keys))
    try runThreads(4) { _ in
      while let id = order.withLock({ $0.popLast() }) {
        let found = try store.object(.chunk, id)
        #expect(found == chunks[id], "seed \(seed)")
      }
    }
  }

  @Test(arguments: seeds) func `a damaged frame returns the right bytes or an error`(
    _ seed: UInt64
  ) throws {
    let directory = try TemporaryDirectory()
    var random = SplitMix64(seed)
    let chunks = try makeStore(directory.path("store"), &random)
    let packs = directory.path("store/packs")
    let name = try #require(try FileManager.default.contentsOfDirectory(atPath: packs).first)
    let url = URL(fileURLWithPath: packs + "/" + name)
    let whole = try Data(contentsOf: url)
    var (right, refused) = (0, 0)
    for _ in 0..<20 {
      var damaged = whole
      damaged[Int.random(in: whole.count / 10..<whole.count, using: &random)] ^= 1
      try damaged.write(to: url)
      for (id, bytes) in chunks.shuffled(using: &random).prefix(8) {
        let store = try open(directory.path("store"))
        do {
          #expect(try store.object(.chunk, id) == bytes, "seed \(seed)")
          right += 1
        } catch let error as StoreError {
          #expect(error.kind == .damaged || error.kind == .missing, "\(error)")
          refused += 1
        }
      }
    }
    #expect(right > 0 && refused > 0, "seed \(seed)")
  }
}
