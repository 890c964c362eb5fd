// --nodeset, and the reports about nodes that boot old copies: a real root, tables that XCATCFG
// names, and a nodeset that records its arguments.

import Foundation
import TestSupport
import Testing

/// A management node at `/`, all of it in one directory.
private struct NodesetNode {
  let directory: TemporaryDirectory

  init(name: String = "img") throws {
    directory = try TemporaryDirectory()
    try runFixture("scripts/trees/make-node-with-nodeset.sh", directory.path, name)
    let root = "rootimgdir=\(directory.path)/img"
    #expect(try imgstore("define", "new", "provmethod=netboot", root).status == 0)
    // Names that are not allowed for new images may be in the tables.
    try shell(
      "for t in osimage linuximage; do "
        + "sqlite3 \"$1/$t.sqlite\" \"UPDATE $t SET imagename = '$2'\"; done",
      directory.path("xcat"), name)
    #expect(try imgstore("snapshot", name).status == 0)
    try shell(
      "cd \"$1\"; echo k2 >img/kernel; cp img/kernel img/initrd* tftp/xcat/osimage/*/",
      directory.path)
    #expect(try imgstore("snapshot", name).status == 0)
  }

  func imgstore(_ arguments: String...) throws -> ToolResult {
    try run(
      binary, arguments: arguments,
      environment: [
        "IMGSTORE_STORE": directory.path("store"), "XCATCFG": "SQLite:\(directory.path("xcat"))",
        "XCATROOT": directory.path("root"), "PATH": "/usr/bin:/bin",
      ])
  }

  func asked() throws -> [String] {
    let path = directory.path("root/asked")
    guard FileManager.default.fileExists(atPath: path) else { return [] }
    return try String(contentsOfFile: path, encoding: .utf8).split(separator: "\n").map(String.init)
  }

  /// `bootFiles` of `status --json`.
  func bootFiles() throws -> [String: Any] {
    let status = try imgstore("status", "--json")
    #expect(status.status == 0)
    let document = try JSONSerialization.jsonObject(with: Data(status.output.utf8))
    return try #require((document as? [String: Any])?["bootFiles"] as? [String: Any])
  }
}

@Suite struct NodesetTests {
  @Test func `a revert without --nodeset names the nodes and the command and runs nothing`() throws
  {
    let site = try NodesetNode()
    #expect(try site.bootFiles()["current"] as? Bool == true)
    let revert = try site.imgstore("revert", "img@1")
    #expect(revert.status == 0, "\(revert.errors)")
    #expect(revert.errors.contains("nodeset n1-n3 osimage=img"))
    #expect(try site.asked() == [])
    // Only a warning, because the image equals its snapshot.
    let status = try site.imgstore("status", "img", "--exit-code")
    #expect(status.status == 0)
    #expect(status.errors.contains("nodeset n1-n3 osimage=img"))
    let found = try site.bootFiles()
    #expect(found["current"] as? Bool == false)
    #expect(found["nodes"] as? [String] == ["n1", "n2", "n3"])
    #expect(found["command"] as? String == "nodeset n1-n3 osimage=img")
    #expect(try site.imgstore("status", "-q", "img").errors.contains("nodeset"))
  }

  @Test func `--nodeset runs nodeset without a shell and checks the boot files again`() throws {
    let name = "a$(touch${IFS}owned);b"
    let site = try NodesetNode(name: name)
    let revert = try site.imgstore("revert", "\(name)@1", "--nodeset", "--json")
    #expect(revert.status == 0, "\(revert.errors)")
    #expect(try site.asked() == ["n1-n3", "osimage=\(name)"])
    #expect(revert.output.contains("\"done\" : true") || revert.output.contains("\"done\":true"))
    #expect(try site.bootFiles()["current"] as? Bool == true)
    #expect(try run("find", site.directory.path, "-name", "owned*").output == "")
    // Where no node boots an old copy, nothing is run.
    try shell("rm \"$1\"", site.directory.path("root/asked"))
    #expect(try site.imgstore("revert", "\(name)@1", "--nodeset").status == 0)
    #expect(try site.asked() == [])
    #expect(try site.imgstore("undo", name, "--nodeset", "--dry-run").status == 0)
    #expect(try site.asked() == [])
  }

  @Test(arguments: ["fail", "idle"])
  func `a nodeset that fails or does nothing is a warning of a completed change`(
    _ kind: String
  ) throws {
    let site = try NodesetNode()
    try shell("touch \"$1\"", site.directory.path("root/\(kind)"))
    let revert = try site.imgstore("revert", "img@1", "--nodeset")
    #expect(revert.status == 3)
    #expect(try site.asked() == ["n1-n3", "osimage=img"])
    #expect(try site.imgstore("status", "img", "--exit-code").status == 0)
  }

  @Test func `--nodeset without xCAT or below a staging root is refused before any change`()
    throws
  {
    let site = try NodesetNode()
    let kernel = site.directory.path("img/kernel")
    let rooted = try site.imgstore("revert", "img@1", "--nodeset", "--root", site.directory.path)
    #expect(rooted.status == 2)
    try shell("rm \"$1\"", site.directory.path("root/sbin/nodeset"))
    #expect(try site.imgstore("revert", "img@1", "--nodeset").status == 1)
    #expect(try String(contentsOfFile: kernel, encoding: .utf8) == "k2\n")
    #expect(try site.imgstore("revert", "img@1").status == 0)
  }

  @Test func `undo and import report and run nodeset as revert does`() throws {
    let site = try NodesetNode()
    #expect(try site.imgstore("revert", "img@1").status == 0)
    #expect(try site.imgstore("undo", "img", "--nodeset").status == 0)
    // The copies were those of @2 all the time.
    #expect(try site.asked() == [])
    try shell("echo old >\"$1\"", site.directory.path("tftp/xcat/osimage/img/kernel"))
    #expect(try site.imgstore("undo", "img", "--nodeset").status == 0)
    #expect(try site.asked() == ["n1-n3", "osimage=img"])
  }
}
