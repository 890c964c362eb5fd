// An import with --to gives an image another directory, and an undo restores the previous one.
// Directories that do not belong to the image are neither removed nor overwritten.

import Foundation
import Images
import Platform
import Store
import TestSupport
import Testing

@Suite(.usesTools) struct DirectoryMoveTests {
  /// An image that was imported to q/one and then, in another version, to q/two.
  private struct Moved {
    let site: TestNode
    let workspace: Workspace

    init(preparing script: String = "") throws {
      site = try TestNode.smallDirectory()
      let first = try site.bundle("b1.tgz")
      try site.run("echo two >srv/compute/etc/hosts; echo n >srv/compute/new")
      let second = try site.bundle("b2.tgz")
      workspace = try Workspace(WorkspaceOptions(store: site.directory.path("other"))) { _ in }
      _ = try workspace.importing(first) { $0.directory = site.directory.path("q/one") }
      if !script.isEmpty { try site.run(script) }
      let image = try workspace.importing(second) {
        $0.directory = site.directory.path("q/two")
        $0.replaces = true
      }
      #expect(image.remaining?.isEmpty == true)
    }

    var location: String? { try? workspace.define("compute", []).directoryPath?.text }

    func undo(_ change: (inout RevertRequest) -> Void = { _ in }) throws -> RevertOutcome {
      var request = RevertRequest("compute")
      change(&request)
      return try workspace.undo("compute", request)
    }
  }

  @Test func `the previous directory of a moved image stays unchanged`() throws {
    let moved = try Moved()
    #expect(moved.location == moved.site.directory.path("q/two"))
    #expect(moved.site.content("q/one/etc/hosts") == "one\n")
    #expect(moved.site.content("q/two/etc/hosts") == "two\n")
    let components = try moved.workspace.find(Reference("compute")).snapshot.components
    #expect(components.map(\.path) == [Array(moved.site.directory.path("q/two").utf8)])
    #expect(try moved.workspace.status("compute").isClean)
  }

  @Test func `an undo restores the previous directory, and a second undo the new one`() throws {
    let moved = try Moved()
    #expect(try moved.undo().isExact)
    #expect(moved.location == moved.site.directory.path("q/one"))
    #expect(moved.site.content("q/one/etc/hosts") == "one\n" && !moved.site.exists("q/two"))
    #expect(try moved.workspace.status("compute").isClean)
    // A tree that is created there now belongs to the image, and stays when the image moves away.
    try moved.site.run("echo mine >q/one/mine")
    #expect(try moved.undo().isExact)
    #expect(moved.location == moved.site.directory.path("q/two"))
    #expect(moved.site.content("q/one/mine") == "mine\n")
    #expect(moved.site.content("q/one/etc/hosts") == "one\n")
    #expect(moved.site.content("q/two/new") == "n\n")
    #expect(try moved.undo().isExact)
    #expect(moved.site.content("q/one/mine") == "mine\n" && !moved.site.exists("q/two"))
  }

  @Test func `a directory that no longer belongs to the image is not overwritten without force`()
    throws
  {
    let moved = try Moved()
    try moved.site.run("echo mine >q/one/mine")
    #expect(throws: ImageError.self) { try moved.undo() }
    #expect(moved.site.content("q/one/mine") == "mine\n")
    #expect(moved.site.content("q/two/new") == "n\n")
    #expect(moved.location == moved.site.directory.path("q/two"))
    let outcome = try moved.undo { $0.allowed = [moved.site.directory.path("q/one")] }
    #expect(outcome.isExact && outcome.safety != nil)
    #expect(!moved.site.exists("q/one/mine") && !moved.site.exists("q/two"))
    #expect(moved.location == moved.site.directory.path("q/one"))
  }

  @Test func `an undo recreates the previous directory if it is gone`() throws {
    let moved = try Moved()
    try moved.site.run("rm -r q/one")
    #expect(try moved.undo().isExact)
    #expect(moved.site.content("q/one/etc/hosts") == "one\n" && !moved.site.exists("q/two"))
  }

  @Test func `files that an import replaced in the new directory are restored`() throws {
    let moved = try Moved(preparing: "mkdir q/two; echo theirs >q/two/theirs")
    #expect(!moved.site.exists("q/two/theirs"))
    #expect(try moved.undo().isExact)
    #expect(moved.site.content("q/two/theirs") == "theirs\n" && !moved.site.exists("q/two/new"))
    #expect(moved.location == moved.site.directory.path("q/one"))
    // From now on it belongs to no image.
    let components = try moved.workspace.find(Reference("compute")).snapshot.components
    #expect(components.map(\.path) == [Array(moved.site.directory.path("q/one").utf8)])
  }

