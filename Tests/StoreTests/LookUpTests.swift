// Look-ups in crowds: they are one reading transaction of the index, and nobody who writes to the store
// waits for it in vain. A writer that does gives up after thirty seconds, and makes the index anew.

import Codec
import Foundation
import Platform
import Store
import TestSupport
import Testing

@Suite struct LookUpTests {
  private let folder: TemporaryFolder
  private let store: ObjectStore
  private let known: Digest

  init() throws {
    folder = try TemporaryFolder()
    store = try LookUpTests.open(folder)
    known = try LookUpTests.add("known", to: store)
  }

  private static func open(
    _ folder: TemporaryFolder, report: @escaping @Sendable (String) -> Void = { _ in }
  ) throws -> ObjectStore {
    try ObjectStore(
      KernelFileSystem.shared, path: Array(folder.path("store").utf8), create: true, report: report)
  }

  private static func add(_ text: String, to store: ObjectStore) throws -> Digest {
    let session = try store.beginSession()
    let id = try session.withWorker { worker in
      try Array(text.utf8).withUnsafeBytes { try worker.addChunk($0) }
    }
    try session.finish()
    return id
  }

  /// What another process would do: a store of its own, opened before, that adds a chunk.
  private struct Writer {
    /// What it had to say, or its error, in the end: nothing is good.
    let remarks = Monitor<[String]?>(nil)
    let thread: ThreadHandle

    init(_ folder: TemporaryFolder) throws {
      let said = Monitor<[String]>([])
      let store = try LookUpTests.open(folder) { line in said.withLock { $0.append(line) } }
      let remarks = remarks
      thread = try startThread {
        do { _ = try LookUpTests.add("new", to: store) } catch {
          said.withLock { $0.append("\(error)") }
        }
        remarks.update { $0 = said.withLock { $0 } }
      }
    }
  }

  @Test func `a writer has its turn in a crowd that does not end`() throws {
    let writer = try Writer(folder)
    defer { writer.thread.join() }
    try store.withReadTransaction {
      while writer.remarks.withLock({ $0 == nil }) { _ = try store.object(.chunk, known) }
    }
    #expect(writer.remarks.withLock { $0 } == [])
  }

  @Test func `who waits for the index's lock lets the writer before him end`() throws {
    var writer: Writer?
    defer { writer?.thread.join() }
    let remarks = try store.withReadTransaction {
      _ = try store.object(.chunk, known)
      let other = try Writer(folder)
      writer = other
      // By now it has the lock, and waits for us to end.
      Thread.sleep(forTimeInterval: 0.5)
      try store.reindex()
      return other.remarks.wait { $0 }
    }
    #expect(remarks == [])
    #expect(try store.object(.chunk, known) == Array("known".utf8))
  }

  @Test func `a session of the same process ends the crowd`() throws {
    let id = try store.withReadTransaction {
      _ = try store.object(.chunk, known)
      return try LookUpTests.add("own", to: store)
    }
    #expect(try store.object(.chunk, id) == Array("own".utf8))
  }

  @Test func `crowds within crowds, of several threads, end together`() throws {
    let (store, known) = (store, known)
    try runThreads(4) { _ in
      for _ in 0..<200 {
        try store.withReadTransaction {
          try store.withReadTransaction { _ = try store.object(.chunk, known) }
          _ = try store.object(.chunk, known)
        }
      }
    }
    // No lock is left behind: another store can write at once.
    let writer = try Writer(folder)
    writer.thread.join()
    #expect(writer.remarks.withLock { $0 } == [])
  }
}
