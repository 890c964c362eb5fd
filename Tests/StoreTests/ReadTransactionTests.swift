// Read transactions over many lookups: no writer to the store waits for them in vain. A blocked writer
// would give up after thirty seconds and rebuild the index.

import Codec
import Foundation
import Platform
import Store
import TestSupport
import Testing

@Suite struct ReadTransactionTests {
  private let directory: TemporaryDirectory
  private let store: ObjectStore
  private let known: Digest

  init() throws {
    directory = try TemporaryDirectory()
    store = try ReadTransactionTests.open(directory)
    known = try ReadTransactionTests.add("known", to: store)
  }

  private static func open(
    _ directory: TemporaryDirectory, report: @escaping @Sendable (String) -> Void = { _ in }
  ) throws -> ObjectStore {
    try ObjectStore(
      KernelFileSystem.shared, path: Array(directory.path("store").utf8), create: true,
      report: report)
  }

  private static func add(_ text: String, to store: ObjectStore) throws -> Digest {
    let session = try store.beginSession()
    let id = try session.withWorker { worker in
      try Array(text.utf8).withUnsafeBytes { try worker.addChunk($0) }
    }
    try session.finish()
    return id
  }

  /// Acts as another process: a store of its own, opened earlier, that adds a chunk.
  private struct Writer {
    /// The reported lines or the error, once the thread has ended; empty is good.
    let remarks = Monitor<[String]?>(nil)
    let thread: ThreadHandle

    init(_ directory: TemporaryDirectory) throws {
      let lines = Monitor<[String]>([])
      let store = try ReadTransactionTests.open(directory) { line in
        lines.withLock { $0.append(line) }
      }
      let remarks = remarks
      thread = try startThread {
        do { _ = try ReadTransactionTests.add("new", to: store) } catch {
          lines.withLock { $0.append("\(error)") }
        }
        remarks.update { $0 = lines.withLock { $0 } }
      }
    }
  }

  @Test func `a writer is admitted to an endless read transaction`() throws {
    let writer = try Writer(directory)
    defer { writer.thread.join() }
    try store.withReadTransaction {
      while writer.remarks.withLock({ $0 == nil }) { _ = try store.object(.chunk, known) }
    }
    #expect(writer.remarks.withLock { $0 } == [])
  }

  @Test func `waiting for the index's lock lets an earlier writer finish`() throws {
    var writer: Writer?
    defer { writer?.thread.join() }
    let remarks = try store.withReadTransaction {
      _ = try store.object(.chunk, known)
      let other = try Writer(directory)
      writer = other
      // By now it holds the lock and waits for this read transaction to end.
      Thread.sleep(forTimeInterval: 0.5)
      try store.reindex()
      return other.remarks.wait { $0 }
    }
    #expect(remarks == [])
    #expect(try store.object(.chunk, known) == Array("known".utf8))
  }

  @Test func `a session of the same process ends the read transaction`() throws {
    let id = try store.withReadTransaction {
      _ = try store.object(.chunk, known)
      return try ReadTransactionTests.add("own", to: store)
    }
    #expect(try store.object(.chunk, id) == Array("own".utf8))
  }

  @Test func `nested read transactions of several threads end together`() throws {
    let (store, known) = (store, known)
    try runThreads(4) { _ in
      for _ in 0..<200 {
        try store.withReadTransaction {
          try store.withReadTransaction { _ = try store.object(.chunk, known) }
          _ = try store.object(.chunk, known)
        }
      }
    }
    // No lock remains: another store can write immediately.
    let writer = try Writer(directory)
    writer.thread.join()
    #expect(writer.remarks.withLock { $0 } == [])
  }
}
