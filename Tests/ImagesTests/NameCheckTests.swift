// Names and references that are checked before a command begins.

import Foundation
import Images
import Platform
import Store
import TestSupport
import Testing

@Suite(.usesTools) struct NameCheckTests {
  private let folder: TemporaryFolder
  private let workspace: Workspace

  init() throws {
    folder = try TemporaryFolder()
    workspace = try Workspace(WorkspaceOptions(store: folder.path("store"))) { _ in }
    try shell("mkdir -p \"$1/etc\"; echo one >\"$1/etc/hosts\"", folder.path("tree"))
    _ = try workspace.snapshot(folder.path("tree"))
  }

  private func code(_ body: () throws -> Void) -> ErrorCode? {
    do { try body() } catch { return (error as? any ExplainedError)?.errorCode }
    return nil
  }

  @Test func `several names are checked before the first snapshot`() throws {
    #expect(code { try workspace.requireImages(["tree", "before update"]) } == .imageNotFound)
    #expect(
      code { try workspace.requireImages(["tree", folder.path("tree"), folder.path("")]) } == nil)
    #expect(code { try workspace.requireImages([folder.path("nothing")]) } == .imageNotFound)
    #expect(try workspace.log("tree").count == 1)
  }

  @Test func `an id of decimal digits is found after the numbers`() throws {
    // A message is searched for whose snapshot has such an id.
    var found: CommittedSnapshot?
    for i in 0..<400 where found == nil {
      let committed = try workspace.snapshot("tree", message: "\(i)").committed
      if committed.id.hex.prefix(6).allSatisfy(\.isNumber) { found = committed }
    }
    guard let found else { return }
    for length in [6, 7, 8] {
      let prefix = String(found.id.hex.prefix(length))
      guard prefix.allSatisfy(\.isNumber) || length == 6 else { continue }
      #expect(try workspace.find(Reference("tree@\(prefix)")).id == found.id, "\(prefix)")
    }
    #expect(try workspace.find(Reference("tree@\(found.number)")).id == found.id)
    #expect(code { _ = try workspace.find(Reference("tree@999999")) } == .snapshotNotFound)
  }

  @Test(arguments: ["2026-02-30", "2026-11-31", "2025-02-29", "2026-04-31 12:00"])
  func `a day that no calendar has is refused`(_ day: String) {
    #expect(code { _ = try workspace.find(Reference("tree@\(day)")) } == .invalidReference)
  }

  @Test func `a restore does not write into a live image unless it is forced`() throws {
    let destination = folder.path("tree/etc/copy")
    #expect(code { _ = try workspace.restore("tree:etc", to: destination) } != nil)
    #expect(!FileManager.default.fileExists(atPath: destination))
    _ = try workspace.restore("tree:etc", to: folder.path("out"))
    _ = try workspace.restore("tree:etc", to: destination, overwriting: true)
    #expect(FileManager.default.fileExists(atPath: destination + "/hosts"))
  }

  // MARK: forget --entirely

  @Test func `an image that is forgotten entirely is named with its patterns`() throws {
    _ = try workspace.addDirectory("tree", at: folder.path("tree"), excludes: ["tmp/*"])
    #expect(try workspace.forgetEntirely(["tree"], dryRun: true).undefined.map(\.image) == ["tree"])
    #expect(try workspace.log("tree").count == 1)
    let outcome = try workspace.forgetEntirely(["tree"])
    #expect(outcome.forgotten.count == 1)
    #expect(outcome.undefined.map(\.excludes) == [["tmp/*"]])
    #expect(try workspace.images().isEmpty)
  }

  @Test func `no snapshot is removed if the tables cannot be written`() throws {
    let trigger = folder.path("trigger.sql")
    try "CREATE TRIGGER refuse BEFORE DELETE ON directory BEGIN SELECT RAISE(ABORT, 'no'); END;"
      .write(
        toFile: trigger, atomically: false, encoding: .utf8)
    try shell(
      "python3 -c 'import sqlite3, sys; sqlite3.connect(sys.argv[1]).executescript(open(sys.argv[2]).read())' \"$1\" \"$2\"",
      folder.path("store/xcat/directory.sqlite"), trigger)
    #expect(code { _ = try workspace.forgetEntirely(["tree"]) } == .tablesInvalid)
    #expect(try workspace.log("tree").count == 1)
    #expect(try workspace.images().first?.isDefined == true)
  }
}
