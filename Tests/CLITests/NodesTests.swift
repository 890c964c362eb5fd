// `which` and `nodes`, against a stand-in of xdsh: packed images, files and nodes lead to snapshots.

import Foundation
import TestSupport
import Testing

/// A management node with three nodes that boot the image `img`, which has two snapshots and a packed image of each.
private struct PackedNode {
  let directory: TemporaryDirectory
  let uuids: [String]

  init() throws {
    directory = try TemporaryDirectory()
    try runFixture("scripts/trees/make-node-with-nodeset.sh", directory.path, "img")
    let source = fixture("scripts/fakes/xdsh")
    try shell(
      "install -D -m 755 \"$1\" \"$2/root/bin/xdsh\"; mkdir -p \"$2/root/nodes\"", source,
      directory.path)
    var found: [String] = []
    let directory = directory
    func imgstore(_ arguments: String...) throws -> ToolResult {
      try PackedNode.imgstore(directory, arguments)
    }
    let root = "rootimgdir=\(directory.path)/img"
    #expect(try imgstore("define", "img", "provmethod=netboot", root).status == 0)
    for number in 1...2 {
      try shell("echo \"$2\" >\"$1/img/rootimg/f\"", directory.path, "\(number)")
      #expect(try imgstore("snapshot", "img").status == 0)
      let pack = try imgstore(
        "pack", "img@\(number)", "--output", directory.path("packed\(number).cpio.gz"), "--json")
      #expect(pack.status == 0, "\(pack.errors)")
      found.append(try #require(try PackedNode.object(pack)["uuid"] as? String))
    }
    uuids = found
  }

  static func object(_ result: ToolResult) throws -> [String: Any] {
    try #require(
      try JSONSerialization.jsonObject(with: Data(result.output.utf8)) as? [String: Any])
  }

  private static func imgstore(
    _ directory: TemporaryDirectory, _ arguments: [String]
  ) throws -> ToolResult {
    try run(
      binary, arguments: arguments,
      environment: [
        "IMGSTORE_STORE": directory.path("store"), "XCATCFG": "SQLite:\(directory.path("xcat"))",
        "XCATROOT": directory.path("root"), "PATH": "/usr/bin:/bin",
      ])
  }

  func imgstore(_ arguments: String...) throws -> ToolResult {
    try PackedNode.imgstore(directory, arguments)
  }

  /// The snapshots that `which` finds, with their evidence.
  func matches(_ what: String) throws -> [String: String] {
    let result = try imgstore("which", what, "--json")
    let matches = try #require(try PackedNode.object(result)["matches"] as? [[String: Any]])
    return Dictionary(
      uniqueKeysWithValues: matches.map {
        ("\($0["snapshot"] ?? "")", "\($0["evidence"] ?? "")")
      })
  }

  /// Lets a node answer with this file.
  func answer(_ node: String, _ text: String) throws {
    try text.write(toFile: directory.path("root/nodes/\(node)"), atomically: true, encoding: .utf8)
  }

  func boot(_ node: String, _ uuid: String) throws {
    try answer(node, "IMAGENAME='img'\nIMAGEUUID='\(uuid)'\nTIMESTAMP='x'\n")
  }
}

@Suite struct NodesTests {
  @Test func `a packed image leads to its snapshot, by its UUID and by its file`() throws {
    let node = try PackedNode()
    #expect(node.uuids[0] != node.uuids[1])
    for number in 1...2 {
      let uuid = node.uuids[number - 1]
      #expect(try node.matches(uuid) == ["img@\(number)": "record"])
      #expect(try node.matches(uuid.uppercased()) == ["img@\(number)": "record"])
      let file = node.directory.path("packed\(number).cpio.gz")
      #expect(try node.matches(file) == ["img@\(number)": "record"])
    }
    let form = try node.imgstore(
      "pack", "img@1", "-m", "squashfs", "--output", node.directory.path("p.sfs"))
    #expect(form.status == 0, "\(form.errors)")
    #expect(try node.matches(node.directory.path("p.sfs")) == ["img@1": "record"])
    let unknown = try node.imgstore("which", "00000000-0000-0000-0000-000000000000")
    #expect(unknown.status == 1)
  }

