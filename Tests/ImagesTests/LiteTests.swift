// The layout of statelite trees: applied, repeated and reverted.

import Foundation
import Images
import Platform
import TestSupport
import Testing

@Suite(.usesTools) struct LiteTests {
  private static let tree = quotedFixture("scripts/trees/make-statelite-tree.sh")

  private static let rows: [(file: String, options: String)] = [
    ("/etc/ntp.conf", "tmpfs,rw"), ("/var/lib/", "link,persistent"),
    ("/var/lib/v", "link,persistent"), ("/var/lib/made/", "link,persistent"),
    ("/etc/new", "link"), ("/newdir/", ""), ("/etc/pointer", "link,ro"), ("/etc/dangling", "link"),
    ("/root/", "tmpfs"), ("/etc/absent", "ro"), ("/motd", "link,con"),
  ]

  private func node(_ rows: [(file: String, options: String)] = LiteTests.rows) throws -> TestNode {
    let node = try TestNode.toPack(Self.tree)
    _ = try node.workspace.define("img", ["provmethod=statelite"])
    try node.litefile(rows)
    return node
  }

  private func lite(
    _ node: TestNode, _ change: (inout LiteRequest) -> Void = { _ in }
  ) throws -> LiteOutcome {
    var request = LiteRequest("img")
    change(&request)
    return try node.workspace.lite(request)
  }

  private func link(_ node: TestNode, _ name: String) throws -> String {
    try FileManager.default.destinationOfSymbolicLink(atPath: "\(node.tree)/\(name)")
  }

  private func links(_ node: TestNode, _ name: String) throws -> Int? {
    let attributes = try FileManager.default.attributesOfItem(atPath: "\(node.tree)/\(name)")
    return attributes[.referenceCount] as? Int
  }

  private func isAbsent(_ node: TestNode, _ name: String) throws -> Bool {
    try run("bash", "-c", "[ ! -e \"$1\" ] && [ ! -L \"$1\" ]", "", "\(node.tree)/\(name)")
      .didSucceed
  }

  @Test func `statelite files become links through tmpfs to their defaults`() throws {
    let node = try node()
    let outcome = try lite(node)
    #expect(outcome.recorded?.number == 2)
    #expect(try link(node, "etc/ntp.conf") == "../.statelite/tmpfs/etc/ntp.conf")
    #expect(
      try link(node, ".statelite/tmpfs/etc/ntp.conf") == "../../../.default/etc/ntp.conf")
    #expect(try node.text("img/rootimg/etc/ntp.conf") == "ntp\n")
    let mode = try FileManager.default.attributesOfItem(
      atPath: node.tree + "/.default/etc/ntp.conf")
    #expect(mode[.posixPermissions] as? Int == 0o640)
    #expect(try links(node, ".default/etc/ntp.conf") == 2, "the other name stays one")
    #expect(try link(node, "var/lib") == "../.statelite/tmpfs/var/lib")
    #expect(try link(node, ".statelite/tmpfs/var/lib") == "../../../.default/var/lib")
    #expect(try node.text("img/rootimg/var/lib/v") == "v\n")
    #expect(try run("test", "-d", node.tree + "/var/lib/made").didSucceed)
    #expect(try node.text("img/rootimg/etc/new") == "")
    #expect(try link(node, "newdir") == "./.statelite/tmpfs/newdir")
    #expect(try link(node, ".statelite/tmpfs/newdir") == "../.././.default/newdir")
    #expect(try run("test", "-d", node.tree + "/newdir").didSucceed)
    // A moved link would have another target, so the content behind it is kept.
    #expect(try node.text("img/rootimg/.default/etc/pointer") == "real\n")
    #expect(try node.text("img/rootimg/etc/dangling") == "")
    // Files that are not links are kept next to the originals.
    #expect(try node.text("img/rootimg/.default/root/.bashrc") == "rc\n")
    #expect(try node.text("img/rootimg/root/.bashrc") == "rc\n")
    #expect(try node.text("img/rootimg/etc/absent") == "")
    #expect(try node.text("img/rootimg/.default/etc/absent") == "")

