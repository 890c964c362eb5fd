// The forms of bundles for import and export: compression, member order, several images, a manifest at the
// top, standard input. Also entry kinds that no bundle can hold, --name and --allow.

import Foundation
import Glibc
import HostileBundles
import Images
import Platform
import TestSupport
import Testing

@Suite(.usesTools) struct ImportFormTests {
  static let boot = ManifestDraft.boot

  /// Returns the members of a draft, including its manifest, with their names inside the directory.
  private func members(_ draft: BundleDraft) -> [(name: String, data: [UInt8])] {
    [("manifest.xml", Array(draft.manifest.text.utf8))] + draft.files
  }

  private func archive(_ members: [(name: String, data: [UInt8])], _ prefix: String) -> [UInt8] {
    var tar = RawTar()
    for member in members { tar.file(prefix + member.name, member.data) }
    tar.end()
    return tar.bytes
  }

  /// Returns the state of a node after an import of the unchanged draft.
  private func plain() throws -> TestNode.State {
    let node = try TestNode.fresh()
    try node.importing(BundleDraft())
    return try node.state().withoutTableFiles
  }

  @Test(arguments: seeds)
  func `members are accepted in any order, with or without a leading dot or a top directory`(
    _ seed: UInt64
  ) throws {
    let expected = try plain()
    var random = SplitMix64(seed)
    for prefix in [
      "./\(BundleDraft.directory)/", "\(BundleDraft.directory)/", "./other name/", "./", "",
    ] {
      let node = try TestNode.fresh()
      let shuffled = members(BundleDraft()).shuffled(using: &random)
      try node.workspace.importing(try node.write(gzip(archive(shuffled, prefix))))
      #expect(try node.state().withoutTableFiles == expected, "seed \(seed), '\(prefix)'")
    }
  }

  @Test(arguments: ["cat", "gzip -1", "xz -1", "zstd -q", "xz -1 --check=crc32", "gzip -9n"])
  func `a bundle is accepted with every usual compression`(_ tool: String) throws {
    let node = try TestNode.fresh()
    let tar = try node.write(archive(members(BundleDraft()), "./x/"), as: "plain.tar")
    let bundle = node.directory.path("bundle")
    try shell("\(tool) <\"$1\" >\"$2\"", tar, bundle)
    try node.workspace.importing(bundle)
    #expect(try node.state().withoutTableFiles == plain())
  }

  @Test func `several images in one tar are imported all or not at all`() throws {
    func draft(_ profile: String) -> BundleDraft {
      var draft = BundleDraft()
      let directory = "/install/netboot/rhels9/x86_64/\(profile)"
      draft.manifest.osimage["imagename"] = "image-\(profile)"
      draft.manifest.linuximage["imagename"] = "image-\(profile)"
      draft.manifest.osimage["profile"] = profile
      draft.manifest.linuximage["rootimgdir"] = directory
      for key in ["kernel", "ramdisk", "rootimg"] {
        let name = draft.manifest.values[key]?.split(separator: "/").last ?? ""
        draft.manifest.values[key] = "\(directory)/\(name)"
      }
      draft.put("kernel", profile)
      return draft
    }
    func bundle(_ drafts: [BundleDraft]) -> [UInt8] {
      var tar = RawTar()
      for (i, draft) in drafts.enumerated() {
        for member in members(draft).reversed() { tar.file("./f\(i)/\(member.name)", member.data) }
      }
      tar.end()
      return gzip(tar.bytes)
    }
    let node = try TestNode.fresh()
    let before = try node.state().withoutTableFiles
    let outcome = try node.workspace.importBundle(
      ImportRequest(try node.write(bundle([draft("one"), draft("two")]))))
    #expect(outcome.images.map(\.name) == ["image-one", "image-two"])
    for name in ["one", "two"] {
      #expect(try node.text("/install/netboot/rhels9/x86_64/\(name)/kernel") == name)
    }
    // The imports are reverted one by one. The lists that both name are removed with the last one.
    for image in outcome.images.reversed() {
      _ = try node.workspace.revert(try #require(image.safety).name)
    }
    #expect(try node.state().withoutTableFiles == before)

    var broken = draft("two")
    broken.files.removeAll { $0.name == "rootimg.cpio.gz" }
    let path = try node.write(bundle([draft("one"), broken]))
    #expect(refusal { _ = try node.workspace.importBundle(ImportRequest(path)) } != nil)
    #expect(try node.state().withoutTableFiles == before)
    // One name for two images is refused, and so is one image twice.
    let both = try node.write(bundle([draft("one"), draft("two")]))
    #expect(
      refusal { try node.workspace.importing(both) { $0.name = "n" } }?.contains("--name") == true)
    let twice = try node.write(bundle([draft("one"), draft("one")]))
    #expect(refusal { try node.workspace.importing(twice) }?.contains("image-one") == true)
    #expect(try node.state().withoutTableFiles == before)
  }

