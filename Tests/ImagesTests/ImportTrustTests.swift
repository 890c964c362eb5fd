// Which of the site's files an import may replace, and which privileges a tree may bring.

import Foundation
import HostileBundles
import Images
import Platform
import TestSupport
import Testing

@Suite(.usesTools) struct ImportTrustTests {
  // MARK: Files of the site

  @Test(arguments: [
    ("/install/postscripts/tinyscript", SiteReplacement.Effect.postscript),
    ("\(ManifestDraft.custom)/tiny.pkglist", .list),
    ("\(ManifestDraft.custom)/tiny.postinstall", .list),
  ])
  func `a file of the site is replaced only with --force`(
    path: String, effect: SiteReplacement.Effect
  ) throws {
    let node = try TestNode.fresh()
    try node.put(path, "genuine\n")
    let before = try node.state()
    let draft = BundleDraft()
    let text = refusal { try node.importing(draft) }
    #expect(text?.contains(path) == true, "\(text ?? "imported")")
    #expect(try node.state() == before)
    // The plan lists the file and everything that it affects.
    let planned = try node.importing(draft) {
      $0.replaces = true
      $0.isDryRun = true
    }
    #expect(planned.siteReplacements == [SiteReplacement(name: path, effect: effect)])
    #expect(try node.state() == before)
    let image = try node.importing(draft) { $0.replaces = true }
    #expect(image.siteReplacements.map(\.name) == [path])
    #expect(try String(contentsOfFile: node.path(path), encoding: .utf8) != "genuine\n")
    // The revert restores the old file.
    _ = try node.workspace.revert(try #require(image.safety).name)
    #expect(try String(contentsOfFile: node.path(path), encoding: .utf8) == "genuine\n")
  }

  @Test func `identical files and the image's own files need no --force`() throws {
    let node = try TestNode.fresh()
    let first = try node.importing(BundleDraft())
    #expect(first.siteReplacements.isEmpty && first.privileged.isEmpty)
    // The same bundle as another image has the same shared script, so it replaces nothing.
    let other = try node.importing(BundleDraft()) { $0.profile = "other" }
    #expect(other.siteReplacements.isEmpty)
    // A second import of the image over itself, after a change of its script: the script came with the image.
    try node.put("/install/postscripts/tinyscript", "changed\n")
    let again = try node.importing(BundleDraft()) { $0.replaces = true }
    #expect(again.siteReplacements.isEmpty)
  }

  @Test func `a kit of the site with its rows and scripts is replaced only with --force`() throws {
    func draft(_ version: String, _ script: String) -> BundleDraft {
      var draft = BundleDraft()
      draft.manifest.lines = [
        "<kit><name>k</name><kitname>k</kitname><version>\(version)</version><kitdir>/install/kits/k</kitdir></kit>",
        "<kitcomp><name>c</name><kitcompname>c</kitcompname><kitname>k</kitname></kitcomp>",
      ]
      draft.manifest.osimage["kitcomponents"] = "c"
      draft.put("k/other_files/post.sh", script)
      return draft
    }
    let node = try TestNode.fresh()
    try node.importing(draft("1", "#!/bin/sh\n"))
    // Another image with the same kit.
    let same = try node.importing(draft("1", "#!/bin/sh\n")) { $0.profile = "same" }
    #expect(same.siteReplacements.isEmpty)
    let before = try node.state()
    for other in [draft("2", "#!/bin/sh\n"), draft("1", "#!/bin/sh\nid\n")] {
      let text = refusal { try node.importing(other) { $0.profile = "other" } }
      #expect(text != nil)
      #expect(try node.state() == before)
    }
    let image = try node.importing(draft("2", "#!/bin/sh\nid\n")) {
      $0.profile = "other"
      $0.replaces = true
    }
    #expect(
      Set(image.siteReplacements.map(\.effect)) == [.kit, .kitRow, .postscript],
      "\(image.siteReplacements)")
  }

  @Test func `imported files outside the tree belong to root, and only root can write them`() throws
  {
    guard isRoot else { return }
    let node = try TestNode.fresh()
    let member = "extra/tinyscript"
    let bytes = BundleDraft().replacing(member) { tar in
      tar.header("./\(BundleDraft.directory)/\(member)", size: 10, mode: 0o777) { block in
        block.putOctal(1000, at: 108, width: 8)
        block.putOctal(1000, at: 116, width: 8)
      }
      tar.content(Array("#!/bin/sh\n".utf8))
    }
    try node.workspace.importing(try node.write(bytes))
    let script = node.path("/install/postscripts/tinyscript")
    #expect(try run("stat", "-c", "%a %u %g", script).output == "755 0 0\n")
  }

  // MARK: Privilege

  /// Returns a statelite bundle with a tree of these entries: name, mode, device.
  private func bundle(
    _ entries: [(name: String, mode: Int, device: (Int, Int))], owned: [String] = []
  ) -> BundleDraft {
    var cpio = RawCpio()
    cpio.entry("rootimg", mode: 0o040755, links: 2)
    var directories: Set<String> = []
    func directory(_ path: String) {
      guard !path.isEmpty, directories.insert(path).inserted else { return }
      let parts = path.split(separator: "/")
      directory(parts.dropLast().joined(separator: "/"))
      cpio.entry("rootimg/" + path, mode: 0o040755, links: 2)
    }
    for (name, mode, device) in entries {
      directory(name.split(separator: "/").dropLast().joined(separator: "/"))
      cpio.entry(
        "rootimg/" + name, mode: mode, mode & 0o170000 == 0o100000 ? Array("x".utf8) : [],
        device: device)
    }
    if !owned.isEmpty {
      directory("var/lib/dpkg/info")
      cpio.entry(
        "rootimg/var/lib/dpkg/status", mode: 0o100644,
        Array(
          "Package: tools\nStatus: install ok installed\nArchitecture: amd64\nVersion: 1\n\n".utf8))
      cpio.entry(
        "rootimg/var/lib/dpkg/info/tools.list", mode: 0o100644,
        Array((["/."] + owned.map { "/" + $0 }).joined(separator: "\n").utf8 + [0x0a]))
    }
    cpio.end()
    return .statelite(tree: gzip(cpio.bytes))
  }

