// Definitions as text, compared with the output of lsdef and tabdump.

import Foundation
import TestSupport
import Testing

@Suite struct DefinitionTextTests {
  private func imgstore(
    _ folder: TemporaryFolder, _ arguments: String..., input: String? = nil
  ) throws -> ToolResult {
    try run(
      binary, arguments: arguments,
      environment: [
        "IMGSTORE_STORE": folder.path("store"), "IMGSTORE_XCAT_DIR": folder.path("etc-xcat"),
      ], input: input)
  }

  private func node() throws -> TemporaryFolder {
    let folder = try TemporaryFolder()
    try shell("tar xzf \"$2\" -C \"$1\" --no-same-owner", folder.path, fixture("xcat/mn.tgz"))
    return folder
  }

  private func printed(_ folder: TemporaryFolder, _ name: String) throws -> String {
    try String(contentsOfFile: folder.path("install/\(name)"), encoding: .utf8)
  }

  @Test func `definitions are printed byte for byte as by lsdef and tabdump`() throws {
    let folder = try node()
    let stanzas = try printed(folder, "lsdef-osimage.stanza")
    #expect(try imgstore(folder, "images", "-z").output == stanzas)
    let one = try imgstore(folder, "show", "rhels8.5.0-x86_64-statelite-lite", "-z").output
    #expect(one.utf8.count < stanzas.utf8.count && stanzas.hasSuffix(one.dropFirst(33)))
    for table in ["osimage", "linuximage", "litefile", "nodelist", "postscripts", "site"] {
      #expect(
        try imgstore(folder, "images", "--csv", table).output
          == printed(folder, "tabdump-\(table).csv"))
    }
  }

  @Test func `printed definitions define the same images on another node`() throws {
    let folder = try node()
    let stanzas = try printed(folder, "lsdef-osimage.stanza")
    let other = try TemporaryFolder()
    try shell("mkdir \"$1/etc-xcat\"", other.path)
    let file = folder.path("install/lsdef-osimage.stanza")
    let name = "rhels8.5.0-x86_64-statelite-lite"
    let one = try imgstore(other, "define", name, "-z", input: stanzas)
    #expect(one.status == 0 && one.output == "set \(name)\n", "\(one.errors)")
    #expect(try imgstore(other, "define", "-z", file).status == 0)
    #expect(try imgstore(other, "images", "-z").output == stanzas)
    let csv = try imgstore(
      other, "define", "--csv", "litefile", folder.path("install/tabdump-litefile.csv"))
    #expect(csv.output == "set 4 rows of litefile\n", "\(csv.errors)")
    #expect(
      try imgstore(other, "images", "--csv", "litefile").output
        == printed(folder, "tabdump-litefile.csv"))
  }

  @Test func `a stanza sets only the attributes it names, and an invalid stanza changes nothing`()
    throws
  {
    let folder = try node()
    let before = try imgstore(folder, "images", "-z").output
    let name = "rhels8.5.0-x86_64-statelite-lite"
    for input in [
      "\(name):\n  objtype=osimage\n  profile=x\nother:\n  objtype=osimage\n  nowhere=1\n",
      "\(name):\n  objtype=node\n", "what\n", "",
    ] {
      let bad = try imgstore(folder, "define", "-z", input: input)
      #expect(bad.status != 0 && !bad.errors.isEmpty)
    }
    #expect(try imgstore(folder, "define", "none", "-z", input: before).status != 0)
    #expect(
      try imgstore(folder, "define", "--csv", "site", input: "#key,value\n\"a\",\"b\"\n").status
        != 0)
    #expect(try imgstore(folder, "images", "-z").output == before)
    let good = try imgstore(
      folder, "define", "-z",
      input: "\(name):\n  objtype=osimage\n  profile=\"x:\"\n  permission=\n")
    #expect(good.status == 0, "\(good.errors)")
    #expect(
      try imgstore(folder, "images", "-z").output
        == before.replacingOccurrences(of: "profile=lite", with: "profile=\"x:\"")
        .replacingOccurrences(
          of: "    permission=755\n    pkglist=/install/custom/netboot/rh/lite",
          with: "    pkglist=/install/custom/netboot/rh/lite"))
  }
}
