// Where a store is created, and where not.

import Foundation
import Images
import Platform
import Store
import TestSupport
import Testing

@Suite(.usesTools) struct StorePlaceTests {
  private func workspace(_ directory: TemporaryDirectory) throws -> Workspace {
    var options = WorkspaceOptions(store: directory.path("disk/store"))
    options.environment["IMGSTORE_CONFIG_DIR"] = directory.path("config")
    return try Workspace(options) { _ in }
  }

  private func tree(_ directory: TemporaryDirectory) throws -> String {
    try shell("mkdir -p \"$1/disk\" \"$1/tree/etc\"; echo x >\"$1/tree/etc/x\"", directory.path(""))
    return directory.path("tree")
  }

  @Test func `a store created by init is not recreated if its file system is not mounted`() throws {
    let directory = try TemporaryDirectory()
    let tree = try tree(directory)
    #expect(try workspace(directory).initializeStore(group: nil).isNew)
    #expect(try !workspace(directory).initializeStore(group: nil).isNew)
    _ = try workspace(directory).snapshot(tree)
    try shell("mv \"$1/disk\" \"$1/away\"; mkdir -p \"$1/disk/store\"", directory.path(""))
    for command in [
      { _ = try self.workspace(directory).snapshot(tree) },
      { _ = try self.workspace(directory).images() },
      { _ = try self.workspace(directory).log("tree") },
    ] {
      let error = #expect(throws: ImageError.self) { try command() }
      #expect(error?.errorCode.category == .notFound)
    }
    #expect(
      try FileManager.default.contentsOfDirectory(atPath: directory.path("disk/store")).isEmpty)
    #expect(
      try workspace(directory).initializeStore(group: nil, force: true).isNew,
      "on purpose it is made")
  }

  @Test func `commands on all images do not create a store`() throws {
    let directory = try TemporaryDirectory()
    let tree = try tree(directory)
    let error = #expect(throws: ImageError.self) { try workspace(directory).definedImages() }
    #expect(error?.errorCode.category == .notFound)
    #expect(!FileManager.default.fileExists(atPath: directory.path("disk/store")))
    _ = try workspace(directory).initializeStore(group: nil)
    #expect(try workspace(directory).definedImages() == [])
    _ = try workspace(directory).snapshot(tree)
    #expect(try workspace(directory).definedImages() == ["tree"])
  }

  @Test func `a quiet command reports a new store as a warning`() throws {
    let directory = try TemporaryDirectory()
    let tree = try tree(directory)
    for isQuiet in [true, false] {
      var options = WorkspaceOptions(store: directory.path("disk/store\(isQuiet)"))
      options.isQuiet = isQuiet
      let (warnings, remarks) = (Monitor(0), Monitor(0))
      let workspace = try Workspace(options) { _ in
        warnings.withLock { $0 += 1 }
      } inform: { _ in
        remarks.withLock { $0 += 1 }
      }
      _ = try workspace.addDirectory(nil, at: tree)
      #expect(warnings.withLock { $0 } == (isQuiet ? 1 : 0))
      #expect(remarks.withLock { $0 } == (isQuiet ? 0 : 1))
    }
  }

  @Test func `a first snapshot creates the store if init did not`() throws {
    let directory = try TemporaryDirectory()
    let tree = try tree(directory)
    #expect(try workspace(directory).images().isEmpty)
    #expect(!FileManager.default.fileExists(atPath: directory.path("disk/store")))
    #expect(try workspace(directory).snapshot(tree).committed.number == 1)
  }

  @Test(.enabled(if: geteuid() == 0))
  func `a group can read its whole store, including later files`()
    throws
  {
    let directory = try TemporaryDirectory()
    let tree = try tree(directory)
    _ = try workspace(directory).snapshot(tree)
    _ = try workspace(directory).initializeStore(group: "games")
    try shell("echo y >\"$1/etc/y\"", tree)
    let second = try workspace(directory).snapshot(tree)
    _ = try workspace(directory).tag(second.committed.name, as: "golden")
    let odd = try shell(
      "find \"$1/disk/store\" ! -group games -o ! -perm -g=r -o -perm /g=w -o -perm /o=rwx",
      directory.path("")
    ).output
    // SQLite's files have their own mode, but the directory denies access to others.
    #expect(
      odd.split(separator: "\n").allSatisfy { $0.hasSuffix("index.sqlite") }, "\(odd)")
    #expect(throws: ImageError.self) {
      try workspace(directory).initializeStore(group: "no-such-group")
    }
  }
}
