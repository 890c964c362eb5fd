// xCAT's defects in imports (docs/xcat.md#defects-of-xcat-and-what-imgstore-does), by number, and the correct
// behaviour of imgstore. 3, 9 and 10 are also compared with xCAT's real result in ImportParityTests. 18 is in
// ImportFaultTests, and a manifest at the top is in ImportFormTests. 22 is in
// Tests/CLITests/XCATNameTests.swift (unknown options, no `Done!` on failure). 23 belongs to packimage.

import Foundation
import HostileBundles
import Images
import Platform
import TestSupport
import Testing
import XCAT

@Suite(.usesTools) struct ImportDefectTests {
  static let boot = ManifestDraft.boot
  static let custom = ManifestDraft.custom

  /// Defect 2 of xCAT.
  @Test(arguments: [
    "kernel", "initrd-stateless.gz", "rootimg.cpio.gz", "tiny.exlist", "tiny.pkglist",
    "tiny.postinstall", "tiny.otherpkgs.pkglist", "tiny.synclist", "extra/tinyscript",
  ])
  func `a partial bundle is refused, and no file of the site is removed`(_ name: String) throws {
    let node = try TestNode.fresh()
    var draft = BundleDraft()
    for file in draft.files {
      let base = file.name.split(separator: "/").last.map(String.init) ?? ""
      let directory =
        base.hasPrefix("tiny.")
        ? Self.custom : base == "tinyscript" ? "/install/postscripts" : Self.boot
      try node.put("\(directory)/\(base)", "the site's own")
    }
    let before = try node.state()
    draft.files.removeAll { $0.name == name }
    let text = refusal { try node.importing(draft) { $0.replaces = true } }
    #expect(text?.contains(name) == true, "\(text ?? "imported")")
    #expect(try node.state() == before)
  }

