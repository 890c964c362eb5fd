// Where a store is created, and where not.

import Foundation
import Images
import Platform
import Store
import TestSupport
import Testing

@Suite(.usesTools) struct StorePlaceTests {
  private func workspace(_ folder: TemporaryFolder) throws -> Workspace {
    var options = WorkspaceOptions(store: folder.path("disk/store"))
    options.environment["IMGSTORE_CONFIG_DIR"] = folder.path("config")
    return try Workspace(options) { _ in }
  }

  private func tree(_ folder: TemporaryFolder) throws -> String {
    try shell("mkdir -p \"$1/disk\" \"$1/tree/etc\"; echo x >\"$1/tree/etc/x\"", folder.path(""))
    return folder.path("tree")
  }

  @Test func `a store created by init is not recreated if its file system is not mounted`() throws {
    let folder = try TemporaryFolder()
    let tree = try tree(folder)
    #expect(try workspace(folder).initializeStore(group: nil).isNew)
    #expect(try !workspace(folder).initializeStore(group: nil).isNew)
    _ = try workspace(folder).snapshot(tree)
    try shell("mv \"$1/disk\" \"$1/away\"; mkdir -p \"$1/disk/store\"", folder.path(""))
    for command in [
      { _ = try self.workspace(folder).snapshot(tree) },
      { _ = try self.workspace(folder).images() },
      { _ = try self.workspace(folder).log("tree") },
    ] {
      let error = #expect(throws: ImageError.self) { try command() }
      #expect(error?.errorCode.category == .notFound)
    }
    #expect(try FileManager.default.contentsOfDirectory(atPath: folder.path("disk/store")).isEmpty)
    #expect(
      try workspace(folder).initializeStore(group: nil, force: true).isNew, "on purpose it is made")
  }

  @Test func `commands on all images do not create a store`() throws {
    let folder = try TemporaryFolder()
    let tree = try tree(folder)
    let error = #expect(throws: ImageError.self) { try workspace(folder).definedImages() }
    #expect(error?.errorCode.category == .notFound)
    #expect(!FileManager.default.fileExists(atPath: folder.path("disk/store")))
    _ = try workspace(folder).initializeStore(group: nil)
    #expect(try workspace(folder).definedImages() == [])
    _ = try workspace(folder).snapshot(tree)
    #expect(try workspace(folder).definedImages() == ["tree"])
  }

  @Test func `a quiet command reports a new store as a warning`() throws {
    let folder = try TemporaryFolder()
    let tree = try tree(folder)
    for isQuiet in [true, false] {
      var options = WorkspaceOptions(store: folder.path("disk/store\(isQuiet)"))
      options.isQuiet = isQuiet
      let (warnings, remarks) = (Monitor(0), Monitor(0))
      let workspace = try Workspace(options) { _ in
        warnings.withLock { $0 += 1 }
      } mention: { _ in
        remarks.withLock { $0 += 1 }
      }
      _ = try workspace.addDirectory(nil, at: tree)
      #expect(warnings.withLock { $0 } == (isQuiet ? 1 : 0))
      #expect(remarks.withLock { $0 } == (isQuiet ? 0 : 1))
    }
  }

  @Test func `a first snapshot creates the store if init did not`() throws {
    let folder = try TemporaryFolder()
    let tree = try tree(folder)
    #expect(try workspace(folder).images().isEmpty)
    #expect(!FileManager.default.fileExists(atPath: folder.path("disk/store")))
    #expect(try workspace(folder).snapshot(tree).committed.number == 1)
  }

  @Test(.enabled(if: geteuid() == 0))
  func `a group can read its whole store, including later files`()
    throws
  {
    let folder = try TemporaryFolder()
    let tree = try tree(folder)
    _ = try workspace(folder).snapshot(tree)
    _ = try workspace(folder).initializeStore(group: "games")
    try shell("echo y >\"$1/etc/y\"", tree)
    let second = try workspace(folder).snapshot(tree)
    _ = try workspace(folder).tag(second.committed.name, as: "golden")
    let odd = try shell(
      "find \"$1/disk/store\" ! -group games -o ! -perm -g=r -o -perm /g=w -o -perm /o=rwx",
      folder.path("")
    ).output
    // SQLite's files have their own mode, but the directory denies access to others.
    #expect(
      odd.split(separator: "\n").allSatisfy { $0.hasSuffix("index.sqlite") }, "\(odd)")
    #expect(throws: ImageError.self) {
      try workspace(folder).initializeStore(group: "no-such-group")
    }
  }
}
