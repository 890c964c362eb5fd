// The numbers of `du`, `stats` and `gc` with unfinished files and with damaged refs.

import Foundation
import Images
import Platform
import Store
import TestSupport
import Testing

@Suite(.usesTools) struct SpaceTruthTests {
  private func site() throws -> (TemporaryDirectory, () throws -> Workspace) {
    let directory = try TemporaryDirectory()
    let workspace = try Workspace.test(directory)
    for i in 1...3 {
      try shell("head -c 100000 /dev/urandom >\"$1/f\(i)\"", directory.path("root/img/rootimg"))
      _ = try workspace.snapshot("img")
    }
    return (
      directory,
      {
        try Workspace(
          WorkspaceOptions(store: directory.path("store"), root: directory.path("root"))
        ) { _ in }
      }
    )
  }

  @Test func `unfinished files of dead processes count`() throws {
    let (directory, open) = try site()
    #expect(try open().diskUse([]).unfinishedBytes == 0)
    let before = try open().diskUse([]).storeBytes
    try shell(
      "cd \"$1/store/tmp\"; head -c 70000 /dev/zero >a; head -c 7 /dev/zero >b; mkfifo c; mkdir d",
      directory.path(""))
    #expect(try open().diskUse([]).unfinishedBytes == 70_007)
    #expect(try open().diskUse([]).storeBytes == before + 70_007)
    #expect(try open().statistics().unfinishedBytes == 70_007)
    let estimate = try open().collectionEstimate()
    #expect(estimate.unfinishedBytes == 70_007 && estimate.collectableBytes == 0)
    #expect(try open().collect().temporaryBytes == 70_007)
    #expect(try open().statistics().unfinishedBytes == 0)
  }

  @Test func `a file that a process writes is not unfinished`() throws {
    let (directory, open) = try site()
    try shell("head -c 70000 /dev/zero >\"$1/store/tmp/a\"", directory.path(""))
    let files = KernelFileSystem.shared
    let file = try files.openFile(
      at: files.workingDirectory, Array(directory.path("store/tmp/a").utf8), [.read])
    #expect(try files.lock(file.raw, exclusive: true, wait: false))
    #expect(try open().diskUse([]).unfinishedBytes == 0)
    withExtendedLifetime(file) {}
  }

  @Test(arguments: [
    "truncate -s 20 refs/img/0000000002", "truncate -s 20 refs/img/0000000003",
    "rm refs/img/0000000002",
  ])
  func `du and stats of a store with a damaged ref count the others`(_ damage: String) throws {
    let (directory, open) = try site()
    try shell("cd \"$1/store\"; \(damage)", directory.path(""))
    let use = try open().diskUse([])
    #expect(use.unreadable.count == 1 && use.total.snapshots == 2)
    #expect(use.total.use.reachedBytes > 100_000 && use.packBytes > 300_000)
    #expect(use.collectableBytes == 0 && use.total.use.freedBytes == 0, "gc refuses")
    #expect(try open().diskUse(["img"], bySnapshot: true).lines.count == 2)
    let statistics = try open().statistics()
    #expect(statistics.snapshots == 2 && statistics.unreadable.count == 1)
    let error = #expect(throws: StoreError.self) { try open().collectionEstimate() }
    #expect(error?.errorCode == .snapshotDamaged, "like gc itself")
  }

  @Test(.enabled(if: geteuid() == 0)) func `reindex of a read-only store is refused`() throws {
    let (directory, open) = try site()
    // A file that cannot be changed in place of a lock makes the store read-only for root, too.
    try shell("chattr +i \"$1\"/store/locks/lease-* \"$1/store/locks\" || true", directory.path(""))
    defer {
      _ = try? shell("chattr -i \"$1\"/store/locks \"$1\"/store/locks/*", directory.path(""))
    }
    let workspace = try open()
    guard try workspace.store().layout.isReadOnly else { return }
    let error = #expect(throws: StoreError.self) { try workspace.reindex() }
    #expect(error?.errorCode == .readOnly)
  }
}
