// Comparisons of a live tree that is missing or partly unreadable, and names that become free again.

import Foundation
import Images
import Platform
import TestSupport
import Testing

@Suite(.usesTools) struct LiveTreeTests {
  private let directory: TemporaryDirectory
  private let workspace: Workspace
  private var tree: String { directory.path("tree") }

  init() throws {
    directory = try TemporaryDirectory()
    workspace = try Workspace(WorkspaceOptions(store: directory.path("store"))) { _ in }
    try shell(
      "mkdir -p \"$1/secret/deep\"; cd \"$1\"; echo one >f; echo one >secret/deep/a; echo one >secret/b",
      tree)
    _ = try workspace.snapshot(tree)
  }

  @Test func `a status without the root tree names it`() throws {
    #expect(try workspace.status("tree").missingTree == nil)
    try shell("mv \"$1\" \"$1.away\"", tree)
    #expect(try workspace.status("tree").missingTree == Array(tree.utf8))
  }

  @Test func `entries of an unreadable directory are unknown, not removed`() throws {
    try shell("echo two >\"$1/f\"; echo new >\"$1/secret/c\"", tree)
    let files = FaultyFileSystem(failingOpens: ["secret": .accessDenied])
    let other = try Workspace(workspace.options, fileSystem: files) { _ in }
    let status = try other.status("tree")
    // The directory itself can be examined: its time has changed.
    #expect(
      status.diff.entries.map { printable($0.path) } == ["\(tree)/f", "\(tree)/secret"])
    #expect(status.uncompared.map { printable($0.path) } == ["\(tree)/secret"])
  }

  @Test func `the name of a copy that was undone is free again`() throws {
    var request = CopyRequest("tree", to: "twin")
    request.directory = directory.path("twin")
    _ = try workspace.copy(request)
    _ = try workspace.undo("twin")
    try shell("mkdir \"$1\"; echo x >\"$1/x\"", directory.path("twin2"))
    #expect(throws: ImageError.self) { try workspace.snapshot("twin") }
    let added = try workspace.addDirectory("twin", at: directory.path("twin2"))
    #expect(added.name == "twin")
  }
}
