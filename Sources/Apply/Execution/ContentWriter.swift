// Writes the content of files from the store: small files sequentially with a hash of the written
// bytes, sparse files with their holes, and large files on all processors.
//
// 1. If the hash differs from the blob's id, the data is damaged. The caller removes the file and
//    keeps the one that it would have replaced.
// 2. No file is held in memory as a whole: only one part per thread.

import Codec
import Platform
import Store

/// Writes contents. Belongs to one thread at a time.
final class ContentWriter {
  /// The minimum size of files that all processors write.
  private static let largeFileBytes: UInt64 = 16 << 20

  /// Returns whether all processors write the file.
  static func isLarge(_ entry: Entry) -> Bool {
    entry.holes == nil && entry.sizeBytes >= largeFileBytes
  }

  private let fileSystem: any FileSystem
  private let store: ObjectStore
  private let progress: Progress
  private var hash = SHA256()
  /// A buffer for parts of the existing file, allocated on first use.
  private lazy var partBuffer = PartBuffer()

  /// Memory for one part.
  private final class PartBuffer {
    let bytes = UnsafeMutableRawBufferPointer.allocate(
      byteCount: Chunker.maxBytes, alignment: 64)
    deinit { bytes.deallocate() }
  }

  init(_ fileSystem: any FileSystem, _ store: ObjectStore, progress: Progress) {
    self.fileSystem = fileSystem
    self.store = store
    self.progress = progress
  }

  /// Writes a blob's content, with the holes of the entry.
  /// - Parameter old: an existing file that may contain parts of the content at the same offsets.
  /// - Returns: whether the written bytes were hashed and match the blob.
  /// - Throws: `StoreError` (`damaged`) if they do not match; `SystemError`.
  func write(
    _ file: Descriptor, _ entry: Entry, _ blob: Digest, _ sizeBytes: UInt64,
    over old: ExistingFileSource?
  ) throws -> Bool {
    guard let holesID = entry.holes else {
      if ContentWriter.isLarge(entry) {
        try writeLarge(file, blob, sizeBytes, over: old)
        return false
      }
      hash.reset()
      func existingBytes(_ part: BlobPart) -> UnsafeRawBufferPointer? {
        old?.bytes(of: part, in: partBuffer.bytes)
      }
      try store.read(blob, sizeBytes: sizeBytes, elsewhere: existingBytes) { _, bytes in
        try Interruption.check()
        hash.update(bytes)
        try fileSystem.write(file.raw, bytes)
        progress.add(bytes: UInt64(bytes.count))
      }
      let actual = hash.finish()
      guard actual == blob else { throw damaged(blob, actual) }
      return true
    }
    try writeSparse(file, try HoleMap.decode(try store.object(.holes, holesID)), blob, sizeBytes)
    return false
  }

  /// Writes a file with holes and verifies its content. A hole map is only a hint: bytes that are
  /// not zeros are written everywhere.
  private func writeSparse(
    _ file: Descriptor, _ holes: HoleMap, _ blob: Digest, _ sizeBytes: UInt64
  ) throws {
    let parts = try store.parts(of: blob, sizeBytes: sizeBytes)
    let data = holes.data(sizeBytes: sizeBytes)
    var sparse = SparseBlobHasher(sizeBytes: sizeBytes)
    var i = 0
    hash.reset()
    func write(_ offset: UInt64, _ bytes: UnsafeRawBufferPointer) throws {
      let end = offset + UInt64(bytes.count)
      var at = offset
      func put(_ part: Range<UInt64>) throws {
        let bytes = bytes[Int(part.lowerBound - offset)..<Int(part.upperBound - offset)]
        try fileSystem.write(
          file.raw, at: part.lowerBound, UnsafeRawBufferPointer(rebasing: bytes))
      }
      func putUnlessZeros(_ part: Range<UInt64>) throws {
        let bytes = bytes[Int(part.lowerBound - offset)..<Int(part.upperBound - offset)]
        if !isZeros(UnsafeRawBufferPointer(rebasing: bytes)) { try put(part) }
      }
      var j = i
      while j < data.count, data[j].lowerBound < end {
        let part = max(data[j].lowerBound, offset)..<min(data[j].upperBound, end)
        if part.lowerBound > at { try putUnlessZeros(at..<part.lowerBound) }
        try put(part)
        at = part.upperBound
        j += 1
      }
      if at < end { try putUnlessZeros(at..<end) }
      if parts.isSparse { sparse.update(bytes) } else { hash.update(bytes) }
      progress.add(bytes: UInt64(bytes.count))
    }
    if let rebuilt = parts.reconstruction {
      try store.read(blob, sizeBytes: rebuilt.sizeBytes, write)
    } else {
      for part in parts {
        let end = part.offset + UInt64(part.lengthBytes)
        while i < data.count, data[i].upperBound <= part.offset { i += 1 }
        // A hole of a sparse blob is neither read nor hashed.
        if parts.isSparse, part.isZeros, i >= data.count || data[i].lowerBound >= end {
          sparse.update(zeros: UInt64(part.lengthBytes))
        } else {
          try store.read(part, write)
        }
      }
    }
    try fileSystem.truncate(file.raw, to: sizeBytes)
    let actual = parts.isSparse ? sparse.finish() : hash.finish()
    guard actual == blob else { throw damaged(blob, actual) }
  }

  private func damaged(_ blob: Digest, _ actual: Digest) -> StoreError {
    StoreError(
      .damaged, "blob \(blob.hex)", "has content with the SHA-256 \(actual.hex)",
      hint: "Run 'imgstore verify --deep' to see which snapshots are affected")
  }

  /// Writes the parts of a large file on all processors, each thread a run of parts at a time.
  private func writeLarge(
    _ file: Descriptor, _ blob: Digest, _ sizeBytes: UInt64, over old: ExistingFileSource?
  ) throws {
    let parts = Monitor(try store.parts(of: blob, sizeBytes: sizeBytes).makeIterator())
    let failed = Monitor(false)
    let sources = Monitor((0..<processorCount).map { _ in old?.copyForThread() })
    try runThreads(processorCount) { [fileSystem, store, progress] _ in
      let old = sources.withLock { $0.popLast() ?? nil }
      let partBuffer = PartBuffer()
      do {
        while !failed.withLock({ $0 }) {
          try Interruption.check()
          let run = parts.withLock { parts in
            var run: [BlobPart] = []
            while run.count < 32, let part = parts.next() { run.append(part) }
            return run
          }
          guard let first = run.first, let last = run.last else { return }
          func write(_ offset: UInt64, _ bytes: UnsafeRawBufferPointer) throws {
            try fileSystem.write(file.raw, at: offset, bytes)
            progress.add(bytes: UInt64(bytes.count))
          }
          for part in run {
            if let bytes = old?.bytes(of: part, in: partBuffer.bytes) {
              try write(part.offset, bytes)
            } else {
              try store.read(part, write)
            }
          }
          let end = last.offset + UInt64(last.lengthBytes)
          fileSystem.startSync(file.raw, offset: first.offset, count: end - first.offset)
        }
      } catch {
        failed.withLock { $0 = true }
        throw error
      }
    }
  }
}
