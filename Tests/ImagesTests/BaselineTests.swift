// The meaning of an image name without a snapshot for diff and revert: the latest snapshot that a
// person chose.

import Foundation
import Images
import TestSupport
import Testing

@Suite struct BaselineTests {
  /// Creates a directory image with two files, and a snapshot of it.
  private func directory() throws -> TestNode {
    let node = try TestNode.directory("img", tree: ["etc/hosts": "good\n", "etc/motd": "good\n"])
    _ = try node.workspace.snapshot(node.tree)
    return node
  }

  /// Returns the name of the snapshot that `img` alone means.
  private func baseline(_ node: TestNode) throws -> String {
    try node.workspace.comparison("img", nil).diff.old
  }

  @Test func `a snapshot taken by pack does not become the baseline`() throws {
    let site = try directory()
    try site.write("bad\n", to: "img/etc/hosts")
    _ = try site.workspace.pack(PackRequest("img"))
    #expect(try site.workspace.log("img").count == 2)
    #expect(try baseline(site) == "img@1")
    let outcome = try site.workspace.revert("img")
    #expect(outcome.target.number == 1)
    #expect(site.content("img/etc/hosts") == "good\n")
  }

  @Test func `reverts of single files keep the baseline`() throws {
    let site = try directory()
    try site.write("bad\n", to: "img/etc/hosts")
    try site.write("bad\n", to: "img/etc/motd")
    _ = try site.workspace.revert("img:etc/hosts")
    #expect(site.content("img/etc/hosts") == "good\n" && site.content("img/etc/motd") == "bad\n")
    #expect(try baseline(site) == "img@1")
    _ = try site.workspace.revert("img:etc/motd")
    #expect(site.content("img/etc/motd") == "good\n")
  }

  @Test func `an undo restores the previous baseline`() throws {
    let site = try directory()
    try site.write("bad\n", to: "img/etc/hosts")
    _ = try site.workspace.revert("img:etc/hosts")
    _ = try site.workspace.undo("img")
    #expect(site.content("img/etc/hosts") == "bad\n")
    #expect(try baseline(site) == "img@1")
  }

  @Test func `a state chosen by a revert becomes the baseline`() throws {
    let site = try directory()
    try site.write("bad\n", to: "img/etc/hosts")
    _ = try site.workspace.snapshot("img")
    _ = try site.workspace.revert("img@1")
    #expect(try baseline(site) == "img@3")
    try site.write("worse\n", to: "img/etc/hosts")
    _ = try site.workspace.revert("img")
    #expect(site.content("img/etc/hosts") == "good\n")
    // After the undo, the bad snapshot is the last one that a person chose.
    _ = try site.workspace.undo("img")
    #expect(site.content("img/etc/hosts") == "worse\n")
  }

  @Test func `after an undo of a whole revert the baseline is the snapshot before the revert`()
    throws
  {
    let site = try directory()
    try site.write("bad\n", to: "img/etc/hosts")
    _ = try site.workspace.snapshot("img")
    _ = try site.workspace.revert("img@1")
    _ = try site.workspace.undo("img")
    #expect(try baseline(site) == "img@2")
    _ = try site.workspace.undo("img")
    #expect(try baseline(site) == "img@3")
  }

  @Test func `without manual snapshots the latest automatic one is the baseline`() throws {
    let site = try directory()
    try site.write("other\n", to: "img/etc/hosts")
    var export = ExportRequest("img")
    export.destination = .file(site.directory.path("b.tgz"))
    _ = try site.workspace.export(export)
    _ = try site.workspace.remove(["img@1"], force: true)
    #expect(try baseline(site) == "img@2")
  }

  @Test func `a number, a tag and an id name their snapshot regardless of the baseline`() throws {
    let site = try directory()
    try site.write("bad\n", to: "img/etc/hosts")
    _ = try site.workspace.pack(PackRequest("img"))
    _ = try site.workspace.tag("img@2", as: "packed")
    for reference in [
      "img@2", "img@packed", try site.workspace.log("img")[0].committed.id.shortHex,
    ] {
      #expect(try site.workspace.comparison(reference, nil).diff.old == "img@2")
    }
  }
}
