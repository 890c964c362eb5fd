// Repair and commands with several locks wait as --wait says, all waits together; a busy gc after `forget` is
// a part of its outcome.

import Foundation
import Images
import Platform
import Store
import TestSupport
import Testing

@Suite(.usesTools) struct WaitBudgetTests {
  private func site() throws -> TemporaryDirectory {
    let directory = try TemporaryDirectory()
    let workspace = try Workspace.test(directory)
    try shell("echo x >\"$1/f\"", directory.path("root/img/rootimg"))
    for _ in 1...3 { _ = try workspace.snapshot("img") }
    return directory
  }

  private func open(
    _ directory: TemporaryDirectory, _ wait: LockWait,
    inform: @escaping @Sendable (String) -> Void = { _ in }
  ) throws -> Workspace {
    var options = WorkspaceOptions(store: directory.path("store"), root: directory.path("root"))
    options.lockWait = wait
    return try Workspace(options) { _ in
    } inform: {
      inform($0)
    }
  }

  /// Takes a lock of the store as another process would.
  private func hold(_ name: String, _ directory: TemporaryDirectory) throws -> FileLock {
    let files = KernelFileSystem.shared
    let locks = try files.openDirectory(
      at: files.workingDirectory, Array(directory.path("store/locks").utf8))
    return try #require(
      try FileLock.acquireIfFree(files, at: locks.raw, Array(name.utf8), exclusive: true))
  }

  @Test(arguments: ["refs", "tags", "signatures"])
  func `repair does not wait for an image longer than the request allows`(_ target: String) throws {
    let directory = try site()
    let workspace = try open(directory, .forever)
    _ = try workspace.tag("img@1", as: "golden")
    // Each step of a repair that locks an image is reached alone.
    if target != "refs" { try shell("rm -r \"$1/store/refs/img\"", directory.path("")) }
    if target == "signatures" {
      try shell(
        "rm -r \"$1/store/tags/img\"; mkdir -p \"$1/store/signatures/img\"", directory.path(""))
    }
    let lock = try hold("image-img", directory)
    for wait in [LockWait.atMost(seconds: 0), .atMost(seconds: 0.1)] {
      let lines = Monitor<[String]>([])
      #expect(
        errorCode {
          _ = try open(directory, wait) { line in lines.withLock { $0.append(line) } }.repair()
        }
          == .imageLocked)
      #expect(lines.withLock { $0.count } == (wait == .atMost(seconds: 0) ? 0 : 1))
    }
    withExtendedLifetime(lock) {}
  }

  @Test func `a dry run of repair needs no lock`() throws {
    let directory = try site()
    let lock = try hold("image-img", directory)
    var options = RepairOptions()
    options.isDryRun = true
    #expect(try open(directory, .forever).repair(options).isClean)
    withExtendedLifetime(lock) {}
  }

  @Test func `all waits of a command share one time`() throws {
    let directory = try TemporaryDirectory()
    let files = KernelFileSystem.shared
    let descriptor = try files.openDirectory(
      at: files.workingDirectory, Array(directory.path.utf8))
    func take(_ name: String, _ wait: LockWait) -> ErrorCode? {
      errorCode {
        _ = try FileLock.acquire(
          files, at: descriptor.raw, Array(name.utf8), exclusive: true, waiting: wait)
      }
    }
    let held = try ["a", "b"].map {
      try FileLock.acquireIfFree(files, at: descriptor.raw, Array($0.utf8), exclusive: true)
    }
    let wait = LockWait.atMost(seconds: 0.1).shared
    #expect(take("c", wait) == nil)
    #expect(wait.maxSeconds == 0.1, "a free lock takes no time")
    #expect(take("a", wait) == .systemError, "EBUSY")
    #expect(wait.maxSeconds == 0)
    #expect(take("b", wait) == .systemError, "EBUSY")
    #expect(take("c", wait) == nil, "a free lock needs no time")
    #expect(LockWait.atMost(seconds: 0).shared == .atMost(seconds: 0))
    #expect(LockWait.forever.shared == .forever)
    withExtendedLifetime(held) {}
  }

  @Test func `a failed collection is part of the outcome of a removal`() throws {
    let directory = try site()
    let workspace = try open(directory, .atMost(seconds: 0))
    var policy = RetentionPolicy()
    policy.last = 1
    let lock = Monitor<FileLock?>(try hold("gc", directory))
    let outcome = try workspace.forget(["img"], policy, force: true)
    #expect(outcome.forgotten.count == 2)
    let busy = try workspace.prune()
    #expect(busy.collection == nil && busy.failure?.errorCode == .storeLocked)
    lock.withLock { $0 = nil }
    #expect(try workspace.prune().failure == nil)
    try shell("truncate -s 5 \"$1/store/refs/img/0000000003\"", directory.path(""))
    #expect(try workspace.prune().failure?.errorCode == .snapshotDamaged)
  }
}
