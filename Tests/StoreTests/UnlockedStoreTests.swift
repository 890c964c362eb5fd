// Reading a store without locks returns the store's contents and leaves no trace.

import Codec
import Foundation
import Platform
import Store
import TestSupport
import Testing

@Suite(.usesTools) struct UnlockedStoreTests {
  private let directory: TemporaryDirectory
  private let path: [UInt8]
  private let known: Digest

  init() throws {
    directory = try TemporaryDirectory()
    path = Array(directory.path("store").utf8)
    let store = try ObjectStore(
      KernelFileSystem.shared, path: path, create: true, report: { _ in })
    let session = try store.beginSession()
    known = try session.withWorker { worker in
      try Array("known".utf8).withUnsafeBytes { try worker.addChunk($0) }
    }
    try session.finish()
    _ = try store.refs.append(
      Snapshot(
        image: "img", created: Timestamp(seconds: 1, nanoseconds: 0), parent: nil, message: "",
        provenance: [], tables: [], components: [], notes: [], facts: [], entryCount: 0,
        contentBytes: 0))
    try store.refs.setTag("golden", of: ImageName("img"), to: 1)
  }

  private func open() throws(StoreError) -> UnlockedStore {
    try UnlockedStore(KernelFileSystem.shared, path: path)
  }

  /// Returns names, inodes, sizes and times of all files of the store.
  private func listing() throws -> String {
    try shell("cd \"$1\"; find . -printf '%p %i %s %T@ %C@\\n' | sort", directory.path("store"))
      .output
  }

  @Test func `objects, snapshots and tags equal those of the locked store`() throws {
    let before = try listing()
    let store = try open()
    #expect(try store.object(.chunk, known) == Array("known".utf8))
    let image = try ImageName("img")
    #expect(try store.refs.images() == [image] && store.refs.numbers(of: image) == [1])
    #expect(try store.refs.tags(of: image) == ["golden": 1])
    #expect(try store.refs.read(image, 1).snapshot.image == "img")
    #expect(throws: StoreError.self) { try store.object(.chunk, SHA256.digest(of: [1])) }
    #expect(try listing() == before)
  }

  @Test func `reading does not wait for other processes`() throws {
    // Another process locks everything and writes to the index.
    let mark = directory.path("held")
    let other = Process()
    other.executableURL = URL(fileURLWithPath: "/usr/bin/env")
    other.currentDirectoryURL = URL(fileURLWithPath: directory.path("store/locks"))
    other.arguments = [fixture("scripts/processes/hold-store-locks.py"), mark]
    try other.run()
    defer {
      // The child may have inherited a signal mask.
      kill(other.processIdentifier, SIGKILL)
      other.waitUntilExit()
    }
    while !FileManager.default.fileExists(atPath: mark) {
      try #require(other.isRunning)
      usleep(20000)
    }
    let store = try open()
    #expect(try store.object(.chunk, known) == Array("known".utf8))
    #expect(try store.refs.images().count == 1)
  }

  @Test func `missing parts are not created`() throws {
    try shell("rm \"$1/index.sqlite\" \"$1/index.stamp\"", directory.path("store"))
    let before = try listing()
    #expect(throws: StoreError.self) { try open().object(.chunk, known) }
    #expect(try open().refs.images().count == 1)
    #expect(try listing() == before)
    try shell("mkfifo \"$1/index.sqlite\"", directory.path("store"))
    #expect(throws: StoreError.self) { try open().object(.chunk, known) }
    try shell("rm -r \"$1/signatures\"", directory.path("store"))
    let without = try listing()
    #expect(throws: StoreError.self) { try open() }
    #expect(try listing() == without)
    #expect(throws: StoreError.self) {
      try UnlockedStore(KernelFileSystem.shared, path: Array(directory.path("none").utf8))
    }
    #expect(!FileManager.default.fileExists(atPath: directory.path("none")))
  }

  @Test func `a damaged index and a damaged pack are errors`() throws {
    try shell(
      "printf 'SQLite format 3' >\"$1/index.sqlite\"; head -c 9000 /dev/urandom >>\"$1/index.sqlite\"",
      directory.path("store"))
    #expect(throws: StoreError.self) { try open().object(.chunk, known) }
  }

  @Test func `a store that other users can write is refused`() throws {
    try shell("chmod o+w \"$1/refs\"", directory.path("store"))
    let error = #expect(throws: StoreError.self) { try open() }
    #expect(error?.kind == .refused)
  }
}
