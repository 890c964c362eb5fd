// A verification without contents looks chunks up in a table of the index's rows. What the table lacks is
// looked up one by one, and reported.

import Codec
import Foundation
import Platform
import Store
import TestSupport
import Testing

@Suite struct PlainVerifyTests {
  private let directory: TemporaryDirectory
  private let store: ObjectStore

  init() throws {
    directory = try TemporaryDirectory()
    store = try ObjectStore(
      KernelFileSystem.shared, path: Array(directory.path("store").utf8), create: true,
      report: { _ in })
  }

  /// Stores chunks and a tree of files.
  /// - Parameter files: names, the text of each, and the size that the tree records.
  private func commit(_ files: [(name: String, text: String?, sizeBytes: UInt64)]) throws {
    let session = try store.beginSession()
    let ids = try session.withWorker { worker in
      let entries = try files.sorted { $0.name < $1.name }.map { name, text, size in
        let bytes = Array((text ?? "not stored: " + name).utf8)
        let id = SHA256.digest(of: bytes)
        if text != nil { try bytes.withUnsafeBytes { _ = try worker.addChunk($0) } }
        return Entry(
          name: Array(name.utf8), content: .file(blob: id, sizeBytes: size), mode: 0o644, uid: 0,
          gid: 0, modified: Timestamp(seconds: 1, nanoseconds: 0))
      }
      return try Tree.encode(entries) { try worker.add($0.kind, $0.id, $0.bytes) }
    }
    try session.finish()
    let top = Entry(
      name: [], content: .directory(tree: ids.tree), mode: 0o755, uid: 0, gid: 0,
      modified: Timestamp(seconds: 1, nanoseconds: 0), times: ids.times)
    _ = try store.refs.append(
      Snapshot(
        image: "img", created: Timestamp(seconds: 1, nanoseconds: 0), parent: nil, message: "",
        provenance: [], tables: [],
        components: [.init(role: .rootTree, path: Array("/img".utf8), entry: top)], notes: [],
        facts: [], entryCount: 1, contentBytes: 1))
  }

  private func problems() throws -> [String] {
    try store.verify(deep: false, progress: Progress()).problems.flatMap { problem in
      problem.affected.map { String(decoding: $0.path, as: UTF8.self) }
    }.sorted()
  }

  @Test func `a store with all chunks is clean`() throws {
    try commit((0..<3000).map { ("f\($0)", "text \($0)", UInt64("text \($0)".utf8.count)) })
    #expect(try problems() == [])
    #expect(try store.verify(deep: true, progress: Progress()).isClean)
  }

  @Test func `a missing chunk is reported with its path`() throws {
    try commit([("good", "good", 4), ("gone", nil, 5), ("none", nil, 100)])
    #expect(try problems() == ["/img/gone", "/img/none"])
  }

  @Test func `a chunk of another length than the tree says is reported`() throws {
    try commit([("good", "good", 4), ("long", "long", 3), ("short", "short", 600)])
    #expect(try problems() == ["/img/long", "/img/short"])
  }

  @Test func `the same chunk is good for one file and bad for another`() throws {
    try commit([("a", "same", 4), ("b", "same", 5), ("c", "same", 4)])
    #expect(try problems() == ["/img/b"])
  }
}
