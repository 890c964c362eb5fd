// Another process writes into a tree, or mounts a file system in it, while the new tree is built. A swap
// would remove these changes with the old tree.

import Apply
import Foundation
import Images
import Platform
import Store
import TestSupport
import Testing

@Suite(.usesTools) struct SwapWriterTests {
  private let directory: TemporaryDirectory
  private let workspace: Workspace
  private var tree: String { directory.path("root/img/rootimg") }

  init() throws {
    directory = try TemporaryDirectory()
    workspace = try Workspace.test(directory)
    try shell("cd \"$1\"; mkdir etc mnt; echo old >etc/z; echo one >etc/f; ln etc/f etc/g", tree)
    _ = try workspace.snapshot("img")
    try shell("cd \"$1\"; echo new >etc/z; echo two >etc/f", tree)
  }

  /// Reverts with a swap. `other` runs at the last moment before the trees are exchanged.
  private func swap(_ other: @escaping @Sendable () -> Void) throws -> RevertOutcome {
    let files = FaultyFileSystem(.before(0, "exchange", other))
    var request = RevertRequest("img@1")
    request.method = .swap
    return try Workspace(workspace.options, fileSystem: files) { _ in }.revert(request)
  }

  private func text(_ name: String) -> String? {
    try? String(contentsOfFile: tree + "/" + name, encoding: .utf8)
  }

  @Test(arguments: [
    ("content", "echo precious >etc/z", "etc/z", "precious\n"),
    ("a new name", "echo precious >etc/name", "etc/name", "precious\n"),
    ("a new folder", "mkdir -p etc/a/b; echo precious >etc/a/b/c", "etc/a/b/c", "precious\n"),
    ("another inode", "echo precious >etc/t; mv etc/t etc/z", "etc/z", "precious\n"),
    (
      "the same size and time", "touch -r etc/z ref; echo NEW >etc/z; touch -r ref etc/z; rm ref",
      "etc/z", "NEW\n"
    ),
  ])
  func `files written while the new tree is built are kept`(
    _ what: String, _ script: String, _ name: String, _ content: String
  ) throws {
    let tree = tree
    let outcome = try swap { _ = try? shell("cd \"$1\"; \(script)", tree) }
    #expect(outcome.apply.methods.allSatisfy { !$0.isSwap }, "\(what)")
    #expect(text(name) == content, "\(what)")
    #expect(!outcome.isExact || !outcome.apply.report.problems.isEmpty, "\(what)")
    // The rest of the revert is done, and nothing of the new tree remains.
    #expect(text("etc/f") == "one\n")
    #expect(try run("find", directory.path("root"), "-name", ".imgstore*").output == "")
    #expect(try workspace.unfinished().isEmpty)
  }

  /// Reverts with a swap that ends as by a power failure, just after the trees were exchanged. `other` runs at
  /// the last moment before the exchange.
  private func crash(_ other: @escaping @Sendable () -> Void) throws {
    let files = FaultyFileSystem(.crash(after: 0, "exchange", other))
    var request = RevertRequest("img@1")
    request.method = .swap
    #expect(throws: (any Error).self) {
      try Workspace(workspace.options, fileSystem: files) { _ in }.revert(request)
    }
    #expect(files.isHit)
    #expect(try workspace.unfinished().count == 1)
  }

  @Test(arguments: [ResumeDirection.forward, .back, .abandon])
  func `files written before an exchange that a crash follows are kept by the resume`(
    _ direction: ResumeDirection
  ) throws {
    let tree = tree
    try crash { _ = try? shell("cd \"$1\"; echo precious >etc/name; echo more >>etc/z", tree) }
    #expect(text("etc/name") == nil, "the new tree is at the path")
    let before = try workspace.log("img").count
    _ = try workspace.resume("img", direction)
    let all = try workspace.log("img").map(\.committed)
    let kept = try #require(all.first { $0.snapshot.message.hasPrefix("found in the tree") })
    #expect(all.count > before)
    let out = directory.path("kept")
    _ = try workspace.restore(kept.name, to: out)
    #expect(try String(contentsOfFile: out + "/etc/name", encoding: .utf8) == "precious\n")
    #expect(try String(contentsOfFile: out + "/etc/z", encoding: .utf8) == "new\nmore\n")
    #expect(try run("find", directory.path("root"), "-name", ".imgstore*").output == "")
    #expect(text("etc/z") == (direction == .back ? "new\n" : "old\n"))
    #expect(try workspace.unfinished().isEmpty)
    #expect(try workspace.verify(deep: true).isClean)
  }

  @Test func `an old tree that cannot be read is not removed`() throws {
    let tree = tree
    try crash { _ = try? shell("echo precious >\"$1/etc/name\"", tree) }
    let files = FaultyFileSystem(failingOpens: ["name": .inputOutput])
    #expect(throws: (any Error).self) {
      try Workspace(workspace.options, fileSystem: files) { _ in }.resume("img", .forward)
    }
    let left = try run("find", directory.path("root"), "-path", "*/.imgstore*/etc/name")
    #expect(left.output.hasSuffix("/etc/name\n"), "\(left.output)")
    #expect(try workspace.unfinished().count == 1)
    _ = try workspace.resume("img", .forward)
    #expect(
      try workspace.log("img").contains {
        $0.committed.snapshot.message.hasPrefix("found in the tree")
      })
  }

  @Test(arguments: [ResumeDirection.forward, .back])
  func `a resume after an undisturbed exchange, or before one, keeps nothing in addition`(
    _ direction: ResumeDirection
  ) throws {
    try crash {}
    _ = try workspace.resume("img", direction)
    // A crash while the new tree is built leaves a part of it.
    try shell("cd \"$1\"; echo newer >etc/z", tree)
    let files = FaultyFileSystem(.crash(after: 0, "syncFileSystem", {}))
    var request = RevertRequest("img@1")
    request.method = .swap
    #expect(throws: (any Error).self) {
      try Workspace(workspace.options, fileSystem: files) { _ in }.revert(request)
    }
    _ = try workspace.resume("img", direction)
    let messages = try workspace.log("img").map(\.committed.snapshot.message)
    #expect(!messages.contains { $0.hasPrefix("found in the tree") }, "\(messages)")
    #expect(text("etc/z") == (direction == .back ? "newer\n" : "old\n"))
  }

  @Test func `an undisturbed revert swaps the tree, including links to shared inodes`() throws {
    let outcome = try swap {}
    #expect(outcome.isExact && outcome.apply.methods.contains(where: \.isSwap))
    #expect(text("etc/z") == "old\n" && text("etc/g") == "one\n")
  }

  @Test func `a mount that appears while the new tree is built stays with the live tree`() throws {
    guard isRoot else { return }
    try shell("mkdir \"$1\"; echo host >\"$1/h\"", directory.path("data"))
    let (data, point) = (directory.path("data"), tree + "/mnt")
    defer { _ = try? run("umount", point) }
    // The new tree is synced before the exchange.
    let files = FaultyFileSystem(
      .before(0, "syncFileSystem") { _ = try? run("mount", "--bind", data, point) })
    var request = RevertRequest("img@1")
    request.method = .swap
    let outcome = try Workspace(workspace.options, fileSystem: files) { _ in }.revert(request)
    #expect(outcome.apply.methods.allSatisfy { !$0.isSwap })
    #expect(text("mnt/h") == "host\n" && text("etc/z") == "old\n")
    #expect(try workspace.unfinished().isEmpty)
  }
}
