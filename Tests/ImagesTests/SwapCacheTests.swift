// A swap leaves two trees that share files, and then removes the names of the old one. That changes the ctime
// and link count of the shared files after the capture that the stat cache comes from.

import Foundation
import Images
import Platform
import Store
import TestSupport
import Testing

@Suite(.usesTools) struct SwapCacheTests {
  private let directory: TemporaryDirectory
  private let workspace: Workspace
  private var tree: String { directory.path("root/img/rootimg") }

  init() throws {
    directory = try TemporaryDirectory()
    workspace = try Workspace.test(directory)
    try shell(
      "cd \"$1\"; mkdir etc; echo old >etc/z; echo kept >etc/kept; echo l >etc/l; ln etc/l etc/m",
      tree)
    _ = try workspace.snapshot("img")
    try shell("cd \"$1\"; echo new >etc/z", tree)
  }

  /// Reverts with a swap, to a tree that shares etc/kept, etc/l and etc/m with the old one.
  /// - Parameter other: a script that runs in the new tree when the revert is recorded, just before the names of
  ///   the old tree are removed.
  private func swap(_ other: String = ":") throws {
    let (tree, refs) = (tree, directory.path("store/refs/img"))
    @Sendable func count() -> Int {
      (try? FileManager.default.contentsOfDirectory(atPath: refs).count) ?? 0
    }
    let before = count()
    let hasRun = Monitor(false)
    let trace = FileTrace {
      // The safety snapshot is the first new one.
      let isTurn = hasRun.withLock { hasRun in
        defer { hasRun = hasRun || count() >= before + 2 }
        return !hasRun && count() >= before + 2
      }
      if isTurn { _ = try? shell("cd \"$1\"; \(other)", tree) }
      return ""
    }
    let files = FaultyFileSystem(trace: trace)
    var request = RevertRequest("img@1")
    request.method = .swap
    let outcome = try Workspace(workspace.options, fileSystem: files) { _ in }.revert(request)
    #expect(outcome.isExact && outcome.apply.methods.allSatisfy { $0.isSwap })
    #expect(hasRun.withLock { $0 })
  }

  /// The version of the stat cache: 5 if some of its records confirm contents only.
  private func cacheVersion() throws -> UInt8 {
    let store = directory.path("store/cache/")
    let name = try #require(
      FileManager.default.contentsOfDirectory(atPath: store).first { $0.hasPrefix("stat-") })
    return try #require(FileManager.default.contents(atPath: store + name))[7]
  }

  @Test func `after a swap, no shared file is read again`() throws {
    try swap()
    #expect(try cacheVersion() == 5)
    let status = try workspace.status("img")
    #expect(status.isClean)
    #expect(status.readBytes == 0)
    // A cache trusts only files that changed a tick of the clock before the capture.
    usleep(60_000)
    _ = try workspace.snapshot("img")
    #expect(try cacheVersion() == 4)
    #expect(try workspace.status("img").readBytes == 0)
  }

  @Test(arguments: [
    ("a mode", "chmod 600 etc/kept"),
    ("content", "echo KEPT >etc/kept"),
    (
      "content under the old time",
      "touch -r etc/kept ref; echo KEPT >etc/kept; touch -r ref etc/kept; rm ref"
    ),
    ("an attribute", "setfattr -n user.test -v 1 etc/kept"),
    ("a name", "ln etc/kept etc/other"),
  ])
  func `what changes a shared file during the removal or after it is seen`(
    _ what: String, _ script: String
  ) throws {
    try swap(script)
    #expect(try !workspace.status("img").isClean, "\(what) during the removal")
    _ = try workspace.revert(RevertRequest("img@1"))
    try shell("cd \"$1\"; echo new >etc/z", tree)
    try swap()
    try shell("cd \"$1\"; \(script)", tree)
    #expect(try !workspace.status("img").isClean, "\(what) after the removal")
  }
}
