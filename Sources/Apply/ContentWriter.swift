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

  init(_ fileSystem: any FileSystem, _ store: ObjectStore, progress: Progress) {
    self.fileSystem = fileSystem
    self.store = store
    self.progress = progress
  }

  /// Writes a blob's content, with the holes that the entry says.
  /// - Returns: whether what was written was hashed on its way, and is the blob.
  /// - Throws: `damaged` where it is another.
  func write(
    _ file: Descriptor, _ entry: Entry, _ blob: Digest, _ sizeBytes: UInt64
  ) throws -> Bool {
    guard let holesID = entry.holes else {
      if ContentWriter.isLarge(entry) {
        try writeLarge(file, blob, sizeBytes)
        return false
      }
      hash.reset()
      try store.read(blob, sizeBytes: sizeBytes) { _, bytes in
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
  private func writeLarge(_ file: Descriptor, _ blob: Digest, _ sizeBytes: UInt64) throws {
    let parts = Monitor(try store.parts(of: blob, sizeBytes: sizeBytes).makeIterator())
    let failed = Monitor(false)
    try runThreads(processorCount) { [fileSystem, store, progress] _ in
      do {
        while !failed.withLock({ $0 }) {
          let run = parts.withLock { parts in
            var run: [BlobPart] = []
            while run.count < 32, let part = parts.next() { run.append(part) }
            return run
          }
          guard let first = run.first, let last = run.last else { return }
          for part in run {
            try store.read(part) { offset, bytes in
              try fileSystem.write(file.raw, at: offset, bytes)
              progress.add(bytes: UInt64(bytes.count))
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
