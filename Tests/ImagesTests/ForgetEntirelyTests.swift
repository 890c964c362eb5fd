// The removal of a directory image with all of its snapshots.

import Foundation
import Images
import Platform
import TestSupport
import Testing

@Suite(.usesTools) struct ForgetEntirelyTests {
  private let directory: TemporaryDirectory
  private let workspace: Workspace

  init() throws {
    let node = try TestNode.directory("tree", tree: ["etc/hosts": "one\n"])
    (directory, workspace) = (node.directory, node.workspace)
    _ = try workspace.snapshot(node.tree)
  }

  @Test func `an image that is forgotten entirely is named with its patterns`() throws {
    _ = try workspace.addDirectory("tree", at: directory.path("tree"), excludes: ["tmp/*"])
    #expect(try workspace.forgetEntirely(["tree"], dryRun: true).undefined.map(\.image) == ["tree"])
    #expect(try workspace.log("tree").count == 1)
    let outcome = try workspace.forgetEntirely(["tree"])
    #expect(outcome.forgotten.count == 1)
    #expect(outcome.undefined.map(\.excludes) == [["tmp/*"]])
    #expect(try workspace.images().isEmpty)
  }

  @Test func `no snapshot is removed if the tables cannot be written`() throws {
    let trigger = directory.path("trigger.sql")
    try "CREATE TRIGGER refuse BEFORE DELETE ON directory BEGIN SELECT RAISE(ABORT, 'no'); END;"
      .write(
        toFile: trigger, atomically: false, encoding: .utf8)
    try shell(
      "python3 -c 'import sqlite3, sys; sqlite3.connect(sys.argv[1]).executescript(open(sys.argv[2]).read())' \"$1\" \"$2\"",
      directory.path("store/xcat/directory.sqlite"), trigger)
    #expect(errorCode { _ = try workspace.forgetEntirely(["tree"]) } == .tablesInvalid)
    #expect(try workspace.log("tree").count == 1)
    #expect(try workspace.images().first?.isDefined == true)
  }
}
