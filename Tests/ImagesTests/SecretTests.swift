// Tests that scans name secrets in every layer, and that a scrubbed bundle holds none of their bytes. Real
// tools unpack the bundle; the tests search the result and the decompressed streams.

import Foundation
import Images
import Platform
import Render
import TestSupport
import Testing

@Suite(.usesTools) struct SecretTests {
  /// Creates a node whose image has all plants in its tree, a packed image, and a ramdisk with some plants.
  private func node(
    _ form: (method: PackMethod, codec: SegmentCodec) = (.cpio, .gzip), packs: Bool = true,
    _ script: String = ""
  ) throws -> TestNode {
    let node = try TestNode.toPack(
      "\(quotedFixture("scripts/trees/make-image-with-secrets.sh"))\n\(script)")
    try SecretPlant.plant(in: node.tree)
    _ = try node.workspace.define("img", ["pkglist=/install/custom/p.pkglist"])
    if packs {
      try node.pack { request in
        request.method = form.method
        request.codec = form.codec
      }
    }
    return node
  }

  private static let ramdiskMarker = "ramdiskmarker"

  /// Unpacks all layers of a bundle with real tools, and returns the markers found anywhere.
  private func markers(in bundle: String, _ node: TestNode) throws -> Set<String> {
    let directory = node.directory.path("search-\(randomName())")
    let markers =
      SecretPlant.all.map(\.marker) + [Self.ramdiskMarker, "extramarker", "tokenmarker"]
    try shell("mkdir -p \"$1\"", directory)
    try markers.joined(separator: "\n").appending("\n")
      .write(toFile: "\(directory)/markers", atomically: true, encoding: .utf8)
    let result = try runFixture("scripts/oracles/find-markers-in-bundle.sh", directory, bundle)
    return Set(result.output.split(separator: "\n").map(String.init))
  }

  // MARK: Naming

