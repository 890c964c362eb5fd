// Chunks that are stored as deltas of earlier versions are read back unchanged, and nothing rests on itself.

import Codec
import Foundation
import Platform
import Store
import TestSupport
import Testing

@Suite struct FrameBaseTests {
  private func open(_ path: String) throws -> ObjectStore {
    try ObjectStore(KernelFileSystem.shared, path: Array(path.utf8), create: true) { _ in }
  }

  /// Returns bytes that compress by half, so that a delta is much smaller than a frame without a base.
  private func content(_ count: Int, _ random: inout SplitMix64) -> [UInt8] {
    random.bytes(count).map { $0 & 0x3f }
  }

  /// Returns a version with some bytes replaced, inserted and removed.
  private func edited(_ bytes: [UInt8], _ random: inout SplitMix64) -> [UInt8] {
    var bytes = bytes
    for _ in 0..<Int.random(in: 1...8, using: &random) {
      let at = Int.random(in: 0..<bytes.count, using: &random)
      switch Int.random(in: 0..<3, using: &random) {
      case 0: bytes[at] ^= 0x15
      case 1:
        bytes.insert(contentsOf: content(Int.random(in: 1...300, using: &random), &random), at: at)
      default: bytes.removeSubrange(at..<min(bytes.count, at + 40))
      }
    }
    return bytes
  }

  /// Stores a blob and returns its id and the bytes that were written.
  private func add(
    _ bytes: [UInt8], following earlier: (id: Digest, bytes: [UInt8])?, to store: ObjectStore,
    maxDepth: UInt8 = 4, usesDifferences: Bool = true
  ) throws -> (id: Digest, written: UInt64) {
    try add(
      bytes,
      predecessor: earlier.map {
        BlobPredecessor(
          $0.id, sizeBytes: UInt64($0.bytes.count), newSizeBytes: UInt64(bytes.count))
      }, to: store, maxDepth: maxDepth, usesDifferences: usesDifferences)
  }

  private func add(
    _ bytes: [UInt8], predecessor: BlobPredecessor?, to store: ObjectStore,
    maxDepth: UInt8 = 4, usesDifferences: Bool = true
  ) throws -> (id: Digest, written: UInt64) {
    var tuning = StoreTuning()
    tuning.maxDepth = maxDepth
    tuning.usesDifferences = usesDifferences
    let session = try store.beginSession(tuning)
    var blobs = BlobIngester()
    let id = try session.withWorker { worker in
      var rest = bytes[...]
      return try blobs.ingest(worker, following: predecessor) { target in
        let part = rest.prefix(target.count)
        rest = rest.dropFirst(part.count)
        target.copyBytes(from: part)
        return part.count
      }.id
    }
    try session.finish()
    return (id, session.writtenBytes)
  }

  private func expect(_ bytes: [UInt8], is id: Digest, in store: ObjectStore, _ comment: Comment)
    throws
  {
    var copy = [UInt8](repeating: 0, count: bytes.count)
    try copy.withUnsafeMutableBytes {
      try store.fill($0, from: id, sizeBytes: UInt64(bytes.count), at: 0)
    }
    #expect(copy == bytes, comment)
  }

  private func format(_ directory: TemporaryDirectory) throws -> String {
    try String(contentsOfFile: directory.path("store/format"), encoding: .utf8)
  }

