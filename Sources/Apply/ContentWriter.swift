// Writes the content of files out of the store: hashed on its way, or with its holes, or by all processors.
//
// 1. What is hashed and is not the blob is damage: the caller removes the file, and what it would have
//    replaced stays.
// 2. No file is in memory: a part at a time, one for each thread.

import Codec
import Platform
import Store

/// Writes contents. Belongs to one thread at a time.
final class ContentWriter {
  /// Files from here on are written by all processors.
  private static let largeFileBytes: UInt64 = 16 << 20

  /// The file is written by all processors.
  static func isLarge(_ entry: Entry) -> Bool {
    entry.holes == nil && entry.sizeBytes >= largeFileBytes
  }

  private let fileSystem: any FileSystem
  private let store: ObjectStore
  private let progress: Progress
  private var hash = SHA256()
  /// Room for a part of an old file; made when it is first needed.
  private lazy var room = PartBuffer()

  /// Memory for one part.
  private final class PartBuffer {
    let bytes = UnsafeMutableRawBufferPointer.allocate(
      byteCount: Chunker.mostBytes, alignment: 64)
    deinit { bytes.deallocate() }
  }

  init(_ fileSystem: any FileSystem, _ store: ObjectStore, progress: Progress) {
    self.fileSystem = fileSystem
    self.store = store
    self.progress = progress
  }

  /// Writes a blob's content, with the holes that the entry says.
  /// - Parameter old: a file that may have parts of the content at their places.
  /// - Returns: whether what was written was hashed on its way, and is the blob.
  /// - Throws: `damaged` where it is another.
  func write(
    _ file: Descriptor, _ entry: Entry, _ blob: Digest, _ sizeBytes: UInt64, over old: OldContent?
  ) throws -> Bool {
    guard let holesID = entry.holes else {
      if ContentWriter.isLarge(entry) {
        try writeLarge(file, blob, sizeBytes, over: old)
        return false
      }
      hash.reset()
      func fromOld(_ part: BlobPart) -> UnsafeRawBufferPointer? {
        old?.bytes(of: part, in: room.bytes)
      }
      try store.read(blob, sizeBytes: sizeBytes, elsewhere: fromOld) { _, bytes in
        try Interruption.check()
        hash.update(bytes)
        try fileSystem.write(file.raw, bytes)
        progress.add(bytes: UInt64(bytes.count))
      }
      let found = hash.finish()
      guard found == blob else {
        throw StoreError(
          .damaged, "blob \(blob.hex)", "its content has the SHA-256 \(found.hex)",
          advice: "Run 'imgstore verify --deep'; it says which snapshots are affected")
      }
      return true
    }
    let holes = try HoleMap.decode(try store.object(.holes, holesID))
    let data = holes.data(sizeBytes: sizeBytes)
    var i = 0
    try store.read(blob, sizeBytes: sizeBytes) { offset, bytes in
      let end = offset + UInt64(bytes.count)
      while i < data.count, data[i].upperBound <= offset { i += 1 }
      var j = i
      while j < data.count, data[j].lowerBound < end {
        let part = max(data[j].lowerBound, offset)..<min(data[j].upperBound, end)
        try fileSystem.write(
          file.raw, at: part.lowerBound,
          UnsafeRawBufferPointer(
            rebasing: bytes[Int(part.lowerBound - offset)..<Int(part.upperBound - offset)]))
        j += 1
      }
      progress.add(bytes: UInt64(bytes.count))
    }
    try fileSystem.truncate(file.raw, to: sizeBytes)
    return false
  }

  /// Writes a large file's parts on all processors, each thread a run of parts at a time.
  private func writeLarge(
    _ file: Descriptor, _ blob: Digest, _ sizeBytes: UInt64, over old: OldContent?
  ) throws {
    let parts = Monitor(try store.parts(of: blob, sizeBytes: sizeBytes).makeIterator())
    let failed = Monitor(false)
    let olds = Monitor((0..<processorCount).map { _ in old?.again() })
    try runThreads(processorCount) { [fileSystem, store, progress] _ in
      let old = olds.withLock { $0.popLast() ?? nil }
      let room = PartBuffer()
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
            if let bytes = old?.bytes(of: part, in: room.bytes) {
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