  /// Defect 3 of xCAT.
  @Test(arguments: ["kit", "kitrepo", "kitcomp"])
  func `a bundle with a single kit, kitrepo or kitcomponent is imported`(_ one: String) throws {
    // The real imgexport writes <kit> with <name>, and the real imgimport fails on that.
    let node = try TestNode.fresh()
    var draft = BundleDraft()
    draft.manifest.osimage["kitcomponents"] = "c1"
    for (element, key, names) in [
      ("kit", "kitname", ["k1", "k2"]), ("kitrepo", "kitreponame", ["r1", "r2"]),
      ("kitcomp", "kitcompname", ["c1", "c2"]),
    ] {
      for name in names.prefix(element == one ? 1 : 2) {
        var columns = ["kitname": "k1"]
        columns[key] = name
        if element == "kit" { columns["kitdir"] = "/install/kits/\(name)" }
        draft.manifest.lines.append(
          "<\(element)><name>\(name)</name>"
            + columns.map { "<\($0.key)>\($0.value)</\($0.key)>" }.joined() + "</\(element)>")
        if element == "kit" { draft.put("\(name)/kit.conf", name) }
      }
    }
    let image = try node.importing(draft)
    #expect(image.remaining?.isEmpty == true)
    let rows = try node.rows()
    #expect(rows["kit"]?.compactMap { $0["kitname"] } == (one == "kit" ? ["k1"] : ["k1", "k2"]))
    #expect(
      rows["kitrepo"]?.compactMap { $0["kitreponame"] }
        == (one == "kitrepo" ? ["r1"] : ["r1", "r2"]))
    #expect(
      rows["kitcomponent"]?.compactMap { $0["kitcompname"] }
        == (one == "kitcomp" ? ["c1"] : ["c1", "c2"]))
    #expect(try node.text("/install/kits/k1/kit.conf") == "k1")
    #expect(node.exists("\(Self.boot)/kernel"), "the files came as well")
  }

  /// Defect 4 of xCAT.
  @Test func `an import with a new profile never overwrites the source image's boot files`() throws
  {
    let node = try TestNode.fresh()
    var draft = BundleDraft()
    draft.manifest.linuximage["rootimgdir"] = nil
    try node.importing(draft)
    try node.put("\(Self.boot)/kernel", "mine")
    let before = try node.files(below: Self.boot)
    try node.importing(draft) { ($0.profile, $0.keepsOriginals) = ("other", true) }
    #expect(try node.files(below: Self.boot) == before)
    #expect(node.exists("/install/netboot/rhels9/x86_64/other/rootimg.cpio.gz"))
    #expect(
      Set(try node.rows()["osimage"]?.compactMap { $0["profile"] } ?? []) == ["tiny", "other"])
    // Both can be exported, each from its own directory.
    let (bundle, _) = try node.exporting("rhels9-x86_64-netboot-other")
    #expect(
      try memberText("manifest.xml", of: bundle).contains(
        "<kernel>/install/netboot/rhels9/x86_64/other/kernel<"))
  }

  /// Defect 5 of xCAT.
  @Test func `a second import keeps the original file of the first`() throws {
    let node = try TestNode.fresh()
    let kernel = "\(Self.boot)/kernel"
    try node.put(kernel, "first")
    try node.importing(BundleDraft()) { ($0.keepsOriginals, $0.replaces) = (true, true) }
    #expect(try node.text("\(kernel).ORIG") == "first")
    try node.put(kernel, "second")
    try node.importing(BundleDraft()) { ($0.keepsOriginals, $0.replaces) = (true, true) }
    #expect(try node.text("\(kernel).ORIG") == "first")
    #expect(try node.text("\(kernel).ORIG.1") == "second")
    // An unchanged file gets no .ORIG copy, and no file gets one unless the user requests it.
    #expect(!node.exists("\(Self.boot)/initrd-stateless.gz.ORIG"))
    try node.put(kernel, "third")
    let image = try node.importing(BundleDraft()) { $0.replaces = true }
    #expect(!node.exists("\(kernel).ORIG.2"))
    _ = try node.workspace.revert(try #require(image.safety).name)
    #expect(try node.text(kernel) == "third")
  }

  /// Defect 6 of xCAT.
  @Test func `an extra for a missing directory creates the directory`() throws {
    let node = try TestNode.fresh()
    var draft = BundleDraft()
    draft.manifest.extras = [("/a/one", "/install/new"), ("/a/two", "/install/new")]
    draft.files.removeAll { $0.name.hasPrefix("extra") }
    draft.put("extra/one", "1")
    draft.put("extra/two", "2")
    try node.importing(draft)
    #expect(try node.text("/install/new/one") == "1" && node.text("/install/new/two") == "2")
    // Two sources have one name: xCAT's bundle contains only one of them, and places it twice.
    draft.manifest.extras = [("/a/one", "/install/x"), ("/b/one", "/install/y")]
    draft.put("extra/two", "unnamed")
    let image = try TestNode.fresh().importing(draft)
    #expect(image.remarks.contains { $0.contains("extra/two") }, "\(image.remarks)")
  }

  /// Defect 7 of xCAT.
  @Test func `a bundle that lost a file of the same name is refused`() throws {
    let node = try TestNode.fresh()
    let before = try node.state()
    var draft = BundleDraft()
    draft.manifest.linuximage["exlist"] = "/install/custom/a/tiny.pkglist"
    draft.files.removeAll { $0.name == "tiny.exlist" }
    let text = refusal { try node.importing(draft) }
    #expect(text?.contains("/install/custom/a/tiny.pkglist") == true, "\(text ?? "imported")")
    #expect(try node.state() == before)
  }

  /// Defect 8 of xCAT.
  @Test(.enabled(if: (try? shell("stat -c %d /dev/shm /var/tmp | uniq | wc -l").output) == "2\n"))
  func `an import across file systems keeps modes and places kits`() throws {
    let node = try TestNode.fresh()
    let store = "/dev/shm/imgstore-test-\(randomName())"
    defer { _ = try? run("rm", "-rf", store) }
    let workspace = try Workspace(
      WorkspaceOptions(store: store, root: node.directory.path("root"))
    ) { _ in }
    try workspace.importing(fixture("xcat/kit1.tgz"))
    let files = try node.files()
    #expect(files["/install/custom/netboot/rh/compute.postinstall"]?.mode == "755")
    #expect(files["/install/kits/mykit-1.0/repos/mykit-1.0-rhels-8-x86_64/pkg.rpm"]?.size == 3)
  }

  /// Defect 9 of xCAT.
  @Test func `the script lists of a 2.7 bundle are given to the nodes, not to the image`() throws {
    let node = try TestNode.fresh()
    try node.workspace.importing(fixture("xcat/p27-stateless.tgz")) { $0.nodes = "node1" }
    let rows = try node.rows()
    #expect(rows["osimage"]?.first?["postscripts"] == nil)
    #expect(rows["osimage"]?.first?["postbootscripts"] == nil)
    let own = rows["postscripts"]?.first { $0["node"] == "node1" }
    #expect(own?["postscripts"] == "syncfiles,my1,my2" && own?["postbootscripts"] == "my3")
  }

  /// Defect 10 of xCAT.
  @Test func `the tree of a 2.6 bundle becomes the root tree, not rootimg in rootimg`() throws {
    let node = try TestNode.fresh()
    try node.workspace.importing(fixture("xcat/p26-statelite.tgz"))
    let files = try node.files(below: "/install/netboot/rhels8.5.0/x86_64/lite")
    let tree = "/install/netboot/rhels8.5.0/x86_64/lite/rootimg"
    #expect(files["\(tree)/etc/passwd"] != nil && files["\(tree)/rootimg"] == nil)
    #expect(files["\(tree)/rootimgtree.gz"] == nil)
  }

  // MARK: Nodes

  private var withLists: BundleDraft {
    var draft = BundleDraft()
    draft.manifest.values["postscripts"] = "syslog,new1,new2"
    draft.manifest.values["postbootscripts"] = "otherpkgs,newb"
    return draft
  }

  private func lists(_ node: TestNode) throws -> [String: String] {
    Dictionary(
      uniqueKeysWithValues: try node.rows()["postscripts", default: []].map {
        ($0["node"] ?? "", "\($0["postscripts"] ?? "-") \($0["postbootscripts"] ?? "-")")
      })
  }

  /// Defect 14 of xCAT.
  @Test func `unknown nodes are refused before any change`() throws {
    for range in ["nobody", "node1,nobody", "node[1-3]"] {
      let node = try TestNode.fresh()
      let before = try node.state()
      let text = refusal { try node.importing(withLists) { $0.nodes = range } }
      #expect(text?.contains("are not defined in xCAT DB.") == true, "\(text ?? "imported")")
      #expect(try node.state() == before)
      #expect(try node.workspace.images().isEmpty)
    }
  }

  /// Defect 14 of xCAT.
  @Test func `script lists replace those of the node as in xCAT, or are added on request`() throws {
    let replacing = try TestNode.fresh()
    let before = try lists(replacing)
    let image = try replacing.importing(withLists) { $0.nodes = "compute" }
    // xcatdefaults has syslog and otherpkgs already. Each node of the group has its own row.
    #expect(try lists(replacing)["node1"] == "new1,new2 newb")
    #expect(try lists(replacing)["node2"] == "new1,new2 newb")
    #expect(try lists(replacing)["xcatdefaults"] == before["xcatdefaults"])
    _ = try replacing.workspace.revert(try #require(image.safety).name)
    #expect(try lists(replacing) == before)

    let adding = try TestNode.fresh()
    try adding.importing(withLists) { ($0.nodes, $0.appendsPostscripts) = ("node2", true) }
    #expect(try lists(adding)["node2"] == "mine,other,new1,new2 minebb,newb")
    #expect(try lists(adding)["node1"] == nil)
  }

  // MARK: Rows

  /// Defect 15 of xCAT.
  @Test func `a replaced row loses stale columns, or keeps them on request`() throws {
    for merges in [false, true] {
      let node = try TestNode.fresh()
      try node.importing(BundleDraft())
      try node.sql("osimage", "UPDATE osimage SET description = 'STALE', osvers = 'rhels9'")
      try node.sql("linuximage", "UPDATE linuximage SET kernelver = 'STALE'")
      try node.importing(BundleDraft()) { ($0.replaces, $0.mergesColumns) = (true, merges) }
      let rows = try node.rows()
      #expect(rows["osimage"]?.first?["description"] == (merges ? "STALE" : nil))
      #expect(rows["linuximage"]?.first?["kernelver"] == (merges ? "STALE" : nil))
    }
  }

  /// Defect 15 of xCAT.
  @Test func `an image of the same name is replaced only on request`()
    throws
  {
    let node = try TestNode.fresh()
    try node.importing(BundleDraft())
    let before = try node.state()
    for profile in [nil, "tiny"] {
      let text = refusal { try node.importing(BundleDraft()) { $0.profile = profile } }
      #expect(text?.contains(ManifestDraft.image) == true && text?.contains("--force") == true)
    }
    #expect(try node.state() == before)
    // An image that consists only of rows, without a file, still belongs to the site.
    let rowsOnly = try TestNode.fresh()
    _ = try rowsOnly.workspace.define(ManifestDraft.image, ["provmethod=netboot", "profile=x"])
    #expect(refusal { try rowsOnly.importing(BundleDraft()) }?.contains("--force") == true)
  }

  // MARK: Profiles

  static let platforms = [
    ("ol8.6.0", "ol"), ("debian11.3", "debian"), ("leap15.3", "suse"),
    ("openeuler22.03", "openeuler"),
    ("openEuler22.03", "openeuler"), ("suse15", "suse"), ("sle15.4", "sles"), ("sles15.4", "sles"),
    ("rhels9.1", "rh"), ("rocky9", "rocky"), ("alma9", "alma"), ("ubuntu22.04.1", "ubuntu"),
    ("SL7", "SL"), ("fedora40", "fedora"), ("centos-stream9", "centos"), ("kylin10", "kylin"),
  ]

  /// Defect 16 of xCAT.
  @Test(arguments: platforms)
  func `every platform has its directory under a new profile`(
    _ version: String, _ platform: String
  ) throws {
    let node = try TestNode.fresh()
    var draft = BundleDraft()
    draft.manifest.osimage["osvers"] = version
    let share = "/opt/xcat/share/xcat/netboot/x"
    draft.manifest.linuximage["pkglist"] = "\(share)/tiny.pkglist"
    draft.manifest.linuximage["exlist"] = "\(share)/tiny.exlist"
    try node.importing(draft) { $0.profile = "new" }
    let row = try #require(try node.rows()["linuximage"]?.first)
    let custom = "/install/custom/netboot/\(platform)"
    #expect(row["pkglist"] == "\(custom)/new.pkglist")
    #expect(row["exlist"] == "\(custom)/new.exlist")
    #expect(row["rootimgdir"] == "/install/netboot/\(version)/x86_64/new")
    #expect(node.exists("\(custom)/new.pkglist"))
  }

  /// Defect 16 of xCAT.
  @Test(arguments: [
    ("c.mpute", "compute.c.mpute.pkglist", "compute.new.pkglist"),
    ("c.mpute", "compute.pkglist", "new.compute.pkglist"),
    ("compute", "mycompute2.compute.pkglist", "mycompute2.new.pkglist"),
    ("compute", "mycompute2.pkglist", "new.mycompute2.pkglist"),
    ("a+b", "a+b.pkglist", "new.pkglist"),
    ("compute", "compute.rhels9.pkglist", "new.rhels9.pkglist"),
    ("comp", "compute-comp.pkglist", "compute-new.pkglist"),
  ])
  func `the old profile's name is replaced as literal text and as a whole word`(
    _ profile: String, _ name: String, _ expected: String
  ) throws {
    let node = try TestNode.fresh()
    var draft = BundleDraft()
    draft.manifest.osimage["profile"] = profile
    draft.manifest.linuximage["pkglist"] = "/install/custom/mine/\(name)"
    draft.files.removeAll { $0.name == "tiny.pkglist" }
    draft.put(name, "bash\n")
    try node.importing(draft) { $0.profile = "new" }
    #expect(try node.rows()["linuximage"]?.first?["pkglist"] == "/install/custom/mine/\(expected)")
    #expect(try node.text("/install/custom/mine/\(expected)") == "bash\n")
  }

  // MARK: Files and rows

  /// Defect 19 of xCAT.
  @Test func `media that pkgdir names are recognized`() throws {
    let words = "This image requires that you first copy media for rhels9-x86_64"
    var draft = BundleDraft()
    draft.manifest.osimage["provmethod"] = "install"
    draft.manifest.linuximage["template"] = "\(Self.custom)/tiny.tmpl"
    draft.manifest.linuximage["pkgdir"] = "/install/rhels9.9/x86_64,/srv/media"
    draft.manifest.linuximage["rootimgdir"] = nil
    draft.manifest.values = ["media": "required"]
    draft.files.removeAll {
      $0.name.hasPrefix("initrd") || $0.name.hasPrefix("rootimg") || $0.name == "kernel"
    }
    draft.put("tiny.tmpl", "%packages\n")
    let node = try TestNode.fresh()
    let before = try node.state()
    #expect(refusal { try node.importing(draft) }?.contains(words) == true)
    #expect(try node.state() == before)
    for directory in ["/install/rhels9/x86_64", "/install/rhels9.9/x86_64", "/srv/media"] {
      let node = try TestNode.fresh()
      try shell("mkdir -p \"$1\"", node.path(directory))
      try node.importing(draft)
      #expect(node.exists("\(Self.custom)/tiny.tmpl"), "\(directory)")
    }
  }

  /// Defect 20 of xCAT.
  @Test func `an import replaces an old root tree and does not merge it`() throws {
    let node = try TestNode.fresh()
    let bundle = fixture("xcat/statelite.tgz")
    let image = try node.workspace.importing(bundle)
    let tree = node.path("/install/netboot/rhels8.5.0/x86_64/lite/rootimg")
    let before = try node.files()
    try shell(
      "cd \"$1\"; echo stale >etc/stale; mkdir -p old/er; touch old/er/file; rm etc/passwd; chmod 700 etc",
      tree)
    let again = try node.workspace.importing(bundle) { $0.replaces = true }
    #expect(try node.files() == before)
    _ = try node.workspace.revert(try #require(again.safety).name)
    #expect(try String(contentsOfFile: tree + "/etc/stale", encoding: .utf8) == "stale\n")
    #expect(image.remaining?.isEmpty == true)
  }
}
