// Names and references that are checked before a command begins.

import Foundation
import Images
import Platform
import Store
import TestSupport
import Testing

@Suite(.usesTools) struct NameCheckTests {
  private let directory: TemporaryDirectory
  private let workspace: Workspace

  init() throws {
    let node = try TestNode.directory("tree", tree: ["etc/hosts": "one\n"])
    (directory, workspace) = (node.directory, node.workspace)
    _ = try workspace.snapshot(node.tree)
  }

  @Test func `several names are checked before the first snapshot`() throws {
    #expect(errorCode { try workspace.requireImages(["tree", "before update"]) } == .imageNotFound)
    #expect(
      errorCode {
        try workspace.requireImages(["tree", directory.path("tree"), directory.path("")])
      }
        == nil)
    #expect(
      errorCode { try workspace.requireImages([directory.path("nothing")]) } == .imageNotFound)
    #expect(try workspace.log("tree").count == 1)
  }

  @Test func `an id of decimal digits is found after the numbers`() throws {
    // A message is searched for whose snapshot has such an id.
    var found: CommittedSnapshot?
    for i in 0..<400 where found == nil {
      let committed = try workspace.snapshot("tree", message: "\(i)").committed
      if committed.id.hex.prefix(6).allSatisfy(\.isNumber) { found = committed }
    }
    let snapshot = try #require(found, "no id began with six decimal digits")
    for length in [6, 7, 8] {
      let prefix = String(snapshot.id.hex.prefix(length))
      guard prefix.allSatisfy(\.isNumber) || length == 6 else { continue }
      #expect(try workspace.find(Reference("tree@\(prefix)")).id == snapshot.id, "\(prefix)")
    }
    #expect(try workspace.find(Reference("tree@\(snapshot.number)")).id == snapshot.id)
    #expect(errorCode { _ = try workspace.find(Reference("tree@999999")) } == .snapshotNotFound)
  }

  @Test(arguments: ["2026-02-30", "2026-11-31", "2025-02-29", "2026-04-31 12:00"])
  func `a day that no calendar has is refused`(_ day: String) {
    #expect(errorCode { _ = try workspace.find(Reference("tree@\(day)")) } == .invalidReference)
  }

  @Test func `remove --force takes the number of a far ref, however many digits it has`() throws {
    try shell("cd \"$1\"; cp 0000000001 0001000007", directory.path("store/refs/tree"))
    _ = try? workspace.remove(["tree@1000007"], force: true)
    #expect(try !run("ls", directory.path("store/refs/tree")).output.contains("0001000007\n"))
    #expect(try workspace.log("tree").map(\.committed.number) == [1])
  }
}