  @Test func `a file of an image leads to the snapshots that have it`() throws {
    let node = try PackedNode()
    #expect(
      try node.matches(node.directory.path("img/kernel")) == ["img@1": "file", "img@2": "file"])
    try shell("echo other >\"$1/img/kernel\"", node.directory.path)
    #expect(try node.imgstore("which", node.directory.path("img/kernel")).status == 1)
    #expect(try node.imgstore("snapshot", "img").status == 0)
    #expect(try node.matches(node.directory.path("img/kernel")) == ["img@3": "file"])
  }

  @Test func `a snapshot with the packed tree is found without a record`() throws {
    let node = try PackedNode()
    try shell("echo more >\"$1/img/initrd-stateless.gz\"", node.directory.path)
    #expect(try node.imgstore("snapshot", "img").status == 0)
    #expect(try node.matches(node.uuids[1]) == ["img@2": "record", "img@3": "same-tree"])
    // xCAT's packimage writes a random UUID into the live tree.
    let uuid = "0f1e2d3c-4b5a-6978-8796-a5b4c3d2e1f0"
    try shell(
      "mkdir -p \"$1/img/rootimg/opt/xcat\"; echo \"IMAGEUUID='$2'\" >\"$1/img/rootimg/opt/xcat/xcatinfo\"",
      node.directory.path, uuid)
    #expect(try node.imgstore("snapshot", "img").status == 0)
    #expect(try node.matches(uuid) == ["img@4": "tree"])
  }

  @Test func `a removed snapshot is still named`() throws {
    let node = try PackedNode()
    #expect(try node.imgstore("remove", "img@1").status == 0)
    let result = try node.imgstore("which", node.uuids[0], "--json")
    let matches = try #require(try PackedNode.object(result)["matches"] as? [[String: Any]])
    #expect(matches.count == 1 && matches[0]["exists"] as? Bool == false)
    // A damaged record is as good as none.
    try shell("echo junk >\"$1/store/builds/$2\"", node.directory.path, node.uuids[0])
    #expect(try node.imgstore("which", node.uuids[0]).status == 1)
  }

  @Test func `packing succeeds with a warning where the record cannot be written`() throws {
    let node = try PackedNode()
    try shell("rm -r \"$1/store/builds\"; touch \"$1/store/builds\"", node.directory.path)
    let file = node.directory.path("again.cpio.gz")
    let result = try node.imgstore("pack", "img@1", "--output", file)
    #expect(result.status == 0 && result.errors.contains("warning"), "\(result.errors)")
    #expect(FileManager.default.fileExists(atPath: file))
    #expect(try node.imgstore("which", file).status == 1)
  }

  @Test func `nodes are grouped by the snapshot that they run`() throws {
    let node = try PackedNode()
    try node.boot("n1", node.uuids[1])
    try node.boot("n2", node.uuids[1])
    let some = try node.imgstore("nodes", "img", "--json")
    #expect(some.status == 3, "n3 does not answer")
    let report = try PackedNode.object(some)
    let groups = try #require(report["groups"] as? [[String: Any]])
    #expect(groups.count == 1 && groups[0]["nodes"] as? [String] == ["n1", "n2"])
    #expect((report["silent"] as? [[String: String]])?.first?["name"] == "n3")
    try node.boot("n3", node.uuids[0])
    let all = try node.imgstore("nodes", "img")
    #expect(all.status == 0, "\(all.errors)")
    #expect(all.output == "img@2  2 nodes  n1,n2\nimg@1  1 node   n3\n")
    let log = try node.imgstore("log", "img").output.split(separator: "\n")
    #expect(log.count == 2 && log[0].contains("(2 nodes at ") && log[1].contains("(1 node at "))
  }

  @Test func `one node is asked what it runs`() throws {
    let node = try PackedNode()
    try node.boot("x", node.uuids[0])
    let answer = try node.imgstore("which", "x")
    #expect(answer.status == 0 && answer.output == "x runs img@1, UUID \(node.uuids[0])\n")
    #expect(try node.imgstore("which", "n1").status == 1)
  }

  @Test(arguments: [
    ("no UUID", "IMAGENAME='img'\n"), ("another UUID text", "IMAGEUUID='12345'\n"),
    ("a UUID with a command", "IMAGEUUID='$(reboot)'\n"), ("nothing but noise", "\u{1}\u{2}\n"),
    ("a long file", String(repeating: "A", count: 1 << 20) + "\n"),
  ])
  func `a node with an answer that is none is not counted`(_ what: String, _ text: String) throws {
    let node = try PackedNode()
    for name in ["n1", "n2"] { try node.boot(name, node.uuids[0]) }
    try node.answer("n3", text)
    let result = try node.imgstore("nodes", "img", "--json")
    #expect(result.status == 3, "\(what)")
    let report = try PackedNode.object(result)
    #expect((report["silent"] as? [[String: String]])?.map { $0["name"] } == ["n3"], "\(what)")
  }
}
