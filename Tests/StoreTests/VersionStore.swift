// A store with versions of files, for tests of deltas.

import Codec
import Platform
import Store
import TestSupport
import Testing

/// A store, and an image of some files in it.
struct VersionStore {
  let directory: TemporaryDirectory
  let store: ObjectStore

  init() throws {
    directory = try TemporaryDirectory()
    store = try ObjectStore(
      KernelFileSystem.shared, path: Array(directory.path("store").utf8), create: true
    ) { _ in }
  }

  typealias Files = [(id: Digest, bytes: [UInt8])]

  /// Stores versions of some files, and commits a snapshot of them.
  func commit(_ contents: [[UInt8]], following earlier: Files) throws -> Files {
    let session = try store.beginSession()
    var blobs = BlobIngester()
    var files: Files = []
    try session.withWorker { worker in
      for (i, bytes) in contents.enumerated() {
        let predecessor =
          earlier.isEmpty
          ? nil
          : BlobPredecessor(
            earlier[i].id, sizeBytes: UInt64(earlier[i].bytes.count),
            newSizeBytes: UInt64(bytes.count))
        var rest = bytes[...]
        let id = try blobs.ingest(worker, following: predecessor) { target in
          let part = rest.prefix(target.count)
          rest = rest.dropFirst(part.count)
          target.copyBytes(from: part)
          return part.count
        }.id
        files.append((id, bytes))
      }
    }
    try session.finish()
    let components = files.enumerated().map { i, file in
      Snapshot.Component(
        role: .kernel, path: Array("/img/\(10 + i)".utf8),
        entry: Entry(
          name: [], content: .file(blob: file.id, sizeBytes: UInt64(file.bytes.count)),
          mode: 0o644, uid: 0, gid: 0, modified: Timestamp(seconds: 5, nanoseconds: 0)))
    }
    _ = try store.refs.append(
      Snapshot(
        image: "img", created: Timestamp(seconds: 5, nanoseconds: 0), parent: nil, message: "",
        provenance: [], tables: [], components: components, notes: [], facts: [],
        entryCount: UInt64(files.count), contentBytes: 0))
    return files
  }

  func packBytes() throws -> UInt64 { try store.totals().storedBytes }

  func expectIntact(_ states: ArraySlice<Files>, _ comment: Comment) throws {
    for file in states.joined() {
      var copy = [UInt8](repeating: 0, count: file.bytes.count)
      try copy.withUnsafeMutableBytes {
        try store.fill($0, from: file.id, sizeBytes: UInt64(file.bytes.count), at: 0)
      }
      try #require(copy == file.bytes, comment)
    }
    let report = try store.verify(deep: true, progress: Progress())
    #expect(report.isClean, "\(comment): \(report.problems)")
  }
}
