// States of an unfinished change: its target snapshot is missing, its journal is not a regular file, the file
// system of its tree is not mounted, or the process ran out of descriptors.

import Apply
import Foundation
import Images
import Platform
import Store
import TestSupport
import Testing

@Suite(.usesTools) struct ResumeStateTests {
  private let directory: TemporaryDirectory
  private let workspace: Workspace
  private var tree: String { directory.path("root/img/rootimg") }
  private var journal: String { directory.path("store/journal/img") }

  init() throws {
    directory = try TemporaryDirectory()
    workspace = try Workspace.test(directory)
  }

  private func fill() throws {
    try shell("cd \"$1\"; for i in 1 2 3 4 5 6 7 8; do echo a$i >f$i; done", tree)
    _ = try workspace.snapshot("img")
    try shell("cd \"$1\"; for i in 1 2 3 4 5 6 7 8; do echo b$i >f$i; done", tree)
    _ = try workspace.snapshot("img")
  }

  /// Runs an in-place revert that stops at an operation.
  private func stopped(_ fault: FaultyFileSystem.Fault) throws {
    var request = RevertRequest("img@1")
    request.method = .inPlace
    let failing = try Workspace(workspace.options, fileSystem: FaultyFileSystem(fault)) { _ in }
    #expect(throws: (any Error).self) { try failing.revert(request) }
    #expect(try workspace.unfinished().count == 1)
  }

  private func text(_ name: String) -> String? {
    try? String(contentsOfFile: tree + "/" + name, encoding: .utf8)
  }

  @Test(arguments: [SystemError.Code.tooManyOpenFiles, .outOfMemory, .tooLarge, .noSpace])
  func `a change stopped by a limit keeps its journal`(_ code: SystemError.Code) throws {
    try fill()
    try stopped(.nth(3, "exchange", code))
    #expect(try workspace.resume("img", .back).revert?.isExact == true)
    for i in 1...8 { #expect(text("f\(i)") == "b\(i)\n") }
  }

  @Test func `a rollback works without the target snapshot`() throws {
    try fill()
    try stopped(.nth(3, "exchange", .noSpace))
    try shell("rm \"$1/refs/img/0000000001\"", directory.path("store"))
    #expect(throws: ImageError.self) { try workspace.resume("img", .forward) }
    #expect(try workspace.resume("img", .back).revert?.isExact == true)
    for i in 1...8 { #expect(text("f\(i)") == "b\(i)\n") }
    #expect(try workspace.unfinished().isEmpty)
  }

  @Test(arguments: [
    "mkfifo img", "mkdir img", "ln -s nowhere img", "truncate -s 20M img", "echo x >img",
  ])
  func `an invalid journal can be abandoned`(_ odd: String) throws {
    try fill()
    try shell("cd \"$1/journal\"; \(odd)", directory.path("store"))
    #expect(throws: (any Error).self) { try workspace.resume("img", .forward) }
    #expect(try workspace.resume("img", .abandon).direction == .abandon)
    #expect(try workspace.unfinished().isEmpty)
    #expect(try workspace.revert("img@1").isExact)
  }

  @Test func `a resume does not fill a tree whose file system is not mounted`() throws {
    guard isRoot, try run("mount", "-t", "tmpfs", "none", tree).didSucceed else { return }
    var isMounted = true
    defer { if isMounted { _ = try? run("umount", tree) } }
    try fill()
    try stopped(.nth(3, "exchange", .noSpace))
    #expect(try run("umount", tree).didSucceed)
    isMounted = false
    #expect(throws: (any Error).self) { try workspace.resume("img", .forward) }
    #expect(throws: (any Error).self) { try workspace.resume("img", .back) }
    #expect(try FileManager.default.contentsOfDirectory(atPath: tree).isEmpty)
    #expect(try workspace.unfinished().count == 1)
  }
}