  @Test(arguments: seeds, [true, false])
  func `versions of a file are small and read back in any order`(
    _ seed: UInt64, _ usesDifferences: Bool
  ) throws {
    let directory = try TemporaryDirectory()
    var random = SplitMix64(seed)
    let store = try open(directory.path("store"))
    let count = [3_000, 60_000, 900_000, 5_000_000].randomElement(using: &random) ?? 0
    var versions: [(id: Digest, bytes: [UInt8])] = []
    var bytes = content(count, &random)
    var writtenBytes: UInt64 = 0
    for _ in 0..<12 {
      let (id, written) = try add(
        bytes, following: versions.last, to: store, usesDifferences: usesDifferences)
      writtenBytes += written
      versions.append((id, bytes))
      bytes = edited(bytes, &random)
    }
    // Without deltas, each version of these takes three quarters of its size.
    if count > 3_000 { #expect(writtenBytes < UInt64(count) * 9 / 2, "seed \(seed)") }
    for path in [store, try open(directory.path("store"))] {
      for version in versions.shuffled(using: &random) {
        try expect(version.bytes, is: version.id, in: path, "seed \(seed)")
      }
    }
    try store.reindex()
    let depths = try store.depthsOfFrames()
    #expect(depths.max().map { $0 <= 4 } == true && depths.contains(2), "seed \(seed)")
    for version in versions { try expect(version.bytes, is: version.id, in: store, "seed \(seed)") }
    #expect(try store.codecsOfFrames().contains(usesDifferences ? .differences : .zstd))
    let report = try store.verify(deep: true, progress: Progress())
    #expect(report.isClean, "\(report.problems)")
  }

  @Test func `a store has format 2 until its first frame with a base`() throws {
    let directory = try TemporaryDirectory()
    var random = SplitMix64(2)
    let store = try open(directory.path("store"))
    let first = content(50_000, &random)
    let id = try add(first, following: nil, to: store).id
    #expect(try format(directory) == "imgstore store\nversion 2\n")
    _ = try add(edited(first, &random), following: (id, first), to: store)
    #expect(try format(directory) == "imgstore store\nversion 4\n")
    _ = try open(directory.path("store"))
  }

  @Test func `a frame with a base has the form that suits its content`() throws {
    let directory = try TemporaryDirectory()
    var random = SplitMix64(8)
    let first = content(100_000, &random)
    // Like a program: most is the same. Like an edited text: no part of 30 bytes is.
    let program = Array(first[..<40_000] + random.bytes(300) + first[40_000...])
    let text = stride(from: 0, to: first.count, by: 25).flatMap {
      first[$0..<$0 + 25] + [0x20] + content(4, &random)
    }
    for (name, bytes, codec) in [
      ("program", program, FrameCodec.differences), ("text", text, .zstd),
    ] {
      let store = try open(directory.path("store-\(name)"))
      let id = try add(first, following: nil, to: store).id
      let second = try add(bytes, following: (id, first), to: store).id
      #expect(try store.codecsOfFrames() == [codec], "\(name)")
      let again = try open(directory.path("store-\(name)"))
      try expect(bytes, is: second, in: again, "\(name)")
      #expect(try again.verify(deep: true, progress: Progress()).isClean, "\(name)")
    }
  }

  @Test func `a store of version 3 keeps its deltas, and the next one raises its version`() throws {
    let directory = try TemporaryDirectory()
    var random = SplitMix64(9)
    let store = try open(directory.path("store"))
    var versions: [(id: Digest, bytes: [UInt8])] = []
    var bytes = content(200_000, &random)
    for number in 0..<6 {
      if number == 3 {
        try "imgstore store\nversion 3\n".write(
          toFile: directory.path("store/format"), atomically: true, encoding: .utf8)
      }
      let id = try add(
        bytes, following: versions.last, to: try open(directory.path("store")),
        usesDifferences: number >= 3
      ).id
      versions.append((id, bytes))
      bytes = edited(bytes, &random)
    }
    #expect(try format(directory) == "imgstore store\nversion 4\n")
    try store.reindex()
    #expect(Set(try store.codecsOfFrames()) == [.zstd, .differences])
    for version in versions { try expect(version.bytes, is: version.id, in: store, "") }
    #expect(try store.verify(deep: true, progress: Progress()).isClean)
  }

  @Test func `a version that another program lowers is raised before deltas are published`() throws
  {
    let directory = try TemporaryDirectory()
    var random = SplitMix64(10)
    let store = try open(directory.path("store"))
    let first = content(5_000_000, &random)
    let id = try add(first, following: nil, to: store).id
    let session = try store.beginSession()
    var blobs = BlobIngester()
    try session.withWorker { worker in
      var rest = edited(first, &random)[...]
      let predecessor = BlobPredecessor(id, sizeBytes: 5_000_000, newSizeBytes: UInt64(rest.count))
      _ = try blobs.ingest(worker, following: predecessor) { target in
        let part = rest.prefix(target.count)
        rest = rest.dropFirst(part.count)
        target.copyBytes(from: part)
        return part.count
      }
    }
    // The first frames are in the pack, which is not published yet.
    #expect(try format(directory) == "imgstore store\nversion 4\n")
    try "imgstore store\nversion 2\n".write(
      toFile: directory.path("store/format"), atomically: true, encoding: .utf8)
    try session.finish()
    #expect(try format(directory) == "imgstore store\nversion 4\n")
  }

  @Test func `an unrelated predecessor costs nothing`() throws {
    let directory = try TemporaryDirectory()
    var random = SplitMix64(3)
    let store = try open(directory.path("store"))
    let first = content(200_000, &random)
    let id = try add(first, following: nil, to: store).id
    let other = content(200_000, &random)
    _ = try add(other, following: (id, first), to: store)
    #expect(try store.depthsOfFrames().isEmpty)
    #expect(try format(directory) == "imgstore store\nversion 2\n")
  }

  @Test func `an object whose base is gone is stored again without a base`() throws {
    let directory = try TemporaryDirectory()
    var random = SplitMix64(4)
    let store = try open(directory.path("store"))
    let first = content(50_000, &random)
    let id = try add(first, following: nil, to: store).id
    let packs = directory.path("store/packs")
    let base = try #require(try FileManager.default.contentsOfDirectory(atPath: packs).first)
    let second = edited(first, &random)
    let delta = try add(second, following: (id, first), to: store).id
    let name = ObjectName(kind: .chunk, id: delta)
    #expect(try store.keeps(name) && store.depths(of: delta) == [1])

    try FileManager.default.removeItem(atPath: packs + "/" + base)
    let later = try open(directory.path("store"))
    #expect(try !later.keeps(name))
    #expect(throws: StoreError.self) { try later.object(.chunk, delta) }
    _ = try add(second, following: (id, first), to: later)
    #expect(try later.keeps(name))
    #expect(try later.depths(of: delta) == [0, 1])
    #expect(try later.object(.chunk, delta) == second)
  }

  @Test func `a frame with very many bases is read again and again`() throws {
    let directory = try TemporaryDirectory()
    var random = SplitMix64(6)
    let store = try open(directory.path("store"))
    var earlier: [(id: Digest, bytes: [UInt8])] = []
    for round in 0..<2 {
      let session = try store.beginSession()
      try session.withWorker { worker in
        for i in 0..<4_000 {
          let bytes = round == 0 ? content(150, &random) : earlier[i].bytes + [UInt8(i & 0xff)]
          let predecessor =
            round == 0 ? nil : BlobPredecessor(earlier[i].id, sizeBytes: 150, newSizeBytes: 151)
          let id = try bytes.withUnsafeBytes { try worker.addChunk($0, following: predecessor) }
          if round == 0 { earlier.append((id, bytes)) }
        }
      }
      try session.finish()
    }
    #expect(try !store.depthsOfFrames().isEmpty)
    // Each verification reads every chunk of the bases twice.
    for _ in 0..<15 {
      let report = try store.verify(deep: true, progress: Progress())
      try #require(report.isClean, "\(report.problems)")
    }
  }

  @Test(arguments: [0, 1, 1 << 20, UInt64(Int64.max), .max]) func `a wrong size does no harm`(
    _ sizeBytes: UInt64
  ) throws {
    let directory = try TemporaryDirectory()
    var random = SplitMix64(4)
    let store = try open(directory.path("store"))
    let first = content(900_000, &random)
    let id = try add(first, following: nil, to: store).id
    for newSizeBytes in [0, 1, 1 << 20, UInt64(Int64.max), .max] {
      let bytes = edited(first, &random)
      let predecessor = BlobPredecessor(id, sizeBytes: sizeBytes, newSizeBytes: newSizeBytes)
      let second = try add(bytes, predecessor: predecessor, to: store).id
      try expect(bytes, is: second, in: store, "\(sizeBytes) \(newSizeBytes)")
    }
  }

  @Test func `tens of thousands of frames with bases are read, verified and counted`() throws {
    let directory = try TemporaryDirectory()
    var random = SplitMix64(11)
    let store = try open(directory.path("store"))
    // Each use of a worker ends its frames, so each of these chunks has one of its own.
    let session = try store.beginSession()
    var base = content(400, &random)
    var ids = [
      try session.withWorker { worker in try base.withUnsafeBytes { try worker.addChunk($0) } }
    ]
    try session.finish()
    var chunks = [base]
    for depth in 1...2 {
      let session = try store.beginSession()
      let earlier = (id: ids[ids.count - 1], bytes: base)
      for i in 0..<7_500 {
        base = earlier.bytes
        base[i % 400] ^= UInt8(1 + i / 400)
        let id = try session.withWorker { worker in
          try base.withUnsafeBytes {
            try worker.addChunk(
              $0, following: BlobPredecessor(earlier.id, sizeBytes: 400, newSizeBytes: 400))
          }
        }
        ids.append(id)
        chunks.append(base)
      }
      try session.finish()
      #expect(try store.depthsOfFrames().first == UInt8(depth))
    }
    // A few chunks occur twice.
    #expect(try store.depthsOfFrames().count > 14_800)
    for (id, bytes) in zip(ids, chunks) { try #require(try store.object(.chunk, id) == bytes) }
    let report = try store.verify(deep: true, progress: Progress())
    #expect(report.isClean, "\(report.problems)")
    #expect(try store.diskUse(progress: Progress()).deadBytes > 0)
  }

  @Test func `the copy of least depth is read`() throws {
    let directory = try TemporaryDirectory()
    var random = SplitMix64(5)
    let store = try open(directory.path("store"))
    let first = content(50_000, &random)
    let id = try add(first, following: nil, to: store).id
    let second = edited(first, &random)
    // Two sessions at the same time know nothing of each other.
    let sessions = [try store.beginSession(), try store.beginSession()]
    for (session, hasBase) in zip(sessions, [true, false]) {
      try session.withWorker { worker in
        _ = try second.withUnsafeBytes {
          try worker.addChunk(
            $0,
            following: hasBase ? BlobPredecessor(id, sizeBytes: 50_000, newSizeBytes: 50_000) : nil)
        }
      }
    }
    for session in sessions { try session.finish() }
    #expect(try store.depths(of: SHA256.digest(of: second)) == [0, 1])
  }

  /// Returns the header of a frame with one chunk of 10 bytes and this base.
  private func header(_ base: FrameBase?, kind: ObjectKind = .chunk) -> [UInt8] {
    FrameHeader.encode(objects: [(kind, .zero, 10)], base: base, storedBytes: 10)
  }

  private func parse(_ bytes: [UInt8]) throws(CodecError) -> FrameHeader {
    try bytes.withUnsafeBytes { (bytes) throws(CodecError) in try FrameHeader.parse(bytes) }
  }

  @Test func `a directory with an impossible base is refused`() throws {
    let chunk = FrameBase.Chunk(id: .zero, length: 100)
    let valid = FrameBase(depth: 3, chunks: [chunk, chunk])
    #expect(try parse(header(valid)).base == valid)
    #expect(try parse(header(nil)).base == nil)
    for base in [
      FrameBase(depth: 0, chunks: [chunk]),
      FrameBase(depth: FrameBase.maxDepth + 1, chunks: [chunk]),
      FrameBase(depth: 1, chunks: []),
      FrameBase(depth: 1, chunks: [FrameBase.Chunk(id: .zero, length: 0)]),
      FrameBase(depth: 1, chunks: [FrameBase.Chunk(id: .zero, length: FrameBase.maxBytes + 1)]),
    ] {
      #expect(throws: CodecError.self) { try parse(header(base)) }
    }
    // Differences are those from a base.
    let differences = { (base: FrameBase?) in
      FrameHeader.encode(
        objects: [(.chunk, .zero, 10)], codec: .differences, base: base, storedBytes: 10)
    }
    #expect(try parse(differences(valid)).codec == .differences)
    #expect(throws: CodecError.self) { try parse(differences(nil)) }
    // Only chunks have bases: everything else is needed to find out what a snapshot needs.
    #expect(throws: CodecError.self) { try parse(header(valid, kind: .tree)) }
  }
}
