// xCAT's defects in exports (docs/xcat.md#defects-of-xcat-and-what-imgstore-does), by number, and
// the correct behaviour of imgstore.

import Foundation
import HostileBundles
import Images
import Platform
import TestSupport
import Testing

@Suite(.usesTools) struct ExportDefectTests {
  static let stateless = "rhels8.5.0-x86_64-netboot-compute"
  static let statelite = "rhels8.5.0-x86_64-statelite-lite"
  static let boot = "/install/netboot/rhels8.5.0/x86_64/compute"
  static let lists = "/install/custom/netboot/rh"

  /// The export is refused in these words, and leaves no file behind.
  private func expectRefusal(
    _ node: TestNode, _ image: String, _ words: String...,
    by change: (inout ExportRequest) -> Void = { _ in }
  ) throws {
    let before = try run("ls", "-A", node.directory.path).output
    let text = refusal { _ = try node.exporting(image, change) }
    for word in words {
      #expect(text?.contains(word) == true, "'\(word)' is not in: \(text ?? "no error")")
    }
    let after = try run("ls", "-A", node.directory.path).output
    #expect(after.replacing("store\n", with: "") == before.replacing("store\n", with: ""))
  }

  /// Defect 1 of xCAT.
  @Test func `an image without its root image is not exported`() throws {
    // That a bundle without one is refused as well, ImportParityTests shows.
    let node = try TestNode.real()
    try shell("rm \"$1\"", node.path("\(Self.boot)/rootimg.cpio.gz"))
    try expectRefusal(
      node, Self.stateless, "Couldn't find compressed rootimg for \(Self.stateless)")
    try shell("rm -r \"$1\"", node.path("/install/netboot/rhels8.5.0/x86_64/lite/rootimg"))
    try expectRefusal(node, Self.statelite, "Couldn't locate the root image directory")
  }

  /// Defect 2 of xCAT.
  @Test(arguments: [
    "kernel", "initrd-stateless.gz", "compute.exlist", "compute.pkglist", "compute.synclist",
    "compute.otherpkgs.pkglist", "compute.postinstall",
  ])
  func `a failed export leaves no partial bundle`(_ name: String) throws {
    let node = try TestNode.real()
    try shell("find \"$1\" -name \"$2\" -path '*netboot*' -delete", node.path("/install"), name)
    try expectRefusal(node, Self.stateless, name)
  }

