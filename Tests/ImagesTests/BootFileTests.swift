// Tests the comparison of the copies of kernel and ramdisk that nodes boot with the live image's files.

import Foundation
import Images
import Platform
import TestSupport
import Testing
import XCAT

@Suite(.usesTools) struct BootFileTests {
  private let copies = "/tftpboot/xcat/osimage/img"

  /// Creates an image with copies of its kernel and ramdisk, and two nodes that boot it.
  private func site(
    warn: @escaping @Sendable (String) -> Void = { _ in }
  ) throws -> TestNode {
    let site = try TestNode.fresh(warn: warn)
    _ = try site.workspace.define("img", ["provmethod=netboot", "rootimgdir=/install/img"])
    try shell(
      """
      cd "$1"; mkdir -p install/img/rootimg tftpboot/xcat/osimage/img
      echo one >install/img/rootimg/f
      echo kernel-1 >install/img/kernel; echo ramdisk-1 >install/img/initrd-stateless.gz
      cp install/img/kernel install/img/initrd-stateless.gz tftpboot/xcat/osimage/img
      """, site.directory.path("root"))
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

  @Test func `a revert of the kernel leaves the copy outdated until nodeset has run`() throws {
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
    // Old copies are a warning, not a difference.
    #expect(try site.workspace.status("img").isClean)
    try shell("cp \"$1/kernel\" \"$2\"", site.path("/install/img"), site.path(copies))
    #expect(try site.workspace.bootFiles(of: "img")?.stale.isEmpty == true)
  }

  @Test func `contents are compared up to the last byte`() throws {
    let site = try site()
    try shell(
      """
      head -c 3000000 /dev/zero >"$1/install/img/kernel"
      cp "$1/install/img/kernel" "$1/tftpboot/xcat/osimage/img/kernel"
      """, site.directory.path("root"))
    #expect(try site.workspace.bootFiles(of: "img")?.stale.isEmpty == true)
    for offset in [0, 1_048_576, 2_999_999] {
      try shell(
        """
        cp "$1/install/img/kernel" "$1/tftpboot/xcat/osimage/img/kernel"
        printf x | dd of="$1/tftpboot/xcat/osimage/img/kernel" bs=1 seek=\(offset) conv=notrunc status=none
        """, site.directory.path("root"))
      #expect(try site.workspace.bootFiles(of: "img")?.stale.map(\.role) == [.kernel])
    }
  }

  @Test func `missing and unreadable copies are reported, and other files are ignored`() throws {
    let site = try site()
    #expect(try site.workspace.bootFiles(of: "nobody") == nil)
    try shell("rm \"$1/kernel\"", site.path(copies))
    #expect(states(try site.workspace.bootFiles(of: "img"))["\(copies)/kernel"] == .missing)
    try shell("mkfifo \"$1/kernel\"", site.path(copies))
    #expect(states(try site.workspace.bootFiles(of: "img"))["\(copies)/kernel"] == .unreadable)
    // A link is followed below the root only.
    try shell("rm \"$1/kernel\"; ln -s /install/img/kernel \"$1/kernel\"", site.path(copies))
    #expect(states(try site.workspace.bootFiles(of: "img"))["\(copies)/kernel"] == .same)
    // Without any copies there is nothing to report.
    try shell("rm -r \"$1\"", site.path(copies))
    #expect(try site.workspace.bootFiles(of: "img") == nil)
    // The same holds for an image without boot files.
    try shell(
      "rm \"$1\"/kernel \"$1\"/initrd*; mkdir -p \"$2\"", site.path("/install/img"),
      site.path(copies))
    #expect(try site.workspace.bootFiles(of: "img") == nil)
  }

  @Test func `a node can have its own TFTP folder, or copies on another host`() throws {
    let site = try site()
    try site.sql(
      "noderes", "CREATE TABLE noderes (node TEXT, tftpdir TEXT, servicenode TEXT, disable TEXT)")
    try site.sql("noderes", "INSERT INTO noderes VALUES ('node2', '/nas', NULL, NULL)")
    try shell(
      """
      mkdir -p "$1/nas/xcat/osimage/img"; cp "$1"/install/img/initrd* "$1/nas/xcat/osimage/img"
      echo old >"$1/nas/xcat/osimage/img/kernel"
      """, site.directory.path("root"))
    var report = try #require(try site.workspace.bootFiles(of: "img"))
    #expect(report.stale.map(\.path.text) == ["/nas/xcat/osimage/img/kernel"])
    #expect(report.nodes == ["node2"] && report.command?.range == "node2")
    try site.sql("site", "INSERT INTO site (key, value) VALUES ('sharedtftp', '0')")
    try site.sql("noderes", "UPDATE noderes SET tftpdir = NULL, servicenode = 'sn1'")
    report = try #require(try site.workspace.bootFiles(of: "img"))
    #expect(report.stale.isEmpty && report.nodes.isEmpty)
    #expect(report.elsewhere == ["node2"] && report.command?.range == "node2")
  }

  @Test func `site tftpdir is used, and an invalid image name gives no command`() throws {
    let site = try site()
    try site.sql("site", "INSERT INTO site (key, value) VALUES ('tftpdir', '/srv/tftp')")
    #expect(try site.workspace.bootFiles(of: "img") == nil)
    // The tables may contain names that are not allowed for new images.
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
    #expect(error?.errorCode.category == .usage)
  }
}