  @Test func `a scan names each planted secret by its path and rule`() throws {
    let node = try node(packs: false)
    let report = try node.workspace.secrets("img")
    let inTree = report.findings.filter { $0.layer == .tree }
    let kinds = Set(SecretPlant.all.map(\.rule))
    #expect(kinds.count >= 40)
    for plant in SecretPlant.all {
      let found = inTree.filter { printable($0.path) == plant.path }
      #expect(found.contains { $0.rule == plant.rule }, "\(plant): \(found.map(\.rule))")
    }
    // The ramdisk has one, too, after the microcode.
    #expect(
      report.findings.contains {
        $0.layer == .ramdisk && printable($0.path) == "etc/shadow" && $0.kind == .passwordHash
      })
  }

  @Test func `every rule, form and kind of secret has a planted example`() {
    let planted = Set(SecretPlant.all.map(\.rule))
    for rule in SecretRule.table { #expect(planted.contains(rule.id), "\(rule.id)") }
    for form in SecretForm.table { #expect(planted.contains(form.id), "\(form.id)") }
    let ids = SecretRule.table.map(\.id) + SecretForm.table.map(\.id)
    #expect(Set(ids).count == ids.count)
    let kinds = Set(SecretRule.table.map(\.kind) + SecretForm.table.map(\.kind))
      .union([.urlPassword, .configuredPassword])
    #expect(kinds == Set(SecretKind.allCases))
  }

  @Test func `public keys and samples are not secrets`() throws {
    let node = try TestNode.toPack()
    try runFixture("scripts/trees/add-public-keys.sh", node.tree)
    #expect(try node.workspace.secrets("img").findings == [])
  }

  @Test func `nested archives and hard links do not hide secrets`() throws {
    let node = try TestNode.toPack()
    try shell(
      #"""
      cd "$1"; mkdir -p boot etc/munge opt/backup x/etc
      head -c 32 /dev/urandom | base64 > opt/plain; ln opt/plain etc/munge/munge.key
      printf 'root:$6$s$markerAB12cdEF34ghIJ56klMN78opQR90:1::::::\n' > x/etc/shadow
      (cd x; find . | cpio -o -H newc --quiet | zstd -q) > boot/initrd.img-6.1
      tar cJf opt/backup/etc.tar.xz -C x etc; rm -r x
      """#, node.tree)
    let report = try node.workspace.secrets("img")
    let paths = Set(report.findings.map { printable($0.path) })
    #expect(
      paths == [
        "boot/initrd.img-6.1:etc/shadow", "opt/backup/etc.tar.xz:etc/shadow", "etc/munge/munge.key",
        "opt/plain",
      ])
  }

  @Test func `a second scan reads no contents and finds the same secrets`() throws {
    let node = try node()
    let first = try node.workspace.secrets("img")
    let second = try node.workspace.secrets("img")
    #expect(first.findings == second.findings && !first.findings.isEmpty)
    // Damaged caches make no difference.
    try shell(
      "for f in \"$1\"/cache/secrets-*; do echo x >> \"$f\"; done", node.directory.path("store"))
    #expect(try node.workspace.secrets("img").findings == first.findings)
  }

  @Test func `unchanged files of packages are listed as published, not as secrets`() throws {
    let node = try TestNode.toPack()
    try runFixture("scripts/trees/add-packaged-keys.sh", node.tree)
    for layer in [SecretLayer.tree, .packed] {
      if layer == .packed { try node.pack() }
      let report = try node.workspace.secrets("img")
      let found = report.findings.filter { $0.layer == layer }.map { printable($0.path) }
      #expect(Set(found) == ["usr/lib/python3/test/changed.pem", "opt/key.pem"], "\(layer)")
      let published = report.published.filter { $0.layer == layer }
      #expect(published.map(\.package) == ["python3"] && published[0].treatment == .kept)
    }
  }

  @Test func `export and copy list the secrets that they carry, also in a dry run`() throws {
    let node = try node()
    for isDryRun in [true, false] {
      let bundle = node.directory.path("carries.tgz")
      let outcome = try node.workspace.exporting("img", to: bundle) { $0.isDryRun = isDryRun }
      let packed = outcome.secrets.findings.filter { $0.layer == .packed }
      let paths = Set(packed.map { printable($0.path) })
      #expect(Set(SecretPlant.all.map(\.path)).subtracting(paths) == [])
      // A stateless bundle does not contain the tree.
      #expect(!outcome.secrets.findings.contains { $0.layer == .tree })
      var request = CopyRequest("img", to: "copy")
      request.isDryRun = isDryRun
      let copied = try node.workspace.copy(request)
      #expect(copied.secrets.findings.contains { $0.layer == .tree })
      #expect(copied.secrets.findings.contains { $0.layer == .packed })
    }
  }

  // MARK: Scrubbing

  // Without cpio with zstd: xCAT does not look for such images.
  static let forms: [NamedCase<(method: PackMethod, codec: SegmentCodec)>] = [
    NamedCase("cpio with gzip", (.cpio, .gzip)), NamedCase("cpio with xz", (.cpio, .xz)),
    NamedCase("tar with gzip", (.tar, .gzip)), NamedCase("tar with xz", (.tar, .xz)),
    NamedCase("squashfs with gzip", (.squashfs, .gzip)),
    NamedCase("squashfs with zstd", (.squashfs, .zstd)),
    NamedCase("squashfs with xz", (.squashfs, .xz)),
  ]

  @Test(arguments: forms)
  func `a scrubbed bundle of a stateless image contains no planted secret`(
    _ form: NamedCase<(method: PackMethod, codec: SegmentCodec)>
  ) throws {
    let node = try node(form.value)
    let (plain, scrubbed) = (node.directory.path("plain.tgz"), node.directory.path("scrubbed.tgz"))
    _ = try node.workspace.exporting("img", to: plain)
    let found = try markers(in: plain, node)
    #expect(
      Set(SecretPlant.all.map(\.marker) + [Self.ramdiskMarker]).subtracting(found) == [])
    let before = try shell(
      "cd \"$1\"; find packs refs -type f | sort", node.directory.path("store"))
    let outcome = try node.workspace.exporting("img", to: scrubbed) { $0.scrubs = true }
    #expect(try markers(in: scrubbed, node) == [])
    #expect(outcome.secrets.isScrubbed && !outcome.secrets.deliveries.isEmpty)
    // The store and the live image did not change, no temporary files are left, and the bytes repeat.
    let after = try shell("cd \"$1\"; find packs refs -type f | sort", node.directory.path("store"))
    #expect(before.output == after.output)
    #expect(try shell("ls -A \"$1/tmp\"", node.directory.path("store")).output == "")
    let again = node.directory.path("again.tgz")
    _ = try node.workspace.exporting("img", to: again) { $0.scrubs = true }
    try shell("cmp \"$1\" \"$2\"", scrubbed, again)
  }

  @Test func `a scrubbed tree differs only in the secrets`() throws {
    let node = try node()
    let (plain, scrubbed) = (node.directory.path("plain.tgz"), node.directory.path("scrubbed.tgz"))
    _ = try node.workspace.exporting("img", to: plain)
    _ = try node.workspace.exporting("img", to: scrubbed) { $0.scrubs = true }
    for (name, bundle) in [("a", plain), ("b", scrubbed)] {
      try shell(
        """
        mkdir -p "$1/$2/b" "$1/$2/t"; tar xzf "$3" -C "$1/$2/b"; cd "$1/$2/t"
        gzip -dc ../b/img/rootimg.cpio.gz | cpio -idm --quiet
        """, node.directory.path, name, bundle)
    }
    let differing = try shell(
      "cd \"$1\"; rsync -acni --delete a/t/ b/t/ | sed -n 's/^[^.c][^ ]* //p; s/^cd[^ ]* //p' | grep -v '/$' | sort",
      node.directory.path
    ).output.split(separator: "\n").map(String.init)
    let allowed = Set(
      SecretPlant.all.map(\.path).filter { _ in true } + ["opt/xcat/xcatinfo"])
    #expect(Set(differing).isSubset(of: allowed), "\(Set(differing).subtracting(allowed))")
    // Accounts stay without passwords, and configuration without values.
    let directory = node.directory.path("b/t")
    let shadow = try String(contentsOfFile: "\(directory)/etc/shadow", encoding: .utf8)
    #expect(shadow.contains("admin:*:19000:0:99999:7:::") && shadow.contains("bin:*:"))
    let slurm = try String(contentsOfFile: "\(directory)/etc/slurm/slurmdbd.conf", encoding: .utf8)
    #expect(slurm == "StorageHost=a\nStoragePass=\n")
    #expect(FileManager.default.fileExists(atPath: "\(directory)/etc/ssh"))
    let machine = try Data(contentsOf: URL(fileURLWithPath: "\(directory)/etc/machine-id"))
    #expect(machine.isEmpty)
  }

  @Test func `scrubbed statelite and complete bundles contain no planted secret`()
    throws
  {
    let node = try node(packs: false)
    _ = try node.workspace.define("img", ["provmethod=statelite"])
    for isComplete in [false, true] {
      let bundle = node.directory.path("lite-\(isComplete).tgz")
      let outcome = try node.workspace.exporting("img", to: bundle) { request in
        request.scrubs = true
        request.isComplete = isComplete
      }
      #expect(try markers(in: bundle, node) == [])
      #expect(outcome.secrets.findings.contains { $0.layer == .tree })
    }
    let stateless = try self.node()
    let bundle = stateless.directory.path("complete.tgz")
    _ = try stateless.workspace.exporting("img", to: bundle) { request in
      request.scrubs = true
      request.isComplete = true
    }
    #expect(try markers(in: bundle, stateless) == [])
  }

  @Test func `extras, lists and attributes are scrubbed, and an import accepts the bundle`() throws
  {
    let node = try node(
      (.cpio, .gzip), packs: true,
      #"""
      mkdir -p install/extras/deep install/postscripts
      printf -- '-----BEGIN PRIVATE KEY-----\nextramarkerMIIEvQ\n-----END PRIVATE KEY-----\n' > install/extras/deep/a.pem
      printf '#!/bin/sh\nTOKEN=ghp_tokenmarkeraB3dE5fG7h\necho on\n' > install/postscripts/mine; chmod 755 install/postscripts/mine
      mkdir b; echo extramarker > b/munge.key; tar cJf install/extras/b.tar.xz b; echo fine > install/extras/fine
      cp b/munge.key install/extras/munge.key; rm -r b
      """#)
    // Create the directories that an import may write to.
    try shell(
      "mkdir -p \"$1/install/netboot\"; cp -a \"$1/img\" \"$1/install/netboot/img\"", node.path(""))
    _ = try node.workspace.define(
      "img",
      ["addkcmdline=quiet inst.rootpw=tokenmarker1 splash", "rootimgdir=/install/netboot/img"])
    let bundle = node.directory.path("extras.tgz")
    let outcome = try node.workspace.exporting("img", to: bundle) { request in
      request.scrubs = true
      request.extras = [
        ExtraRequest(source: "/install/extras/deep"),
        ExtraRequest(source: "/install/postscripts/mine"),
        ExtraRequest(source: "/install/extras/b.tar.xz"),
        ExtraRequest(source: "/install/extras/fine"),
        ExtraRequest(source: "/install/extras/munge.key"),
      ]
    }
    #expect(try markers(in: bundle, node) == [])
    let definition = outcome.secrets.findings.filter { $0.layer == .definition }
    #expect(definition.map { printable($0.path) } == ["linuximage.addkcmdline"])
    #expect(try memberText("manifest.xml", of: bundle).contains("quiet inst.rootpw= splash"))
    let members = try BundleMembers(bundle)
    #expect(members["./img/extra/mine"]?.mode == "755")
    #expect(members["./img/extra/munge.key"] == nil && members["./img/extra/fine"] != nil)
    let other = try TestNode.toPack()
    let imported = try other.workspace.importing(bundle) { $0.replaces = true }
    #expect(imported.remaining?.isEmpty == true)
  }

  @Test func `a file that cannot be examined makes a scrub fail before it writes`() throws {
    let node = try node()
    try shell(
      "cd \"$1\"; printf '\\004\\042\\115\\030rest of lz4' > initrd-stateless.gz", node.path("img"))
    let bundle = node.directory.path("no.tgz")
    let outcome = try node.workspace.exporting("img", to: bundle) { $0.isDryRun = true }
    #expect(outcome.secrets.unexamined.map { printable($0.path) } == ["/img/initrd-stateless.gz"])
    #expect(throws: ImageError.self) {
      try node.workspace.exporting("img", to: bundle) { $0.scrubs = true }
    }
    #expect(!FileManager.default.fileExists(atPath: bundle))
  }

  // MARK: Documentation

  @Test func `docs/secrets.md lists every rule with its text`() throws {
    let text = try String(contentsOfFile: "\(packageRoot)/docs/secrets.md", encoding: .utf8)
    for rule in SecretRule.table {
      let patterns = rule.patterns.map { "`\($0)`" }.joined(separator: " ")
      let line =
        "| \(rule.id) | \(rule.kind.rawValue) | \(patterns) | \(rule.check.treatment) | \(rule.reason) |"
      #expect(text.contains(line), "\(line)")
    }
    for form in SecretForm.table {
      let needles = form.needles.map { "`\($0)`" }.joined(separator: " ")
      let line = "| \(form.id) | \(form.kind.rawValue) | \(needles) | \(form.reason) |"
      #expect(text.contains(line), "\(line)")
    }
    for kind in SecretKind.allCases { #expect(text.contains("`\(kind.rawValue)`"), "\(kind)") }
  }
}
