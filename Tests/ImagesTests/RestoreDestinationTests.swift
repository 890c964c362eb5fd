// Where a restore may write.

import Foundation
import Images
import Platform
import TestSupport
import Testing

@Suite(.usesTools) struct RestoreDestinationTests {
  private let directory: TemporaryDirectory
  private let workspace: Workspace

  init() throws {
    let node = try TestNode.directory("tree", tree: ["etc/hosts": "one\n"])
    (directory, workspace) = (node.directory, node.workspace)
    _ = try workspace.snapshot(node.tree)
  }

  @Test func `a restore does not write into a live image unless it is forced`() throws {
    let destination = directory.path("tree/etc/copy")
    #expect(errorCode { _ = try workspace.restore("tree:etc", to: destination) } != nil)
    #expect(!FileManager.default.fileExists(atPath: destination))
    _ = try workspace.restore("tree:etc", to: directory.path("out"))
    _ = try workspace.restore("tree:etc", to: destination, overwriting: true)
    #expect(FileManager.default.fileExists(atPath: destination + "/hosts"))
  }

  @Test(arguments: ["tree/new/deep", "link/copy", "link/etc/copy"])
  func `a destination in a live image is found through links and missing directories`(
    _ destination: String
  ) throws {
    try shell("ln -s tree \"$1/link\"", directory.path)
    let before = try run("find", directory.path("tree")).output
    #expect(
      errorCode { _ = try workspace.restore("tree:etc/hosts", to: directory.path(destination)) }
        != nil)
    #expect(try run("find", directory.path("tree")).output == before)
  }

  @Test func `a directory whose name begins like an image's is outside of it`() throws {
    _ = try workspace.restore("tree:etc", to: directory.path("tree2"))
    #expect(FileManager.default.fileExists(atPath: directory.path("tree2/hosts")))
  }

  @Test func `a destination in the store is refused before a directory is created`() throws {
    let before = try run("find", directory.path("store")).output
    for force in [false, true] {
      let destination = directory.path("store/new/deep")
      #expect(
        errorCode { _ = try workspace.restore("tree:etc", to: destination, overwriting: force) }
          != nil)
    }
    #expect(try run("find", directory.path("store")).output == before)
  }
}
