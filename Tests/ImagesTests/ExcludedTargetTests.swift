// Changes to snapshots that contain entries which the image excludes now.

import Foundation
import Images
import Platform
import TestSupport
import Testing

@Suite(.usesTools) struct ExcludedTargetTests {
  private let directory: TemporaryDirectory
  private let workspace: Workspace
  private let messages: Monitor<[String]>
  private var tree: String { directory.path("tree") }

  /// A directory image whose first snapshot has cache/f, and that excludes it since.
  init() throws {
    let directory = try TemporaryDirectory()
    let messages = Monitor<[String]>([])
    self.directory = directory
    self.messages = messages
    workspace = try Workspace(WorkspaceOptions(store: directory.path("store"))) { line in
      messages.withLock { $0.append(line) }
    }
    try shell("mkdir -p \"$1/cache/deep\"; cd \"$1\"; echo one >cache/f; echo one >g", tree)
    _ = try workspace.snapshot(tree)
    _ = try workspace.addDirectory("tree", at: tree, excludes: ["cache/f"])
    try shell("cd \"$1\"; echo two >g", tree)
  }

  private func text(_ path: String) -> String? {
    try? String(contentsOfFile: tree + "/" + path, encoding: .utf8)
  }

  @Test func `a revert leaves an excluded file alone and names it`() throws {
    try shell("echo two >\"$1/cache/f\"", tree)
    _ = try workspace.snapshot("tree")
    let outcome = try workspace.revert(RevertRequest("tree@1"))
    #expect(text("cache/f") == "two\n" && text("g") == "one\n")
    #expect(outcome.isExact)
    #expect(outcome.apply.remarks.contains { $0.contains("cache/f") })
    let recorded = try #require(outcome.recorded)
    #expect(throws: ImageError.self) { try workspace.findEntry("cache/f", in: recorded) }
    // It counts as a revert of the whole image: later comparisons start from it.
    #expect(try workspace.comparison("tree", nil).diff.old == recorded.name)
    #expect(try workspace.status("tree").isClean)
  }

  @Test func `a revert does not create an excluded file`() throws {
    try shell("rm \"$1/cache/f\"", tree)
    _ = try workspace.snapshot("tree")
    var dryRun = RevertRequest("tree@1")
    dryRun.isDryRun = true
    #expect(try workspace.revert(dryRun).apply.writes.count == 1)
    let outcome = try workspace.revert(RevertRequest("tree@1"))
    #expect(text("cache/f") == nil && text("g") == "one\n")
    #expect(outcome.isExact)
    _ = try workspace.undo("tree")
    #expect(text("cache/f") == nil && text("g") == "two\n")
  }

  @Test func `a revert of an excluded path is refused, whether the path exists or not`() throws {
    for command in ["true", "rm \"$1/cache/f\""] {
      try shell(command, tree)
      var request = RevertRequest("tree@1")
      request.parts.paths = ["cache/f"]
      let error = #expect(throws: ImageError.self) { try workspace.revert(request) }
      #expect(error?.errorCode == .usage)
    }
  }

  @Test func `a revert to a snapshot with the same patterns needs no new snapshot`() throws {
    _ = try workspace.snapshot("tree")
    try shell("echo three >\"$1/g\"", tree)
    _ = try workspace.snapshot("tree")
    let outcome = try workspace.revert(RevertRequest("tree@2"))
    #expect(outcome.isExact && outcome.apply.remarks.isEmpty)
    #expect(text("cache/f") == "one\n" && text("g") == "two\n")
  }
}
