// The iPXE script of a snapshot, and the kernel parameters in it.

import Images
import TestSupport
import Testing
import XCAT

@Suite(.usesTools) struct BootScriptTests {
  private func node(_ attributes: [String]) throws -> (TestNode, CommittedSnapshot) {
    let node = try TestNode.toPack("echo k > img/kernel; echo r > img/initrd-stateless.gz")
    _ = try node.workspace.define("img", attributes)
    return (node, try node.workspace.snapshot("img").committed)
  }

  private func script(
    _ node: TestNode, _ snapshot: CommittedSnapshot,
    _ change: (inout BootScriptRequest) -> Void = { _ in }
  ) throws -> [String] {
    var request = BootScriptRequest(base: "http://mn:7070/boot/", directory: "img@1")
    change(&request)
    return try node.open().bootScript(for: snapshot, request)
      .split(separator: "\n").map(String.init)
  }

  @Test func scriptHasTheParametersOfNodeset() throws {
    let (node, snapshot) = try node(["addkcmdline=quiet R::persistent audit=0"])
    try node.site("httpport", "8080")
    let lines = try script(node, snapshot)
    #expect(lines[0] == "#!ipxe")
    #expect(
      lines[2] == "kernel ../img@1/kernel initrd=initrd "
        + "imgurl=http://mn:7070/boot/img@1/rootimg.cpio.gz XCAT=${next-server}:3001 FC=0 XCATHTTPPORT=8080 selinux=0 quiet audit=0 "
        + "BOOTIF=01-${netX/mac:hexhyp}")
    #expect(lines.suffix(2) == ["initrd ../img@1/initrd", "boot"])
    let other = try script(node, snapshot) { $0.rootImage = "rootimg.sfs" }
    #expect(other[2].contains("/img@1/rootimg.sfs "))
    #expect(errorCode { _ = try script(node, snapshot) { $0.rootImage = "kernel" } } == .usage)
    #expect(errorCode { _ = try script(node, snapshot) { $0.node = "n1" } } == .notFound)
  }

  @Test func scriptOfANodeHasItsValues() throws {
    let (node, snapshot) = try node([])
    try node.tables.apply([
      RowChange(
        schema: .nodelist, key: ["node": "n1"], columns: ["groups": "all"], keepsOtherColumns: false
      )
    ])
    try node.sql(
      "nodehm",
      """
      CREATE TABLE nodehm (node TEXT, serialport TEXT, serialspeed TEXT, serialflow TEXT, disable TEXT);
      INSERT INTO nodehm VALUES ('all', '0', '115200', 'hard', NULL);
      """)
    try node.sql(
      "noderes",
      "CREATE TABLE noderes (node TEXT, xcatmaster TEXT, disable TEXT); "
        + "INSERT INTO noderes VALUES ('n1', '10.0.0.2', NULL);")
    let line = try script(node, snapshot) { $0.node = "n1" }[2]
    #expect(line.contains(" XCAT=10.0.0.2:3001 NODE=n1 FC=0 "))
    #expect(line.contains(" console=tty0 console=ttyS0,115200n8r selinux=0 "))
  }

  @Test(arguments: ["a || b", "#TABLE:noderes:$NODE:xcatmaster#", "caf\u{e9}", "a ; b"])
  func refusesWordsThatIPXEWouldRead(_ value: String) throws {
    let (node, snapshot) = try node(["addkcmdline=\(value)"])
    #expect(errorCode { _ = try script(node, snapshot) } == .definitionInvalid)
  }

  @Test func imageWithRootOnNFSHasNoScript() throws {
    let (node, snapshot) = try node(["provmethod=statelite"])
    #expect(errorCode { _ = try script(node, snapshot) } == .pathNotFound)
  }
}