  @Test func `an image can be imported under another name`() throws {
    let node = try TestNode.fresh()
    let image = try node.importing(BundleDraft()) { ($0.name, $0.profile) = ("mine", "own") }
    #expect(image.name == "mine")
    #expect(try node.rows()["osimage"]?.map { $0["imagename"] } == ["mine"])
    #expect(try node.rows()["linuximage"]?.map { $0["imagename"] } == ["mine"])
    #expect(node.exists("/install/netboot/rhels9/x86_64/own/kernel"))
    let (bundle, _) = try node.exporting("mine")
    #expect(try BundleMembers(bundle)["./mine/kernel"] != nil)
    for name in ["../x", "a/b", "", "a\nb"] {
      #expect(refusal { try node.importing(BundleDraft()) { $0.name = name } } != nil, "\(name)")
    }
  }

  @Test(arguments: ["/", "opt", "", "/opt/../etc"])
  func `--allow of a path that is not a directory below the root allows nothing`(
    _ directory: String
  )
    throws
  {
    let node = try TestNode.fresh()
    let text = refusal { try node.importing(BundleDraft()) { $0.allowed = [directory] } }
    #expect(text?.contains("--allow") == true, "\(text ?? "imported")")
  }

  // MARK: Kinds

  @Test func `an s390x image is exported with its disk images and imported again`() throws {
    for method in ["raw", "netboot", "sysclone"] {
      let node = try TestNode.fresh()
      let directory = "/install/\(method)/sles15/s390x/z"
      try node.put("\(directory)/0100.img", "one")
      try node.put("\(directory)/0101.img", "two")
      try node.put("\(directory)/notes", "no image")
      _ = try node.workspace.define(
        "z", ["provmethod=\(method)", "osvers=sles15", "osarch=s390x", "profile=z"])
      let (bundle, outcome) = try node.exporting("z")
      #expect(outcome.members.map(\.name).sorted() == ["0100.img", "0101.img"])
      let manifest = try memberText("manifest.xml", of: bundle)
      #expect(manifest.contains("    <files>\(directory)/0100.img</files>\n"), "\(manifest)")
      let other = try TestNode.fresh()
      try other.workspace.importing(bundle) { $0.profile = "new" }
      #expect(try other.text("/install/\(method)/sles15/s390x/new/0101.img") == "two")
      try shell("rm \"$1\"/*.img", node.path(directory))
      #expect(
        refusal { _ = try node.exporting("z") }?.contains("Could not open image files") == true)
    }
  }

  @Test func `an ESXi image is exported as its definition and lists`() throws {
    let node = try TestNode.fresh()
    try node.put("/install/custom/netboot/esxi/e.pkglist", "p")
    _ = try node.workspace.define(
      "esx",
      [
        "provmethod=netboot", "osvers=esxi7", "osarch=x86_64", "profile=e",
        "pkglist=/install/custom/netboot/esxi/e.pkglist",
      ])
    let (bundle, outcome) = try node.exporting("esx")
    #expect(outcome.members.map(\.name) == ["e.pkglist"])
    let other = try TestNode.fresh()
    #expect(try other.workspace.importing(bundle).remaining?.isEmpty == true)
    #expect(try other.text("/install/custom/netboot/esxi/e.pkglist") == "p")
    #expect(try other.rows()["osimage"]?.first?["osvers"] == "esxi7")
  }

  static let foreign = [
    (["imagetype=windows", "provmethod=install", "osvers=win2k22"], "Windows"),
    (["imagetype=NIM", "provmethod=netboot", "osvers=AIX"], "AIX"),
    (["imagetype=linux", "provmethod=boottarget", "osvers=rhels9"], "boottarget"),
    (["imagetype=linux", "provmethod=dualboot", "osvers=rhels9"], "dualboot"),
    (["imagetype=linux", "provmethod=raw", "osvers=rhels9"], "osarch 'x86_64'"),
    (["imagetype=linux", "provmethod=sysclone", "osvers=rhels9"], "osarch 'x86_64'"),
  ]

  @Test(arguments: foreign)
  func `image types that no bundle can hold are refused by export and import`(
    _ columns: [String], _ word: String
  ) throws {
    let node = try TestNode.fresh()
    _ = try node.workspace.define("img", columns + ["osarch=x86_64", "profile=p"])
    let out = refusal { _ = try node.exporting("img") }
    #expect(out?.contains(word) == true && out?.contains("Exporting") == true, "\(out ?? "")")
    var draft = BundleDraft()
    for column in columns {
      let parts = column.split(separator: "=").map(String.init)
      draft.manifest.osimage[parts[0]] = parts[1]
    }
    let fresh = try TestNode.fresh()
    let before = try fresh.state()
    let into = refusal { try fresh.importing(draft) }
    #expect(into?.contains(word) == true && into?.contains("Importing") == true, "\(into ?? "")")
    #expect(try fresh.state() == before)
  }
}