  /// Defect 3 of xCAT.
  @Test(arguments: ["mykit-1.0", "9kit"])
  func `a single kit is exported in the form that imgimport reads`(_ kit: String) throws {
    // XML::Simple folds <kit> on <name> only where there are several; of one it makes a flat hash,
    // and xCAT dies. Two forms it does read (section 3, step 9): an element of the kit's name inside
    // <kit>, and if the name is not an XML name, the same <kit> twice.
    let node = try TestNode.real()
    try node.put("/install/kits/\(kit)/kit.conf", "k")
    try addKit(node, kit)
    let (bundle, _) = try node.exporting(Self.stateless)
    let manifest = try memberText("manifest.xml", of: bundle)
    let rows = [
      ("kit", "kitname", kit), ("kitrepo", "kitreponame", "\(kit)-repo"),
      ("kitcomp", "kitcompname", "\(kit)-comp"),
    ]
    for (element, key, name) in rows {
      let blocks = manifest.matches(of: try Regex("(?s)  <\(element)>\n.*?\n  </\(element)>\n"))
        .map { String(manifest[$0.range]) }
      if kit == "9kit" {
        #expect(blocks.count == 2 && blocks[0] == blocks[1], "\(manifest)")
        #expect(blocks.first?.hasPrefix("  <\(element)>\n    <name>\(name)</name>\n") == true)
      } else {
        #expect(blocks.count == 1, "\(manifest)")
        #expect(blocks.first?.hasPrefix("  <\(element)>\n    <\(name)>\n") == true)
        #expect(!manifest.contains("<name>"))
      }
      #expect(blocks.first?.contains("<\(key)>\(name)</\(key)>") == true)
    }
    // And ours reads either.
    let other = try TestNode.fresh()
    try other.workspace.importing(bundle)
    for (table, key, name) in [
      ("kit", "kitname", kit), ("kitrepo", "kitreponame", "\(kit)-repo"),
      ("kitcomponent", "kitcompname", "\(kit)-comp"),
    ] { #expect(try other.rows()[table]?.map { $0[key] } == [name]) }
    #expect(try other.text("/install/kits/\(kit)/kit.conf") == "k")
  }

  private func addKit(_ node: TestNode, _ kit: String) throws {
    try node.tables.apply([
      .init(
        schema: .kit, key: ["kitname": kit],
        columns: ["basename": "mykit", "kitdir": "/install/kits/\(kit)"],
        keepsOtherColumns: false),
      .init(
        schema: .kitrepo, key: ["kitreponame": "\(kit)-repo"],
        columns: ["kitname": kit, "osbasename": "rhels"], keepsOtherColumns: false),
      .init(
        schema: .kitcomponent, key: ["kitcompname": "\(kit)-comp"],
        columns: ["kitname": kit, "kitreponame": "\(kit)-repo", "kitcompdeps": "a>=1"],
        keepsOtherColumns: false),
    ])
    try node.sql(
      "osimage",
      "UPDATE osimage SET kitcomponents = '\(kit)-comp' WHERE imagename = '\(Self.stateless)'")
  }

  /// Defect 6 of xCAT.
  @Test func `extras keep their names, directories and dot files`() throws {
    let node = try TestNode.real()
    try node.put("/opt/a/script", "a", mode: "755")
    try node.put("/opt/b/script", "b")
    try node.put("/opt/folder/.hidden", "h")
    try node.put("/opt/folder/sub/.deep", "d")
    let (bundle, _) = try node.exporting(Self.stateless) { request in
      request.extras = [
        ExtraRequest(source: "/opt/a/script", destination: "/install/new/one"),
        ExtraRequest(source: "/opt/b/script", destination: "/install/new/two"),
        ExtraRequest(source: "/opt/folder", destination: "/install/new/folder"),
      ]
    }
    let other = try TestNode.fresh()
    try other.workspace.importing(bundle)
    // The directories were not there: no script has become a file of the directory's name.
    #expect(try other.text("/install/new/one/script") == "a")
    #expect(try other.text("/install/new/two/script") == "b")
    #expect(try other.text("/install/new/folder/.hidden") == "h")
    #expect(try other.text("/install/new/folder/sub/.deep") == "d")
    #expect(try other.files()["/install/new/one/script"]?.mode == "755")
  }

  /// Defect 7 of xCAT.
  @Test func `files of the same name from different directories are both exported`() throws {
    let node = try TestNode.real()
    try node.put("/install/custom/a/list", "packages\n")
    try node.put("/install/custom/b/list", "/usr/share/doc\n")
    try node.put("/install/custom/c/list", "/etc/hosts -> /etc/hosts\n")
    _ = try node.workspace.define(
      Self.stateless,
      [
        "pkglist=/install/custom/a/list", "exlist=/install/custom/b/list",
        "synclists=/install/custom/c/list",
      ])
    let other = try TestNode.fresh()
    let (bundle, _) = try node.exporting(Self.stateless)
    try other.workspace.importing(bundle)
    for name in ["a", "b", "c"] {
      let path = "/install/custom/\(name)/list"
      #expect(try other.text(path) == node.text(path))
    }
    // The real imgimport puts a flat file to its attribute, and the others where extras go; they
    // come last and get another name: the first keeps its content.
    let names = try BundleMembers(bundle).names
    #expect(names.filter { $0.hasSuffix("/list") }.count == 3)
    #expect(names.contains("./\(Self.stateless)/list"))
    #expect(names.contains("./\(Self.stateless)/extra/imgstore-1/list"))
  }

  /// Defect 11 of xCAT.
  @Test func `an export contains the litefile rows that apply to the image`() throws {
    let node = try TestNode.real()
    try node.sql(
      "osimage",
      "UPDATE osimage SET groups = 'grpA, grpB' WHERE imagename = '\(Self.statelite)'")
    try node.sql(
      "litefile",
      """
      INSERT INTO litefile (image, file, options, disable) VALUES ('grpA', '/a', 'ro', NULL),
        ('grpB', '/b', '', NULL), ('', '/none', 'con', NULL), ('grpC', '/c', 'ro', NULL),
        ('ALL', '/both', 'ro', NULL), ('\(Self.statelite)', '/both', 'persistent', NULL),
        ('ALL', '/off', 'ro', '1')
      """)
    let (bundle, _) = try node.exporting(Self.statelite)
    let expected = [
      ("/a", "ro"), ("/b", "tmpfs,rw"), ("/both", "persistent"), ("/etc/hosts", "tmpfs,rw"),
      ("/etc/ntp.conf", "tmpfs,rw"), ("/none", "con"), ("/var/", "persistent"),
    ]
    #expect(
      try memberText("litefile.csv", of: bundle)
        == expected.map { "\"\(Self.statelite)\",\"\($0)\",\"\($1)\",,\n" }.joined())
    let other = try TestNode.fresh()
    try other.workspace.importing(bundle)
    let rows = try other.rows()["litefile"]?.filter { $0["image"] == Self.statelite } ?? []
    #expect(
      Set(rows.map { "\($0["file"] ?? "") \($0["options"] ?? "")" })
        == Set(expected.map { "\($0) \($1)" }))
    #expect(try other.rows()["litefile"]?.contains { $0["image"] == "ALL" } == true)
  }

  /// Defect 12 of xCAT.
  @Test func `a postinstall script with arguments is reported or exported`() throws {
    let node = try TestNode.real()
    let script = "\(Self.lists)/own.sh"
    try node.put(script, "#!/bin/sh\n", mode: "755")
    _ = try node.workspace.define(Self.stateless, ["postinstall=\(script) a b"])
    let (plain, outcome) = try node.exporting(Self.stateless)
    #expect(
      outcome.missing.contains { $0.path == script && $0.reason == "attribute postinstall" },
      "\(outcome.missing)")
    let without = try TestNode.fresh()
    let remarks = try without.workspace.importing(plain).remarks
    #expect(remarks.contains { $0.contains(script) }, "\(remarks)")

    let (complete, whole) = try node.exporting(Self.stateless) { $0.isComplete = true }
    #expect(!whole.missing.contains { $0.path == script })
    let other = try TestNode.fresh()
    try other.workspace.importing(complete)
    #expect(try other.files()[script]?.mode == "755")
    #expect(try other.rows()["linuximage"]?.first?["postinstall"] == "\(script) a b")
  }

  /// Defect 13 of xCAT.
  @Test(arguments: [
    ("osimage", "description", "'a' || char(7)"), ("linuximage", "addkcmdline", "'a' || char(27)"),
    ("linuximage", "netdrivers", "'a' || char(10) || 'b'"),
    ("osimage", "description", "char(65534)"),
    ("osimage", "description", "CAST(x'61ff' AS TEXT)"),
    ("linuximage", "pkgdir", "CAST(x'c080' AS TEXT)"),
  ])
  func `values that no manifest can hold are refused with their column`(
    _ table: String, _ column: String, _ value: String
  ) throws {
    let node = try TestNode.real()
    try node.sql(table, "UPDATE \(table) SET \(column) = \(value)")
    try expectRefusal(node, Self.stateless, column)
  }

  /// Defect 17 of xCAT.
  @Test func `files for generating the image again are reported or exported`() throws {
    let node = try TestNode.real()
    try node.put("\(Self.lists)/compute.pkglist", "bash\n#INCLUDE:/install/custom/more.pkglist#\n")
    try node.put("/install/custom/more.pkglist", "#INCLUDE:/etc/site/deep.pkglist#\n")
    try node.put("/etc/site/deep.pkglist", "vim\n")
    try node.put("\(Self.lists)/compute.synclist", "/etc/site/motd -> /etc/motd\n")
    try node.put("/etc/site/motd", "welcome\n")
    try node.put("/install/custom/parts.sh", "#!/bin/sh\n", mode: "755")
    try node.put("/install/drivers/a.rpm", "rpm")
    try node.put("/install/postscripts/own", "#!/bin/sh\n", mode: "755")
    _ = try node.workspace.define(
      Self.stateless,
      [
        "partitionfile=s:/install/custom/parts.sh", "driverupdatesrc=rpm:/install/drivers/a.rpm",
        "postscripts=own with arguments", "postbootscripts=myscript1",
      ])
    let inside = [
      "/install/custom/more.pkglist", "/install/custom/parts.sh", "/install/drivers/a.rpm",
      "/install/postscripts/own", "/install/postscripts/myscript1",
    ]
    let outside = ["/etc/site/deep.pkglist", "/etc/site/motd"]
    let tree = "\(Self.boot)/rootimg"

    // As in xCAT, with the list of missing files.
    let (plain, outcome) = try node.exporting(Self.stateless)
    #expect(Set(outcome.missing.map(\.path)) == Set(inside + outside + [tree]))
    #expect(outcome.missing.allSatisfy { !$0.reason.isEmpty })
    let members = try BundleMembers(plain).names
    #expect(members.count == 11 && !members.contains { $0.contains("/complete") }, "\(members)")

    // A complete bundle: nothing is missing, and an import restores all of it.
    let (complete, whole) = try node.exporting(Self.stateless) { $0.isComplete = true }
    #expect(whole.missing.isEmpty)
    let other = try TestNode.fresh()
    let remarks = try other.workspace.importing(complete).remarks
    for path in inside { #expect(try other.text(path) == node.text(path), "\(path)") }
    #expect(try other.files()["/install/custom/parts.sh"]?.mode == "755")
    for path in outside {
      #expect(!other.exists(path))
      #expect(remarks.contains { $0.contains(path) && $0.contains("--allow") }, "\(remarks)")
    }
    if isRoot { #expect(try differences(node.path(tree), other.path(tree)) == "") }
    let allowing = try TestNode.fresh()
    let image = try allowing.workspace.importing(complete) { $0.allowed = ["/etc/site"] }
    for path in outside { #expect(try allowing.text(path) == node.text(path)) }
    // Under another profile the tree is placed next to the boot files.
    try allowing.workspace.importing(complete) { $0.profile = "other" }
    #expect(allowing.exists("/install/netboot/rhels8.5.0/x86_64/other/rootimg/etc/passwd"))
    _ = try allowing.workspace.revert(try #require(image.safety).name)
    #expect(!allowing.exists(outside[0]) && !allowing.exists(tree))
  }

  /// Defect 17 of xCAT.
  @Test func `the real imgimport handles a complete bundle without harm`() throws {
    // It takes flat files and extras, knows nothing of complete/ and of <closure>, and removes both
    // with its temporary directory: the manifest's other elements, and the flat members, are the same.
    let node = try TestNode.real()
    let (plain, _) = try node.exporting(Self.stateless)
    let (complete, _) = try node.exporting(Self.stateless) { $0.isComplete = true }
    let (short, long) = (try BundleMembers(plain), try BundleMembers(complete))
    for (name, member) in short.all where !name.hasSuffix("/manifest.xml") {
      #expect(long[name] == member)
    }
    let more = long.names.subtracting(short.names).map { $0.dropFirst(Self.stateless.count + 3) }
    #expect(
      more.allSatisfy { $0.hasPrefix("complete") || $0.hasPrefix("extra") }, "\(more)")
    let document = try memberText("manifest.xml", of: complete)
    let cut = document.replacing(
      try Regex("(?s)  <(closure|extra)>\n.*?  </(closure|extra)>\n"), with: "")
    #expect(try cut == memberText("manifest.xml", of: plain))
  }

  /// Defect 20 of xCAT.
  @Test(.enabled(if: isRoot))
  func `losses of cpio are counted and reported, and tar has none`() throws {
    let messages = Monitor<[String]>([])
    let node = try TestNode.real(warn: { line in messages.withLock { $0.append(line) } })
    let ping = "/rootimg/usr/bin/ping"
    let capability =
      "import os,struct,sys\nos.setxattr(sys.argv[1], 'security.capability', struct.pack('<IIIII', 0x02000001, 1 << 13, 0, 0, 0))"
    for directory in ["compute", "lite"] {
      let path = node.path("/install/netboot/rhels8.5.0/x86_64/\(directory)\(ping)")
      try #require(try run("python3", "-c", capability, path).didSucceed)
    }
    _ = try node.exporting(Self.statelite)
    #expect(
      messages.withLock { $0 }.contains { $0.contains("1 file") && $0.contains("capabilities") },
      "\(messages.withLock { $0 })")
    // A complete bundle's tree is a tar, which has room for all of it.
    let (complete, _) = try node.exporting(Self.stateless) { $0.isComplete = true }
    let other = try TestNode.fresh()
    try other.workspace.importing(complete)
    let there = try run("getfattr", "-n", "security.capability", other.path(Self.boot + ping))
    #expect(there.didSucceed, "\(there.errors)")
  }
}
