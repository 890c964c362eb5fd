// The copies of kernel and ramdisk that nodes boot, against the live image's.

import Foundation
import Images
import Platform
import TestSupport
import Testing
import XCAT

@Suite(.usesTools) struct BootFileTests {
  private let copies = "/tftpboot/xcat/osimage/img"

  /// An image whose kernel and ramdisk were copied, with two nodes that boot it.
  private func site(
    tell: @escaping @Sendable (String) -> Void = { _ in }
  ) throws -> ManagementNode {
    let site = try ManagementNode(tell: tell)
    _ = try site.workspace.define("img", ["provmethod=netboot", "rootimgdir=/install/img"])
    try shell(
      """
      cd "$1"; mkdir -p install/img/rootimg tftpboot/xcat/osimage/img
      echo one >install/img/rootimg/f
      echo kernel-1 >install/img/kernel; echo ramdisk-1 >install/img/initrd-stateless.gz
      cp install/img/kernel install/img/initrd-stateless.gz tftpboot/xcat/osimage/img
      """, site.folder.path("root"))
    try site.tables.apply([
      RowChange(
        schema: .nodetype, key: ["node": "compute"], columns: ["provmethod": "img"],
        keepsOtherColumns: false)
    ])
    return site
  }

  private func states(_ report: BootFilesReport?) -> [String: BootCopy.State] {
    Dictionary(
      uniqueKeysWithValues: (report?.copies ?? []).map { ($0.path.text, $0.state) })
  }

  @Test func `a revert of the kernel leaves the copy old until nodeset has run`() throws {
    let site = try site()
    _ = try site.workspace.snapshot("img")
    var report = try #require(try site.workspace.bootFiles(of: "img"))
    #expect(report.stale.isEmpty && report.nodes.isEmpty && report.command == nil)
    try shell(
      "cd \"$1\"; echo kernel-2 >kernel; cp kernel \"$2\"", site.path("/install/img"),
      site.path(copies))
    #expect(try site.workspace.revert("img@1").isExact)
    report = try #require(try site.workspace.bootFiles(of: "img"))
    #expect(
      states(report) == [
        "\(copies)/kernel": .differs, "\(copies)/initrd-stateless.gz": .same,
      ])
    #expect(report.nodes == ["node1", "node2"])
    #expect(["compute", "all"].contains(report.range))
    #expect(report.command?.arguments.last == "osimage=img")
    // A warning, no difference.
    #expect(try site.workspace.status("img").isClean)
    try shell("cp \"$1/kernel\" \"$2\"", site.path("/install/img"), site.path(copies))
    #expect(try site.workspace.bootFiles(of: "img")?.stale.isEmpty == true)
  }

  @Test func `contents are compared to the last byte`() throws {
    let site = try site()
    try shell(
      """
      head -c 3000000 /dev/zero >"$1/install/img/kernel"
      cp "$1/install/img/kernel" "$1/tftpboot/xcat/osimage/img/kernel"
      """, site.folder.path("root"))
    #expect(try site.workspace.bootFiles(of: "img")?.stale.isEmpty == true)
    for offset in [0, 1_048_576, 2_999_999] {
      try shell(
        """
        cp "$1/install/img/kernel" "$1/tftpboot/xcat/osimage/img/kernel"
        printf x | dd of="$1/tftpboot/xcat/osimage/img/kernel" bs=1 seek=\(offset) conv=notrunc status=none
        """, site.folder.path("root"))
      #expect(try site.workspace.bootFiles(of: "img")?.stale.map(\.role) == ["kernel"])
    }
  }

  @Test func `missing and odd copies are told, other things are left alone`() throws {
    let site = try site()
    #expect(try site.workspace.bootFiles(of: "nobody") == nil)
    try shell("rm \"$1/kernel\"", site.path(copies))
    #expect(states(try site.workspace.bootFiles(of: "img"))["\(copies)/kernel"] == .missing)
    try shell("mkfifo \"$1/kernel\"", site.path(copies))
    #expect(states(try site.workspace.bootFiles(of: "img"))["\(copies)/kernel"] == .unreadable)
    // A link is followed below the root, and leads nowhere else.
    try shell("rm \"$1/kernel\"; ln -s /install/img/kernel \"$1/kernel\"", site.path(copies))
    #expect(states(try site.workspace.bootFiles(of: "img"))["\(copies)/kernel"] == .same)
    // Where nothing was ever copied, there is nothing to say.
    try shell("rm -r \"$1\"", site.path(copies))
    #expect(try site.workspace.bootFiles(of: "img") == nil)
    // Nor where the image has none.
    try shell(
      "rm \"$1\"/kernel \"$1\"/initrd*; mkdir -p \"$2\"", site.path("/install/img"),
      site.path(copies))
    #expect(try site.workspace.bootFiles(of: "img") == nil)
  }

  @Test func `nodes have a TFTP folder of their own, or another host has it`() throws {
    let site = try site()
    try site.sql(
      "noderes", "CREATE TABLE noderes (node TEXT, tftpdir TEXT, servicenode TEXT, disable TEXT)")
    try site.sql("noderes", "INSERT INTO noderes VALUES ('node2', '/nas', NULL, NULL)")
    try shell(
      """
      mkdir -p "$1/nas/xcat/osimage/img"; cp "$1"/install/img/initrd* "$1/nas/xcat/osimage/img"
      echo old >"$1/nas/xcat/osimage/img/kernel"
      """, site.folder.path("root"))
    var report = try #require(try site.workspace.bootFiles(of: "img"))
    #expect(report.stale.map(\.path.text) == ["/nas/xcat/osimage/img/kernel"])
    #expect(report.nodes == ["node2"] && report.command?.range == "node2")
    try site.sql("site", "INSERT INTO site (key, value) VALUES ('sharedtftp', '0')")
    try site.sql("noderes", "UPDATE noderes SET tftpdir = NULL, servicenode = 'sn1'")
    report = try #require(try site.workspace.bootFiles(of: "img"))
    #expect(report.stale.isEmpty && report.nodes.isEmpty)
    #expect(report.elsewhere == ["node2"] && report.command?.range == "node2")
  }

  @Test func `site tftpdir, and a name that no command line takes`() throws {
    let site = try site()
    try site.sql("site", "INSERT INTO site (key, value) VALUES ('tftpdir', '/srv/tftp')")
    #expect(try site.workspace.bootFiles(of: "img") == nil)
    // Names that are not allowed for new images may be in the tables.
    let name = "a b"
    for table in ["osimage", "linuximage"] {
      try site.sql(table, "UPDATE \(table) SET imagename = 'a b'")
    }
    try site.sql("nodetype", "UPDATE nodetype SET provmethod = 'a b'")
    try shell(
      "mkdir -p \"$1/$2\"; echo old >\"$1/$2/kernel\"", site.path("/srv/tftp/xcat/osimage"), name)
    let report = try #require(try site.workspace.bootFiles(of: name))
    #expect(report.nodes == ["node1", "node2"])
    #expect(report.command == nil && report.problem != nil)
  }

  @Test func `nothing is run below a staging root`() throws {
    let site = try site()
    try shell("echo old >\"$1/kernel\"", site.path(copies))
    let report = try #require(try site.workspace.bootFiles(of: "img"))
    let error = #expect(throws: ImageError.self) { try site.workspace.runNodeset(report) }
    #expect(error?.errorCode == .usage)
  }
}
