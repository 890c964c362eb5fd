// How long commands wait for other commands on the store, and what they skip.

import Codec
import Foundation
import Images
import Platform
import Store
import TestSupport
import Testing

@Suite(.usesTools) struct LockWaitTests {
  /// Creates a node with two snapshots.
  private func node() throws -> TestNode {
    let node = try TestNode(image: "img", tree: ["f": "x\n"])
    for _ in 1...2 { _ = try node.open().snapshot("img") }
    return node
  }

  /// Takes a lock of the store as another process would.
  private func hold(_ name: String, of node: TestNode) throws -> FileLock {
    let files = KernelFileSystem.shared
    let locks = try files.openDirectory(
      at: files.workingDirectory, Array(node.directory.path("store/locks").utf8))
    let lock = try FileLock.acquireIfFree(
      files, at: locks.raw, Array(name.utf8), exclusive: true)
    return try #require(lock)
  }

  @Test func `gc, optimize and repair wait for another collection for the given time`() throws {
    let site = try node()
    do {
      let lock = try hold("gc", of: site)
      for wait in [LockWait.atMost(seconds: 0), .atMost(seconds: 0.2)] {
        #expect(errorCode { _ = try site.open(lockWait: wait).collect() }?.category == .busy)
        var optimize = CollectionRequest()
        optimize.rewriting = .all(level: 12)
        #expect(
          errorCode { _ = try site.open(lockWait: wait).collect(optimize) }?.category == .busy)
        #expect(errorCode { _ = try site.open(lockWait: wait).repair() }?.category == .busy)
      }
      withExtendedLifetime(lock) {}
    }
    for wait in [LockWait.forever, .atMost(seconds: 600)] {
      let lock = Monitor<FileLock?>(try hold("gc", of: site))
      let done = Monitor(false)
      let workspace = try site.open(lockWait: wait)
      let thread = try startThread {
        _ = try? workspace.collect()
        done.withLock { $0 = true }
      }
      usleep(900_000)
      #expect(!done.withLock { $0 })
      // A waiting command relies on nothing, so the other collection need not wait for it.
      for lease in ["lease-0", "lease-1"] { _ = try hold(lease, of: site) }
      lock.withLock { $0 = nil }
      thread.join()
      #expect(done.withLock { $0 })
    }
  }

  @Test func `gc waits for earlier commands for the given time`() throws {
    let site = try node()
    try shell("head -c 300000 /dev/urandom >\"$1/f\"", site.directory.path("root/img/rootimg"))
    _ = try site.open(lockWait: .forever).snapshot("img")
    let reader = try site.open(lockWait: .forever)
    _ = try reader.log("img")
    _ = try site.open(lockWait: .forever).remove(["img@3"], force: true)
    for wait in [LockWait.atMost(seconds: 0), .atMost(seconds: 0.1)] {
      let outcome = try site.open(lockWait: wait).collect()
      #expect(outcome.removedPacks == 0 && outcome.waitingBytes > 0 && !outcome.waitsFor.isEmpty)
    }
    _ = try reader.log("img")
  }

  @Test func `forget of all images skips the locked ones`() throws {
    let site = try node()
    let workspace = try site.open(lockWait: .atMost(seconds: 0))
    try shell("mkdir -p \"$1/etc\"; echo x >\"$1/etc/x\"", site.directory.path("root/tree"))
    _ = try workspace.addDirectory("tree", at: "/tree")
    for _ in 0..<2 { _ = try workspace.snapshot("tree") }
    var policy = RetentionPolicy()
    policy.last = 1
    let lock = try hold("image-img", of: site)
    let outcome = try workspace.forget([], policy)
    #expect(outcome.busy.map(\.image) == ["img"])
    #expect(outcome.forgotten.map { "\($0.name)" } == ["tree@1"])
    #expect(errorCode { _ = try workspace.forget(["img", "tree"], policy) }?.category == .busy)
    let other = try hold("image-tree", of: site)
    #expect(errorCode { _ = try workspace.forget([], policy) }?.category == .busy, "all are busy")
    withExtendedLifetime((lock, other)) {}
    #expect(try workspace.log("img").count == 2)
  }
}