  @Test(arguments: [
    ("dev/sda", 0o060666, (8, 0)), ("dev/mem", 0o020640, (1, 1)), ("dev/kmsg", 0o020644, (1, 11)),
    ("etc/null", 0o060666, (1, 3)), ("rootsh", 0o104755, (0, 0)), ("usr/bin/sg", 0o102755, (0, 0)),
    ("tmp/.x/deep/both", 0o106755, (0, 0)),
  ])
  func `privileged files that no package owns are refused`(
    name: String, mode: Int, device: (Int, Int)
  ) throws {
    guard isRoot else { return }
    let node = try TestNode.fresh()
    let before = try node.state()
    let draft = bundle([(name, mode, device), ("dev/null", 0o020666, (1, 3))])
    let text = refusal { try node.importing(draft) { $0.allowsPrivileged = false } }
    #expect(text?.contains(name) == true, "\(text ?? "imported")")
    #expect(try node.state() == before)
    let image = try node.importing(draft) { $0.allowsPrivileged = true }
    #expect(image.privileged.map(\.isExpected).count { $0 } == 1)
    #expect(image.privileged.count == 2)
  }

  @Test func `privileged files of packages and standard devices are listed and accepted`() throws {
    guard isRoot else { return }
    let standard = [(1, 3), (1, 5), (1, 7), (1, 8), (1, 9), (5, 0), (5, 1), (5, 2)]
    let entries =
      standard.enumerated().map { ("dev/d\($0.offset)", 0o020666, $0.element) } + [
        ("usr/bin/su", 0o104755, (0, 0)), ("usr/bin/wall", 0o102755, (0, 0)),
        ("var/mail/lock", 0o102644, (0, 0)),
      ]
    let node = try TestNode.fresh()
    let image = try node.importing(bundle(entries, owned: ["usr/bin/su", "usr/bin/wall"])) {
      $0.allowsPrivileged = false
    }
    #expect(image.privileged.count == 10, "a mark for locks gives no privilege")
    #expect(image.privileged.count { $0.isExpected } == 10)
    #expect(image.privileged.compactMap(\.package) == ["tools", "tools"])
    // A file that only resembles one of those.
    let other = try TestNode.fresh()
    let text = refusal {
      try other.importing(
        self.bundle(
          entries + [("usr/local/bin/su", 0o104755, (0, 0))], owned: ["usr/bin/su", "usr/bin/wall"])
      ) { $0.allowsPrivileged = false }
    }
    #expect(text?.contains("usr/local/bin/su") == true)
  }

  @Test(arguments: [
    ("", "700"), ("/install *(ro,no_root_squash,no_subtree_check)\n", "700"),
    ("/install *(ro,sync)\n", "755"), ("# /install *(ro)\n/srv *(ro)\n", "700"),
    ("/install\t10.0.0.0/8(ro) # nodes\n", "755"),
    ("/install *(ro,all_squash,no_root_squash)\n", "755"),
    ("/install -ro,no_root_squash *\n", "700"),
    ("/install *(ro,sync)\n/install/netboot n1(rw,no_root_squash)\n", "700"),
  ])
  func `an untrusted tree is accessible to root only, unless NFS squashes root`(
    exports: String, mode: String
  ) throws {
    guard isRoot else { return }
    let node = try TestNode.fresh()
    try node.put("/etc/exports", exports)
    let image = try node.importing(
      bundle([("usr/bin/su", 0o104755, (0, 0))], owned: ["usr/bin/su"]))
    #expect(try run("stat", "-c", "%a", node.path(ManifestDraft.boot)).output == mode + "\n")
    #expect(image.remarks.contains { $0.contains(ManifestDraft.boot) })
    let first = try #require(image.imported)
    // Later snapshots and copies have the same tree.
    if mode == "700" {
      try node.put(ManifestDraft.boot + "/rootimg/etc/motd", "x\n")
      let later = try node.workspace.snapshot(image.name).committed
      for snapshot in [first, later] {
        _ = try node.workspace.revert(try #require(image.safety).name)
        try shell("rmdir \"$1\" 2>/dev/null || true", node.path(ManifestDraft.boot))
        #expect(!node.exists(ManifestDraft.boot))
        _ = try node.workspace.revert(snapshot.name)
        #expect(try run("stat", "-c", "%a", node.path(ManifestDraft.boot)).output == "700\n")
      }
      let copy = try node.workspace.copy(CopyRequest(image.name, to: "copied"))
      #expect(try run("stat", "-c", "%a", node.path(copy.directory.text)).output == "700\n")
      // The copy's own history keeps the mode, and so does that of a copy of the copy.
      let again = try node.workspace.copy(CopyRequest("copied", to: "again"))
      for (name, directory) in [("copied", copy.directory), ("again", again.directory)] {
        try shell("rm -r \"$1\"", node.path(directory.text))
        _ = try node.workspace.revert("\(name)@2")
        #expect(try run("stat", "-c", "%a", node.path(directory.text)).output == "700\n")
      }
    }
    // The directories above are still accessible.
    let above = ManifestDraft.boot.split(separator: "/").dropLast().joined(separator: "/")
    #expect(try run("stat", "-c", "%a", node.path("/" + above)).output == "755\n")
  }
}
