// The meaning of an image name without a snapshot for diff and revert: the latest snapshot that a
// person chose.

import Foundation
import Images
import TestSupport
import Testing

@Suite struct BaselineTests {
  private struct Site {
    let folder: TemporaryFolder
    let workspace: Workspace

    /// Creates a directory image with two files, and a snapshot of it.
    init() throws {
      folder = try TemporaryFolder()
      try shell(
        "mkdir -p \"$1/img/etc\"; echo good >\"$1/img/etc/hosts\"; echo good >\"$1/img/etc/motd\"",
        folder.path)
      workspace = try Workspace(WorkspaceOptions(store: folder.path("store"))) { _ in }
      _ = try workspace.snapshot(folder.path("img"))
    }

    func write(_ text: String, _ path: String) throws {
      try (text + "\n").write(
        toFile: folder.path("img/" + path), atomically: false, encoding: .utf8)
    }

    func read(_ path: String) throws -> String {
      try String(contentsOfFile: folder.path("img/" + path), encoding: .utf8)
    }

    /// Returns the name of the snapshot that `img` alone means.
    func meant() throws -> String { try workspace.comparison("img", nil).diff.old }
  }

  @Test func `a snapshot taken by pack does not become the baseline`() throws {
    let site = try Site()
    try site.write("bad", "etc/hosts")
    _ = try site.workspace.pack(PackRequest("img"))
    #expect(try site.workspace.log("img").count == 2)
    #expect(try site.meant() == "img@1")
    let outcome = try site.workspace.revert("img")
    #expect(outcome.target.number == 1)
    #expect(try site.read("etc/hosts") == "good\n")
  }

  @Test func `reverts of single files keep the baseline`() throws {
    let site = try Site()
    try site.write("bad", "etc/hosts")
    try site.write("bad", "etc/motd")
    _ = try site.workspace.revert("img:etc/hosts")
    #expect(try site.read("etc/hosts") == "good\n" && site.read("etc/motd") == "bad\n")
    #expect(try site.meant() == "img@1")
    _ = try site.workspace.revert("img:etc/motd")
    #expect(try site.read("etc/motd") == "good\n")
  }

  @Test func `an undo restores the previous baseline`() throws {
    let site = try Site()
    try site.write("bad", "etc/hosts")
    _ = try site.workspace.revert("img:etc/hosts")
    _ = try site.workspace.undo("img")
    #expect(try site.read("etc/hosts") == "bad\n")
    #expect(try site.meant() == "img@1")
  }

  @Test func `a state chosen by a revert becomes the baseline`() throws {
    let site = try Site()
    try site.write("bad", "etc/hosts")
    _ = try site.workspace.snapshot("img")
    _ = try site.workspace.revert("img@1")
    #expect(try site.meant() == "img@3")
    try site.write("worse", "etc/hosts")
    _ = try site.workspace.revert("img")
    #expect(try site.read("etc/hosts") == "good\n")
    // After the undo, the bad snapshot is the last one that a person chose.
    _ = try site.workspace.undo("img")
    #expect(try site.read("etc/hosts") == "worse\n")
  }

  @Test func `after an undo of a whole revert the baseline is the snapshot before the revert`()
    throws
  {
    let site = try Site()
    try site.write("bad", "etc/hosts")
    _ = try site.workspace.snapshot("img")
    _ = try site.workspace.revert("img@1")
    _ = try site.workspace.undo("img")
    #expect(try site.meant() == "img@2")
    _ = try site.workspace.undo("img")
    #expect(try site.meant() == "img@3")
  }

  @Test func `without manual snapshots the latest automatic one is the baseline`() throws {
    let site = try Site()
    try site.write("other", "etc/hosts")
    var export = ExportRequest("img")
    export.destination = .file(site.folder.path("b.tgz"))
    _ = try site.workspace.export(export)
    _ = try site.workspace.remove(["img@1"], force: true)
    #expect(try site.meant() == "img@2")
  }

  @Test func `a number, a tag and an id name their snapshot regardless of the baseline`() throws {
    let site = try Site()
    try site.write("bad", "etc/hosts")
    _ = try site.workspace.pack(PackRequest("img"))
    _ = try site.workspace.tag("img@2", as: "packed")
    for reference in [
      "img@2", "img@packed", try site.workspace.log("img")[0].committed.id.shortHex,
    ] {
      #expect(try site.workspace.comparison(reference, nil).diff.old == "img@2")
    }
  }
}
