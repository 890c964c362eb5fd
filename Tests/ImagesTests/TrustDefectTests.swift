// xCAT's defects of trust (docs/xcat.md#defects-of-xcat-and-what-imgstore-does): what bundles and texts can
// make the machine do. The corpus of hostile bundles is in HostileTests. Here each defect has its own number.
//
// 28, the site's secrets in a root image (etc/shadow, ssh keys): a bundle holds the image byte for byte, and
// an image without them would be another one. The manual warns of this in its section on export.
// 29, packimage's predictable names in /tmp: an import creates no temporary file outside the store. An export
// creates one next to its target, under a random name, exclusively (O_EXCL), and never in /tmp.

import Foundation
import HostileBundles
import Images
import Platform
import TestSupport
import Testing

@Suite(.usesTools) struct TrustDefectTests {
  static let boot = ManifestDraft.boot
  static let stateless = "rhels8.5.0-x86_64-netboot-compute"

  // MARK: Damage

  /// Returns a bundle with one flipped byte in a member's content, and with all outer checksums corrected.
  private func damaged(_ bundle: String, _ member: String) throws -> String {
    let target = bundle + ".damaged"
    let result = try run(
      "python3", "-c",
      """
      import gzip, io, sys, tarfile
      data = bytearray(gzip.decompress(open(sys.argv[1], 'rb').read()))
      at = next(m for m in tarfile.open(fileobj=io.BytesIO(data)) if m.name.endswith('/' + sys.argv[2]))
      data[at.offset_data + at.size // 2] ^= 1
      open(sys.argv[3], 'wb').write(gzip.compress(bytes(data)))
      """, bundle, member, target)
    guard result.didSucceed else { throw TestFailure(result.errors) }
    return target
  }

  /// Defect 21 of xCAT.
  @Test(arguments: [
    "kernel", "rootimg.cpio.gz", "initrd-stateless.gz", "compute.exlist", "manifest.xml",
    "extra/myscript1", "complete/rootimg.tar.zst",
  ])
  func `a corrupted member of an exported bundle is refused`(_ member: String) throws {
    let source = try TestNode.real()
    let (bundle, _) = try source.exporting(Self.stateless) { request in
      request.extras = [ExtraRequest(source: "/install/postscripts/myscript1")]
      request.isComplete = true
    }
    let node = try TestNode.fresh()
    let before = try node.state()
    let text = refusal { try node.workspace.importing(try damaged(bundle, member)) }
    #expect(text?.contains(member) == true, "\(text ?? "imported")")
    #expect(try node.state() == before)
    #expect(try node.workspace.images().isEmpty)
    try node.workspace.importing(bundle)
  }

