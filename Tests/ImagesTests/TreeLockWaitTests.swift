// --wait and xCAT's own lock on a root tree: without a time limit a command fails at once, as xCAT's commands
// do; with one it waits.

import Foundation
import Images
import Platform
import TestSupport
import Testing

@Suite(.usesTools) struct TreeLockWaitTests {
  private struct Site {
    let directory: TemporaryDirectory
    let held: Monitor<TreeLock?>
    let messages = Monitor<[String]>([])

    init() throws {
      directory = try TemporaryDirectory()
      let workspace = try Workspace.test(directory)
      try shell("echo a >\"$1/f\"", directory.path("root/img/rootimg"))
      _ = try workspace.snapshot("img")
      try shell("echo b >\"$1/f\"", directory.path("root/img/rootimg"))
      held = Monitor(nil)
      try hold()
    }

    func hold() throws {
      let lock = try TreeLock(of: "/img/rootimg", below: directory.path("root"))
      held.withLock { $0 = lock }
    }

    /// Opens a workspace. Its first message about waiting ends the other process's lock if `isReleased`.
    func open(_ wait: LockWait, isReleased: Bool) throws -> Workspace {
      var options = WorkspaceOptions(store: directory.path("store"), root: directory.path("root"))
      options.lockWait = wait
      let (held, messages) = (held, messages)
      return try Workspace(options) { line in
        guard line.hasPrefix("waiting") else { return }
        messages.withLock { $0.append(line) }
        if isReleased { held.withLock { $0 = nil } }
      }
    }
  }

  private static let commands: [(name: String, run: @Sendable (Workspace) throws -> Void)] = [
    ("snapshot", { _ = try $0.snapshot("img") }),
    ("revert", { _ = try $0.revert("img@1") }),
    ("pack", { _ = try $0.pack(PackRequest("img")) }),
    ("copy", { _ = try $0.copy(CopyRequest("img", to: "copy")) }),
  ]

  @Test(arguments: 0..<4) func `with --wait a command waits for xCAT's lock`(_ index: Int) throws {
    let (name, run) = Self.commands[index]
    let site = try Site()
    let workspace = try site.open(.atMost(seconds: 600), isReleased: true)
    #expect(errorCode { try run(workspace) } == nil, "\(name)")
    let lines = site.messages.withLock { $0 }
    #expect(lines.count == 1, "\(name)")
    #expect(lines.first?.contains("\(getpid())") == true, "the holder is named: \(lines)")
  }

  @Test(arguments: 0..<4)
  func `without --wait, and after its time, a command fails`(_ index: Int) throws {
    let (name, run) = Self.commands[index]
    let site = try Site()
    for wait in [LockWait.forever, .atMost(seconds: 0), .atMost(seconds: 0.1)] {
      let workspace = try site.open(wait, isReleased: false)
      #expect(errorCode { try run(workspace) } == .imageLocked, "\(name)")
    }
    #expect(site.messages.withLock { $0 }.count == 1, "only the one that waits says so")
  }

  @Test func `a command that waits holds no lock that pack needs`() throws {
    let site = try Site()
    // The message comes while the command waits: the image can be locked then.
    let (directory, held) = (site.directory, site.held)
    let isFree = Monitor<Bool?>(nil)
    var options = WorkspaceOptions(store: directory.path("store"), root: directory.path("root"))
    options.lockWait = .atMost(seconds: 600)
    let workspace = try Workspace(options) { line in
      guard line.hasPrefix("waiting") else { return }
      let files = KernelFileSystem.shared
      let locks = try? files.openDirectory(
        at: files.workingDirectory, Array(directory.path("store/locks").utf8))
      let lock = try? locks.flatMap {
        try FileLock.acquireIfFree(files, at: $0.raw, Array("image-img".utf8), exclusive: true)
      }
      isFree.withLock { $0 = lock != nil }
      held.withLock { $0 = nil }
    }
    _ = try workspace.snapshot("img")
    #expect(isFree.withLock { $0 } == true)
  }
}
