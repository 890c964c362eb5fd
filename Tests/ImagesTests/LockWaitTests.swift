// How long commands wait for other commands on the store, and what they skip.

import Codec
import Foundation
import Images
import Platform
import Store
import TestSupport
import Testing

@Suite struct LockWaitTests {
  private struct Site {
    let folder: TemporaryFolder
    let files = KernelFileSystem.shared

    init() throws {
      folder = try TemporaryFolder()
      let workspace = try Workspace.test(folder)
      try shell("echo x >\"$1/f\"", folder.path("root/img/rootimg"))
      _ = try workspace.snapshot("img")
      _ = try workspace.snapshot("img")
    }

    func open(_ wait: LockWait) throws -> Workspace {
      var options = WorkspaceOptions(store: folder.path("store"), root: folder.path("root"))
      options.lockWait = wait
      return try Workspace(options) { _ in }
    }

    /// Takes a lock of the store as another process would.
    func hold(_ name: String) throws -> FileLock {
      let locks = try files.openDirectory(
        at: files.workingDirectory, Array(folder.path("store/locks").utf8))
      let lock = try FileLock.acquireIfFree(
        files, at: locks.raw, Array(name.utf8), exclusive: true)
      return try #require(lock)
    }
  }

  private func code(_ body: () throws -> Void) -> ErrorCode? {
    do { try body() } catch let error as any ExplainedError { return error.errorCode } catch {}
    return nil
  }

  @Test func `gc, optimize and repair wait for another collection for the given time`() throws {
    let site = try Site()
    do {
      let lock = try site.hold("gc")
      for wait in [LockWait.atMost(seconds: 0), .atMost(seconds: 0.2)] {
        #expect(code { _ = try site.open(wait).collect() } == .busy)
        var optimize = CollectionRequest()
        optimize.rewriting = .all(level: 12)
        #expect(code { _ = try site.open(wait).collect(optimize) } == .busy)
        #expect(code { _ = try site.open(wait).repair() } == .busy)
      }
      withExtendedLifetime(lock) {}
    }
    for wait in [LockWait.forever, .atMost(seconds: 600)] {
      let lock = Monitor<FileLock?>(try site.hold("gc"))
      let done = Monitor(false)
      let workspace = try site.open(wait)
      let thread = try startThread {
        _ = try? workspace.collect()
        done.withLock { $0 = true }
      }
      usleep(900_000)
      #expect(!done.withLock { $0 })
      // A waiting command relies on nothing, so the other collection need not wait for it.
      for lease in ["lease-0", "lease-1"] { _ = try site.hold(lease) }
      lock.withLock { $0 = nil }
      thread.join()
      #expect(done.withLock { $0 })
    }
  }

  @Test func `gc waits for earlier commands for the given time`() throws {
    let site = try Site()
    try shell("head -c 300000 /dev/urandom >\"$1/f\"", site.folder.path("root/img/rootimg"))
    _ = try site.open(.forever).snapshot("img")
    let reader = try site.open(.forever)
    _ = try reader.log("img")
    _ = try site.open(.forever).remove(["img@3"], force: true)
    for wait in [LockWait.atMost(seconds: 0), .atMost(seconds: 0.1)] {
      let outcome = try site.open(wait).collect()
      #expect(outcome.removedPacks == 0 && outcome.waitingBytes > 0 && !outcome.waitsFor.isEmpty)
    }
    _ = try reader.log("img")
  }

  @Test func `forget of all images skips the locked ones`() throws {
    let site = try Site()
    let workspace = try site.open(.atMost(seconds: 0))
    try shell("mkdir -p \"$1/etc\"; echo x >\"$1/etc/x\"", site.folder.path("root/tree"))
    _ = try workspace.addDirectory("tree", at: "/tree")
    for _ in 0..<2 { _ = try workspace.snapshot("tree") }
    var policy = RetentionPolicy()
    policy.last = 1
    let lock = try site.hold("image-img")
    let outcome = try workspace.forget([], policy)
    #expect(outcome.busy.map(\.image) == ["img"])
    #expect(outcome.forgotten.map { "\($0.name)" } == ["tree@1"])
    #expect(code { _ = try workspace.forget(["img", "tree"], policy) } == .busy)
    let other = try site.hold("image-tree")
    #expect(code { _ = try workspace.forget([], policy) } == .busy, "all are busy")
    withExtendedLifetime((lock, other)) {}
    #expect(try workspace.log("img").count == 2)
  }
}