  /// Defect 21 of xCAT.
  @Test func `a corrupted tree and a truncated bundle are refused`() throws {
    let source = try TestNode.real()
    let (bundle, _) = try source.exporting("rhels8.5.0-x86_64-statelite-lite")
    let node = try TestNode.fresh()
    let before = try node.state()
    for theirs in [bundle, fixture("xcat/statelite.tgz")] {
      // The inner gzip stream has its own checksum, so this also works for xCAT's bundles.
      let copy = node.directory.path("copy.tgz")
      try shell("cp \"$1\" \"$2\"", theirs, copy)
      #expect(
        refusal { try node.workspace.importing(try damaged(copy, "rootimgtree.gz")) }?
          .contains("rootimgtree.gz") == true)
      let bytes = try Data(contentsOf: URL(fileURLWithPath: theirs))
      for part in 1..<12 {
        let cut = try node.write(Array(bytes.prefix(bytes.count * part / 12)))
        #expect(throws: (any Error).self) { try node.workspace.importing(cut) }
      }
      let cut = try node.write(Array(bytes.dropLast(1)))
      #expect(throws: (any Error).self) { try node.workspace.importing(cut) }
    }
    #expect(try node.state() == before)
    #expect(try node.workspace.verify(deep: true).isClean)
  }

  // MARK: Shells

  /// Texts that would create a file in the working directory if a shell evaluated them.
  static let injections = [
    "$(touch PWNED)", "`touch PWNED`", ";touch PWNED;", "|touch PWNED|", "&touch PWNED&",
    "' ;touch PWNED; '", "\" ;touch PWNED; \"", "-e;touch PWNED", "a\ntouch PWNED\nb",
    "$IFS;touch${IFS}PWNED", "--checkpoint-action=exec=sh -c 'touch PWNED'",
  ]

  private func expectNoSentinel(_ node: TestNode) throws {
    let found = try run(
      "find", node.directory.path, ".", "/install", "-name", "PWNED*", "-newer", node.directory.path
    )
    #expect(found.output == "")
  }

  /// Defect 24 of xCAT.
  @Test(arguments: injections)
  func `no text of a manifest reaches a shell`(_ text: String) throws {
    let escaped = text.replacing("&", with: "&amp;").replacing("<", with: "&lt;")
    let edits: [(String, (inout BundleDraft) -> Void)] = [
      (
        "rootimgtree",
        { draft in
          draft = .statelite(tree: gzip(tree()))
          draft.manifest.values["rootimgtree"] = "\(Self.boot)/\(text)/rootimgtree.gz"
        }
      ),
      ("kernel", { $0.manifest.values["kernel"] = "\(Self.boot)/\(text)/kernel" }),
      ("src", { $0.manifest.extras = [("/install/\(text)/tinyscript", "/install/postscripts")] }),
      ("dest", { $0.manifest.extras = [("/install/tinyscript", "/install/\(text)")] }),
      (
        "imagename",
        { draft in
          draft.manifest.osimage["imagename"] = text
          draft.manifest.linuximage["imagename"] = text
        }
      ),
      ("profile", { $0.manifest.osimage["profile"] = text }),
      ("pkglist", { $0.manifest.linuximage["pkglist"] = "/install/\(text)/tiny.pkglist" }),
      (
        "kitname",
        { draft in
          draft.manifest.lines = [
            "<kit><name>\(escaped)</name><kitname>\(escaped)</kitname><kitdir>/install/kits/\(escaped)</kitdir></kit>"
          ]
          draft.put("k/file", "")
        }
      ),
    ]
    let node = try TestNode.fresh()
    let before = try node.state()
    for (name, edit) in edits {
      var draft = BundleDraft()
      edit(&draft)
      let refused = refusal { try node.importing(draft) { $0.isDryRun = true } }
      #expect(refused != nil || text.hasPrefix("--"), "\(name) with \(text) was taken")
      if refused == nil { _ = refusal { try node.importing(draft) } }
    }
    if !text.hasPrefix("--") { #expect(try node.state() == before) }
    try expectNoSentinel(node)
  }

  /// Returns an archive of the smallest root tree.
  private func tree() -> [UInt8] {
    var cpio = RawCpio()
    cpio.entry("rootimg", mode: 0o040755, links: 2)
    cpio.end()
    return cpio.bytes
  }

  /// Defect 24 of xCAT.
  @Test(arguments: injections.filter { !$0.contains("\n") })
  func `no text of a command line or a table reaches a shell`(_ text: String) throws {
    let node = try TestNode.real()
    // The text is part of existing names: directories, an extra, a node and an image.
    let safe = text.replacing("/", with: "")
    try node.put("/install/\(safe)/script", "x")
    _ = try node.workspace.define(
      Self.stateless,
      ["description=\(text)", "postinstall=/install/custom/netboot/rh/compute.postinstall"])
    try shell(
      "cp -a \"$1/install/netboot/rhels8.5.0/x86_64/compute\" \"$1/install/netboot/$2\"",
      node.path(""), safe)
    _ = try? node.workspace.define(
      Self.stateless, ["rootimgdir=/install/netboot/\(safe)"])
    for change in [
      { (request: inout ExportRequest) in },
      {
        $0.extras = [
          ExtraRequest(source: "/install/\(safe)/script", destination: "/install/\(safe)")
        ]
      },
      { $0.extras = [ExtraRequest(source: text)] }, { $0.postscriptsOf = text },
      { $0.reference = text }, { $0.destination = .file(node.directory.path("out-\(safe)")) },
      { $0.isComplete = true },
    ] as [(inout ExportRequest) -> Void] {
      _ = refusal { _ = try node.exporting(Self.stateless, change) }
    }
    _ = refusal { try node.importing(BundleDraft()) { $0.nodes = text } }
    _ = refusal { try node.importing(BundleDraft()) { $0.profile = text } }
    _ = refusal { try node.importing(BundleDraft()) { $0.name = text } }
    _ = refusal { try node.workspace.importing(text) }
    try expectNoSentinel(node)
  }

  // MARK: Places

  /// Defect 25 of xCAT.
  @Test(arguments: [
    "/etc/cron.d/tinyscript", "/root/.ssh/tinyscript", "/usr/bin/tinyscript", "/tinyscript",
    "/installed/tinyscript",
  ])
  func `a bundle writes only below the install directory and allowed directories`(_ path: String)
    throws
  {
    let directory = String(path.dropLast("/tinyscript".count))
    var asExtra = BundleDraft()
    asExtra.manifest.extras = [("/install/tinyscript", directory.isEmpty ? "/" : directory)]
    var asList = BundleDraft()
    asList.manifest.linuximage["postinstall"] = path
    asList.put("tinyscript", "#!/bin/sh\n")
    asList.files.removeAll { $0.name == "tiny.postinstall" }
    for draft in [asExtra, asList] {
      let node = try TestNode.fresh()
      let before = try node.state()
      let text = refusal { try node.importing(draft) }
      #expect(text != nil)
      if !directory.isEmpty { #expect(text?.contains(directory) == true, "\(text ?? "imported")") }
      #expect(try node.state() == before)
      if directory.isEmpty { continue }
      try node.importing(draft) { $0.allowed = [directory] }
      #expect(node.exists(path))
    }
  }

  /// Defect 26 of xCAT.
  @Test(arguments: [
    "/etc/passwd", "../outside", "rootimg/../../outside", "rootimg/../etc/passwd", "./../x",
  ])
  func `no member of a tree's archive is written outside the tree`(_ name: String) throws {
    var cpio = RawCpio()
    cpio.entry("rootimg", mode: 0o040755, links: 2)
    cpio.entry(name, mode: 0o100644, Array("evil".utf8))
    cpio.end()
    let node = try TestNode.fresh()
    let before = try node.state()
    let text = refusal { try node.importing(.statelite(tree: gzip(cpio.bytes))) }
    #expect(text?.contains("rootimgtree.gz") == true, "\(text ?? "imported")")
    #expect(try node.state() == before)
    #expect(!FileManager.default.fileExists(atPath: node.directory.path("outside")))
  }

  /// Defect 26 of xCAT.
  @Test func `members outside the tree bring no privileges, devices or links`() throws {
    let node = try TestNode.fresh()
    let setuid = BundleDraft().replacing("kernel") { tar in
      tar.file("./\(BundleDraft.directory)/kernel", "k", mode: 0o6755)
    }
    try node.workspace.importing(try node.write(setuid))
    #expect(try node.files()["\(Self.boot)/kernel"]?.mode == "755")
    let others: [(Character, String)] = [
      ("2", "/etc/shadow"), ("2", "rootimg.cpio.gz"), ("1", "/etc/shadow"), ("3", ""), ("4", ""),
      ("6", ""),
    ]
    for (type, link) in others {
      let node = try TestNode.fresh()
      let before = try node.state()
      let bytes = BundleDraft().replacing("kernel") { tar in
        tar.header("./\(BundleDraft.directory)/kernel", type: type, link: link)
      }
      let text = refusal { try node.workspace.importing(try node.write(bytes)) }
      #expect(text?.contains("kernel") == true, "\(type): \(text ?? "imported")")
      #expect(try node.state() == before)
    }
  }

  /// Defect 27 of xCAT.
  @Test func `plugins are imported only if the administrator allows them`() throws {
    var draft = BundleDraft()
    draft.manifest.lines = [
      "<kit><name>k</name><kitname>k</kitname><kitdir>/install/kits/k</kitdir></kit>",
      "<kitcomp><name>c</name><kitcompname>c</kitcompname><kitname>k</kitname></kitcomp>",
    ]
    draft.manifest.osimage["kitcomponents"] = "c"
    draft.put("k/plugins/evil.pm", "system('id')")
    draft.put("k/other_files/post.sh", "#!/bin/sh\n")
    let plugin = "/opt/xcat/lib/perl/xCAT_plugin/evil.pm"
    let careful = try TestNode.fresh()
    let remarks = try careful.importing(draft).remarks
    #expect(!careful.exists(plugin) && careful.exists("/install/postscripts/post.sh"))
    #expect(remarks.contains { $0.contains("--trust-plugins") }, "\(remarks)")
    // In the kit's own directory, the file is like any other.
    #expect(careful.exists("/install/kits/k/plugins/evil.pm"))
    let trusting = try TestNode.fresh()
    let image = try trusting.importing(draft) { $0.trustsPlugins = true }
    // Octal 644, not decimal (which is 1204 in octal).
    #expect(try trusting.files(below: "/opt")[plugin]?.mode == "644")
    #expect(image.remarks.contains { $0.contains("restart xcatd") })
    _ = try trusting.workspace.revert(try #require(image.safety).name)
    #expect(!trusting.exists(plugin) && !trusting.exists("/opt/xcat"))
  }
}