  @Test func `a revert to a state without the image does not touch other directories`() throws {
    let moved = try Moved()
    try moved.site.run("echo mine >q/one/mine")
    _ = try moved.workspace.revert("compute@1")
    #expect(moved.site.content("q/one/mine") == "mine\n")
  }

  @Test func `a directory that was moved by hand is not moved`() throws {
    let moved = try Moved()
    try moved.site.run("mv q/two q/three")
    _ = try moved.workspace.addDirectory("compute", at: moved.site.directory.path("q/three"))
    #expect(try moved.undo().isExact)
    #expect(moved.location == moved.site.directory.path("q/three"))
    #expect(moved.site.content("q/three/etc/hosts") == "one\n")
    #expect(moved.site.content("q/one/etc/hosts") == "one\n")
  }

  // MARK: Cut short

  private enum Change: String, CaseIterable { case importing, undo, redo }

  /// All files below a directory, and the directory of the image.
  private func state(_ directory: TemporaryDirectory) throws -> [String: String] {
    let top = directory.path("root/q")
    var state: [String: String] = [:]
    for case let name as String in FileManager.default.enumerator(atPath: top) ?? .init() {
      state[name] = (try? String(contentsOfFile: "\(top)/\(name)", encoding: .utf8)) ?? "directory"
    }
    state["place"] = try open(directory).define("compute", []).directoryPath?.text
    return state
  }

  private func open(
    _ directory: TemporaryDirectory, _ files: any FileSystem = KernelFileSystem.shared
  ) throws -> Workspace {
    try Workspace(
      WorkspaceOptions(store: directory.path("store"), root: directory.path("root")),
      fileSystem: files
    ) { _ in }
  }

  private func run(_ change: Change, _ workspace: Workspace, _ bundle: String) throws {
    switch change {
    case .importing:
      _ = try workspace.importing(bundle) {
        $0.directory = "/q/two"
        $0.replaces = true
      }
    case .undo, .redo: _ = try workspace.undo("compute")
    }
  }

  @Test(arguments: Change.allCases.map(\.rawValue))
  func `a killed move of the directory can be resumed or rolled back`(name: String) throws {
    let change = try #require(Change(rawValue: name))
    let site = try TestNode.smallDirectory()
    let first = try site.bundle("b1.tgz")
    try site.run("echo two >srv/compute/etc/hosts; echo n >srv/compute/new")
    let second = try site.bundle("b2.tgz")
    let base = try TemporaryDirectory()
    try shell("mkdir -p \"$1/root\"", base.path(""))
    _ = try open(base).importing(first) { $0.directory = "/q/one" }
    if change != .importing { try run(.importing, open(base), second) }
    if change == .redo {
      try run(.undo, open(base), second)
      try shell("echo mine >\"$1/root/q/one/mine\"", base.path(""))
    }
    func copy() throws -> TemporaryDirectory {
      let directory = try TemporaryDirectory()
      try shell("cp -a \"$1/root\" \"$1/store\" \"$2\"", base.path(""), directory.path(""))
      return directory
    }
    let before = try state(base)
    let finished = try copy()
    try run(change, open(finished), second)
    let good = try state(finished)
    #expect(good["place"] == (change == .undo ? "/q/one" : "/q/two"))
    var (isDone, interruptedCount) = (false, 0)
    // The sweep has no end of its own.
    for number in Sweep(every: 61) {
      if isDone || number >= 6000 { break }
      let directory = try copy()
      let files = FaultyFileSystem(failing: number, .forGood)
      let thrown = Result { try run(change, open(directory, files), second) }
      isDone = !files.isHit
      let label = "\(change), operation \(number): \(thrown)"
      let after = try open(directory)
      if try after.unfinished().isEmpty {
        let now = try state(directory)
        #expect(now == before || now == good, "\(label)")
        continue
      }
      interruptedCount += 1
      let isBack = interruptedCount % 2 == 0
      let resumed = try after.resume(nil, isBack ? .back : .forward)
      #expect(resumed.revert?.isExact ?? true, "\(label)")
      let isUntouched = resumed.revert == nil
      #expect(try state(directory) == (isBack || isUntouched ? before : good), "\(label)")
    }
    #expect(isDone && interruptedCount > 0, "\(interruptedCount)")
  }
}
