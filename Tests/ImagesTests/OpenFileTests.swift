// Warnings about processes that write to files which a change replaces.

import Foundation
import Images
import Platform
import TestSupport
import Testing

@Suite(.usesTools) struct OpenFileTests {
  private let directory: TemporaryDirectory
  private let workspace: Workspace
  private var tree: String { directory.path("tree") }

  init() throws {
    directory = try TemporaryDirectory()
    workspace = try Workspace(WorkspaceOptions(store: directory.path("store"))) { _ in }
    try shell("mkdir \"$1\"; cd \"$1\"; echo one >log; echo one >other; echo one >kept", tree)
    _ = try workspace.snapshot(tree)
    try shell("cd \"$1\"; echo two >log; echo two >other; echo new >added", tree)
  }

  /// Reverts in place while a process has a file open.
  private func remarks(_ file: String, _ mode: String) throws -> [String] {
    let descriptor = open(
      "\(tree)/\(file)", mode == "r" ? O_RDONLY : mode == "rw" ? O_RDWR : O_WRONLY | O_APPEND)
    try #require(descriptor >= 0)
    defer { close(descriptor) }
    var request = RevertRequest("tree@1")
    request.method = .inPlace
    let outcome = try workspace.revert(request)
    #expect(outcome.isExact)
    return outcome.apply.remarks.filter { $0.contains("process \(getpid()) ") }
  }

  @Test(arguments: ["a", "rw"])
  func `a writer of a replaced file is named`(_ mode: String) throws {
    let remarks = try remarks("log", mode)
    #expect(remarks.count == 1 && remarks[0].contains("\(tree)/log"), "\(remarks)")
  }

  @Test func `a writer of a removed file is named`() throws {
    #expect(try remarks("added", "a").count == 1)
  }

  @Test(arguments: [("log", "r"), ("kept", "a")])
  func `readers, and writers of files that stay, are not named`(
    _ file: String, _ mode: String
  ) throws {
    #expect(try remarks(file, mode).isEmpty)
  }
}