    let saved = try node.text("img/rootimg/.statelite/litefile.save").split(separator: "\n")
    #expect(saved.count == Self.rows.count + 1)
    #expect(saved.contains("img: link          /etc/ntp.conf"))
    #expect(saved.contains("img: link,persistent /var/lib/"))
    #expect(saved.contains("img: link          /newdir/"))
    #expect(
      try node.text("img/rootimg/etc/fstab")
        == "p_x86_64 / tmpfs ro 0 1\nproc /proc proc rw 0 0\n")
    #expect(try node.text("img/rootimg/etc/init.d/statelite") == "#!rc\n")
    #expect(try node.text("img/rootimg/xcatpost/lib/x") == "lib\n")
    #expect(try isAbsent(node, "tmp/dracut.log"))
    // A second run changes nothing.
    let again = try lite(node)
    #expect(again.recorded == nil && again.apply.plannedSteps == 0)
  }

  @Test func `a layout that a mount covers is refused, and nothing is changed`() throws {
    let node = try node()
    try shell("echo host > \"$1/host\"", node.path(""))
    guard
      try run("mount", "--bind", node.path("host"), node.tree + "/etc/fstab").didSucceed
    else { return }
    defer { _ = try? run("umount", node.tree + "/etc/fstab") }
    #expect(throws: ImageError.self) { _ = try lite(node) }
    #expect(try node.text("host") == "host\n")
    #expect(try run("test", "-e", node.tree + "/.default").status == 1)
    #expect(try node.workspace.unfinished(of: "img").isEmpty)
    // A view requires no change of the tree, and contains the files under the mount.
    _ = try node.workspace.define("img", ["provmethod=netboot"])
    try node.pack { $0.method = .tar }
    let text = try shell("tar xzOf \"$1\" ./etc/fstab", node.path("img/rootimg.tar.gz")).output
    #expect(text.hasPrefix("p_x86_64 / tmpfs"))
  }

  @Test func `files of removed rows return to their places, and edited defaults stay edited`()
    throws
  {
    let node = try node()
    _ = try lite(node)
    try shell("echo edited > \"$1/.default/etc/ntp.conf\"", node.tree)
    try node.litefile([("/etc/new", "link"), ("/etc/mtab", "link")])
    _ = try lite(node)
    #expect(try run("test", "-L", node.tree + "/etc/ntp.conf").status == 1)
    #expect(try node.text("img/rootimg/etc/ntp.conf") == "edited\n")
    #expect(try run("test", "-L", node.tree + "/var/lib").status == 1)
    #expect(try node.text("img/rootimg/var/lib/v") == "v\n")
    #expect(try link(node, "etc/new") == "../.statelite/tmpfs/etc/new")
    #expect(try link(node, "etc/mtab") == "../.statelite/tmpfs/etc/mtab")
    #expect(try isAbsent(node, ".default/var"))
    #expect(try node.text("img/rootimg/root/.bashrc") == "rc\n", "xCAT would remove it")
  }

  @Test func `undo and revert restore the tree before the layout`() throws {
    let node = try node()
    let before = node.directory.path("before")
    try copyTree(node.tree, before)
    let outcome = try lite(node)
    _ = try lite(node) { $0.undoes = true }
    for name in [".default", ".statelite", "etc/init.d/statelite"] {
      #expect(try isAbsent(node, name))
    }
    // The trees are equal except for liteimg's other work: postscripts, shadow, fstab, and requested empty
    // files.
    let list = try run(
      "rsync", "-aHn", "--delete", "--checksum", "--omit-dir-times", "--itemize-changes",
      before + "/",
      node.tree + "/"
    ).output.split(separator: "\n").map { $0.split(separator: " ", maxSplits: 1).last ?? "" }
    let names = Set(list.map { $0.trimmingCharacters(in: .whitespaces) })
    #expect(
      names.isSubset(of: [
        "xcatpost/", "xcatpost/lib/", "xcatpost/lib/x", "xcatpost/xcatdsklspost", "etc/shadow",
        "etc/fstab", "tmp/dracut.log", "etc/init.d/", "etc/new", "etc/absent", "newdir/", "motd",
        "var/lib/made/", "etc/pointer -> real", "etc/dangling -> ../run/none",
      ]), "\(names)")
    _ = try node.workspace.revert(outcome.safety.name)
    #expect(try differences(before, node.tree) == "")
    do {
      _ = try lite(node) { $0.undoes = true }
      Issue.record("undone twice")
    } catch let error as ImageError { #expect(error.reason.contains("nothing to undo")) }
  }

  @Test func `a dry run of lite lists the changes and makes none`() throws {
    let node = try node()
    let before = node.directory.path("before")
    try copyTree(node.tree, before)
    let outcome = try lite(node) { $0.isDryRun = true }
    #expect(outcome.recorded == nil)
    let writes = outcome.apply.writes.map { String(decoding: $0, as: UTF8.self) }
    #expect(writes.contains("/img/rootimg/.default/etc/ntp.conf"))
    #expect(try differences(before, node.tree) == "")
  }

  typealias Rows = [(file: String, options: String)]

  static let changes: [NamedCase<(first: Rows, then: Rows)>] = [
    NamedCase(
      "the directory from link to persistent",
      ([("/etc/a/", "link")], [("/etc/a/", "persistent")])),
    NamedCase(
      "one name from link to tmpfs", ([("/etc/a/f", "link")], [("/etc/a/f", "tmpfs")])),
    NamedCase(
      "both names from tmpfs to a directory with a link",
      (
        [("/etc/a/f", "tmpfs"), ("/etc/a/g", "tmpfs")],
        [("/etc/a/", "tmpfs"), ("/etc/a/f", "link")]
      )),
    NamedCase(
      "one name in tmpfs to two links",
      ([("/etc/a/f", "tmpfs")], [("/etc/a/f", "link"), ("/etc/a/g", "link")])),
  ]

  @Test(arguments: changes)
  func `hard links in the layout become separate files with their own options`(
    _ change: NamedCase<(first: Rows, then: Rows)>
  ) throws {
    let (first, then) = change.value
    let node = try node(first)
    try shell(
      "cd \"$1\"; mkdir -p etc/a; echo 1 >etc/a/f; ln etc/a/f etc/a/g; touch -d 2001-02-03 etc/a/f",
      node.tree)
    for rows in [first, then, first] {
      try node.litefile(rows)
      let outcome = try lite(node)
      #expect(outcome.apply.report.problems.isEmpty)
      #expect(try node.workspace.status("img").diff.isEmpty)
      for (file, options) in rows where !options.contains("link") {
        let name = file.hasSuffix("/") ? file + "f" : file
        let paths = ["\(node.tree)\(name)", "\(node.tree)/.default\(name)"]
        let inodes = try run("stat", arguments: ["-c", "%i"] + paths).output.split(
          separator: "\n")
        if try !isAbsent(node, ".default\(name)") { #expect(Set(inodes).count == 2, "\(name)") }
      }
    }
    _ = try lite(node) { $0.undoes = true }
    #expect(try links(node, "etc/a/f") == 2)
  }

  @Test func `an image without rows gets xCAT's row for etc mtab`() throws {
    let node = try node([])
    _ = try lite(node)
    #expect(try link(node, "etc/mtab") == "../.statelite/tmpfs/etc/mtab")
    #expect(try node.text("img/rootimg/.statelite/litefile.save").hasSuffix("/etc/mtab\n"))
  }

  @Test func `rows that liteimg refuses are refused with its message, and nothing is changed`()
    throws
  {
    let cases: [([(file: String, options: String)], String)] = [
      ([("/etc/x", "bogus")], "/etc/x has invalid option. The valid options: tmpfs persistent"),
      ([("etc/x", "link")], "etc/x is not one absolute path"),
      ([("/etc/x/", "con")], "/etc/x/ is directory, don't use \"con\" as its option"),
      ([("/etc/", "ro"), ("/etc/x", "ro")], "should not be with \"ro\" or \"con\" as its option"),
      (
        [("/etc/", "link"), ("/etc/x", "link,ro")],
        "/etc/x should not use \"link,ro\" as its option"
      ),
      ([("/etc/", "link"), ("/etc/x", "tmpfs")], "/etc/x can only use \"link\"-based options"),
      (
        [("/etc/", "persistent"), ("/etc/x", "tmpfs")],
        "/etc/x should have persistent option like /etc/"
      ),
      ([("/etc/../x", "link")], "nodes cannot handle"),
      ([("/etc/a b", "link")], "nodes cannot handle"),
    ]
    let node = try node()
    let before = node.directory.path("before")
    try copyTree(node.tree, before)
    for (rows, message) in cases {
      try node.litefile(rows)
      do {
        _ = try lite(node)
        Issue.record("\(rows) was taken")
      } catch let error as ImageError {
        #expect(error.reason.contains(message), "\(error.reason)")
      }
    }
    _ = try node.workspace.define("img", ["provmethod=netboot"])
    #expect(throws: ImageError.self) { try lite(node) }
    #expect(try differences(before, node.tree) == "")
  }

  @Test func `links in a tree are never followed out of it`() throws {
    let node = try TestNode.toPack(
      Self.tree
        + "\nmkdir victim; echo mine > victim/file; ln -s ../../../../victim img/rootimg/srv; ln -s /victim img/rootimg/abs"
    )
    _ = try node.workspace.define("img", ["provmethod=statelite"])
    try node.litefile([("/srv/file", "link"), ("/abs/file", "link"), ("/abs/new", "tmpfs")])
    let outcome = try lite(node)
    #expect(
      outcome.remarks.contains { $0.contains("/srv/file lies behind a link") }, "\(outcome.remarks)"
    )
    #expect(try node.text("victim/file") == "mine\n")
    #expect(try FileManager.default.contentsOfDirectory(atPath: node.path("victim")) == ["file"])
  }

  @Test func `a ramdisk root is packed with its layout and the exlist applied`() throws {
    let node = try node()
    try Data("./var/lib*\n./.default/var/lib/v\n".utf8).write(
      to: URL(fileURLWithPath: node.path("list")))
    _ = try node.workspace.define("img", ["rootfstype=ramdisk", "exlist=/list"])
    let outcome = try lite(node)
    let packed = try #require(outcome.packed)
    #expect(packed.destination == "/img/rootimg-statelite.gz")
    let names = try run(
      "bash", "-c", "gzip -dc \"$1\" | cpio -t --quiet", "", node.path("img/rootimg-statelite.gz")
    ).output.split(separator: "\n").map(String.init)
    #expect(names.contains(".statelite/litefile.save") && names.contains(".default/etc/ntp.conf"))
    #expect(names.contains("opt/xcat/xcatinfo"))
    #expect(!names.contains("var/lib") && !names.contains(".default/var/lib/v"))
    let bytes = try node.bytes("img/rootimg-statelite.gz")
    let again = try lite(node)
    #expect(again.recorded == nil)
    #expect(try node.bytes("img/rootimg-statelite.gz") == bytes)
  }

  @Test func `packing a statelite tree as netboot packs the files before the layout`() throws {
    let node = try node()
    try node.pack()
    let plain = try node.unpacked()
    _ = try lite(node)
    let lited = node.directory.path("lited")
    try copyTree(node.tree, lited)
    _ = try node.workspace.define("img", ["provmethod=netboot"])
    try node.pack()
    #expect(try differences(lited, node.tree) == "", "the live tree keeps its layout")
    let out = try node.unpacked()
    for name in ["etc/ntp.conf", "var/lib/v", "root/.bashrc", "etc/real"] {
      #expect(try node.lines(out, name) == node.lines(plain, name), "\(name)")
      #expect(try run("test", "-L", "\(out)/\(name)").status == 1)
    }
    for name in [".default", ".statelite", "etc/init.d/statelite"] {
      #expect(try run("test", "-e", "\(out)/\(name)").status == 1, "\(name)")
    }
    do {
      try node.pack { $0.changesLiveTree = true }
      Issue.record("--in-tree took the layout back")
    } catch let error as ImageError { #expect(error.reason.contains("statelite form")) }
  }
}
