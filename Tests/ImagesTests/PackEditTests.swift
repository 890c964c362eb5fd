// The edits that packing makes in a tree, and the files that it leaves unchanged.

import Foundation
import Images
import Platform
import Render
import TestSupport
import Testing

@Suite(.usesTools) struct PackEditTests {
  // MARK: The tree's own files

  @Test func `a clear-text password is hashed as by crypt, and always to the same value`() throws {
    let node = try TestNode.toPack()
    try node.passwd("se:cret".replacing(":", with: ""))
    try node.pack()
    let line = try #require(try node.lines(node.unpacked(), "etc/shadow").first)
    let hash = try #require(line.split(separator: ":").dropFirst().first.map(String.init))
    #expect(line == "root:\(hash):13880:0:99999:7:::" && hash.hasPrefix("$5$"))
    let salt = try #require(hash.split(separator: "$").dropFirst().first.map(String.init))
    let oracle = try run("openssl", "passwd", "-5", "-salt", salt, "secret").output
    #expect(oracle == hash + "\n")
    let first = try node.bytes("img/rootimg.cpio.gz")
    try node.pack()
    #expect(try node.bytes("img/rootimg.cpio.gz") == first)
    // Owner and mode of the file stay.
    let mode = try FileManager.default.attributesOfItem(atPath: node.unpacked() + "/etc/shadow")
    #expect(mode[.posixPermissions] as? Int == 0o640)

    try node.passwd("secret", "sha512")
    try node.pack()
    #expect(try node.lines(node.unpacked(), "etc/shadow")[0].hasPrefix("root:$6$"))
    try node.passwd("$6$abc$def")
    try node.pack()
    #expect(
      try node.lines(node.unpacked(), "etc/shadow")[0] == "root:$6$abc$def:13880:0:99999:7:::")
    try node.passwd("secret", "rot13")
    #expect(try node.pack().remarks.contains { $0.contains("rot13") })
    #expect(try node.lines(node.unpacked(), "etc/shadow")[0] == "root:x:1:::::::")
    try node.site("secureroot", "1")
    try node.pack()
    #expect(try node.lines(node.unpacked(), "etc/shadow")[0] == "root:*:13880:0:99999:7:::")
    #expect(try node.lines(node.tree, "etc/shadow")[0] == "root:x:1:::::::")
  }

  @Test func `the time zone file and its link target are packed despite the exlist`() throws {
    let node = try TestNode.toPack(
      """
      cd img/rootimg/usr/share/zoneinfo; ln -s Europe/Berlin Mitte; ln -s ../Mitte Europe/Zentrum
      cd "$1"; printf './usr/share/zoneinfo*\\n' > list
      """)
    _ = try node.workspace.define("img", ["exlist=/list"])
    try node.site("timezone", "Europe/Zentrum")
    try node.pack()
    let out = try node.unpacked()
    let localtime = try FileManager.default.destinationOfSymbolicLink(
      atPath: out + "/etc/localtime")
    #expect(localtime == "../usr/share/zoneinfo/Europe/Zentrum")
    let zones = try run(
      "bash", "-c", "cd \"$1\"; find . -type f -o -type l | sort", "", out + "/usr/share/zoneinfo")
    #expect(zones.output == "./Europe/Berlin\n./Europe/Zentrum\n")
  }

  @Test func `an unknown time zone is reported, and none leads out of the tree`() throws {
    for zone in ["Mars/Olympus", "../../../../etc/shadow"] {
      let node = try TestNode.toPack()
      try node.site("timezone", zone)
      let outcome = try node.pack()
      #expect(outcome.remarks.contains { $0.contains("Unable to set timezone to '\(zone)'") })
      #expect(try run("test", "-e", node.unpacked() + "/etc/localtime").status == 1)
    }
  }

  @Test func `the dracut script of xCAT for the image's distribution is packed`() throws {
    let node = try TestNode.toPack(
      quotedFixture("scripts/trees/add-dracut-scripts.sh"))
    try node.pack()
    let out = try node.unpacked()
    #expect(try node.lines(out, "usr/lib/dracut/modules.d/97xcat/install") == ["nine"])
    #expect(try node.lines(out, "etc/rc.sysinit") == ["original"])
    #expect(try run("test", "-e", out + "/etc/rc.sysinit.backup").status == 1)
    let mode = try FileManager.default.attributesOfItem(
      atPath: out + "/usr/lib/dracut/modules.d/97xcat/install")
    #expect(mode[.posixPermissions] as? Int == 0o750)
    try shell("rm -r \"$1/opt/xcat/share/xcat/netboot/rhels9\"", node.path(""))
    try node.pack()
    #expect(try node.lines(node.unpacked(), "usr/lib/dracut/modules.d/97xcat/install") == ["any"])
  }

  // MARK: Synclists

  private static let synced = quotedFixture("scripts/trees/add-synclist.sh")

  @Test func `files of a synclist are placed where rsync would place them`() throws {
    let node = try TestNode.toPack(Self.synced)
    _ = try node.workspace.define("img", ["synclists=/list", "environvar=WHICH=more/x,OTHER=1"])
    let before = try run("bash", "-c", "cd \"$1\"; find . | sort", "", node.tree).output
    let outcome = try node.pack()
    #expect(try run("bash", "-c", "cd \"$1\"; find . | sort", "", node.tree).output == before)
    let out = try node.unpacked()
    for (name, content) in [
      ("etc/hosts", "hosts"), ("etc/new/name", "hosts"), ("etc/conf.d/one.conf", "one"),
      ("etc/conf.d/two.conf", "two"), ("srv/dir/a", "a"), ("srv/dir/sub/b", "b"),
      ("srv/dir/link", "hosts"), ("etc/flat/a", "a"), ("etc/flat/sub/b", "b"),
      ("etc/both/hosts", "hosts"), ("etc/both/x", "x"), ("etc/by-variable", "x"),
      ("run/inside", "hosts"), ("escaped", "hosts"),
    ] {
      #expect((try? node.lines(out, name)) == [content], "\(name)")
    }
    for name in [
      "etc/conf.d/.hidden.conf", "etc/conf.d/x", "etc/nobody", "etc/for-nodes", "etc/too-late",
    ] {
      #expect(try run("test", "-e", "\(out)/\(name)").status == 1, "\(name)")
    }
    let hosts = try FileManager.default.attributesOfItem(atPath: out + "/etc/hosts")
    #expect(hosts[.posixPermissions] as? Int == 0o600)
    #expect(
      (hosts[.modificationDate] as? Date).map { $0 < Date(timeIntervalSince1970: 1_600_000_000) }
        == true)
    #expect(try run("test", "-L", out + "/srv/dir/link").status == 1, "links are followed")
    #expect(outcome.remarks.contains { $0.contains("line 12: /sync/nobody does not exist") })
    #expect(outcome.remarks.contains { $0.contains("line 14 has no arrow") }, "\(outcome.remarks)")

    // The same again, from the cache; and without.
    let first = try node.bytes("img/rootimg.cpio.gz")
    let warm = try node.pack()
    #expect(warm.report.cachedSegments == warm.report.segments)
    #expect(try node.bytes("img/rootimg.cpio.gz") == first)
    try node.pack { $0.skipsSyncfiles = true }
    #expect(try run("test", "-e", node.unpacked() + "/etc/hosts").status == 1)
  }

  @Test func `a synclist directory that contains itself is an error`() throws {
    let node = try TestNode.toPack(
      "mkdir -p sync/dir; ln -s . sync/dir/again; echo '/sync/dir -> /srv' > list")
    _ = try node.workspace.define("img", ["synclists=/list"])
    let old = Data("old".utf8)
    try old.write(to: URL(fileURLWithPath: node.path("img/rootimg.cpio.gz")))
    #expect(throws: (any Error).self) { try node.pack() }
    #expect(try node.bytes("img/rootimg.cpio.gz") == old)
  }

  // MARK: The live tree

  @Test func `packing with live changes takes a snapshot first, and a revert undoes them`() throws {
    let node = try TestNode.toPack()
    let before = node.directory.path("before")
    try copyTree(node.tree, before)
    let viewed = try node.pack()
    let view = try node.bytes("img/rootimg.cpio.gz")
    #expect(try differences(before, node.tree) == "")
    let outcome = try node.pack { $0.changesLiveTree = true }
    #expect(outcome.isNewSnapshot && outcome.snapshot.number == viewed.snapshot.number + 1)
    #expect(try node.text("img/rootimg/xcatpost/lib/x") == "lib\n")
    #expect(try node.text("img/rootimg/etc/shadow").hasPrefix("root:cluster:"))
    #expect(try node.bytes("img/rootimg.cpio.gz") == view)
    _ = try node.workspace.revert("img@1")
    #expect(try differences(before, node.tree) == "")
  }

  @Test func `packing with live changes produces the bytes of the next pack`()
    throws
  {
    let node = try TestNode.toPack()
    _ = try node.workspace.snapshot("img")
    Thread.sleep(forTimeInterval: 1.1)
    try node.pack { ($0.method, $0.changesLiveTree) = (.squashfs, true) }
    let first = try node.bytes("img/rootimg.sfs")
    try node.pack { ($0.method, $0.changesLiveTree) = (.squashfs, true) }
    #expect(try node.bytes("img/rootimg.sfs") == first)
  }

  @Test func `a packed image that cannot be reproduced is snapshotted before it is replaced`()
    throws
  {
    let node = try TestNode.toPack()
    _ = try node.workspace.snapshot("img")
    let foreign = Data("made by another program".utf8)
    try foreign.write(to: URL(fileURLWithPath: node.path("img/rootimg.cpio.gz")))
    let outcome = try node.pack()
    #expect(outcome.isNewSnapshot)
    #expect(try node.pack().isNewSnapshot == false, "our own needs no keeping")
    _ = try node.workspace.revert("img@2")
    #expect(try node.bytes("img/rootimg.cpio.gz") == foreign)
  }

  // MARK: As packimage

  @Test func `packimage keeps or removes other forms as xCAT does, and requires netboot`() throws {
    let node = try TestNode.toPack(
      "echo old > img/rootimg.tar.xz; echo t > img/rootimg.cpio.gz.metainfo; echo k > img/kernel")
    let outcome = try node.pack { $0.isPackimage = true }
    let names = try FileManager.default.contentsOfDirectory(atPath: node.path("img")).sorted()
    #expect(names == ["kernel", "rootimg", "rootimg.cpio.gz"])
    #expect(outcome.remarks.contains { $0.hasPrefix("rootimg.tar.xz of an earlier packing") })
    _ = try node.workspace.revert("img@1")
    #expect(try node.text("img/rootimg.tar.xz") == "old\n")
    for (change, message) in [
      ("provmethod=statelite", "cannot be used to build diskless image"),
      ("osvers=", "must be specified for the image img in the database"),
    ] {
      _ = try node.workspace.define("img", ["provmethod=netboot", "osvers=x", change])
      do {
        try node.pack { $0.isPackimage = true }
        Issue.record("\(change) was packed")
      } catch let error as ImageError { #expect(error.reason.contains(message)) }
    }
  }
}
