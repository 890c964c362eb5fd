// Definitions as text, compared with the output of lsdef and tabdump.

import Foundation
import TestSupport
import Testing

@Suite struct DefinitionTextTests {
  private func imgstore(
    _ directory: TemporaryDirectory, _ arguments: String..., input: String? = nil
  ) throws -> ToolResult {
    try run(
      binary, arguments: arguments,
      environment: [
        "IMGSTORE_STORE": directory.path("store"), "IMGSTORE_XCAT_DIR": directory.path("etc-xcat"),
      ], input: input)
  }

  private func node() throws -> TemporaryDirectory {
    let directory = try TemporaryDirectory()
    try shell("tar xzf \"$2\" -C \"$1\" --no-same-owner", directory.path, fixture("xcat/mn.tgz"))
    return directory
  }

  private func printed(_ directory: TemporaryDirectory, _ name: String) throws -> String {
    try String(contentsOfFile: directory.path("install/\(name)"), encoding: .utf8)
  }

  @Test func `definitions are printed byte for byte as by lsdef and tabdump`() throws {
    let directory = try node()
    let stanzas = try printed(directory, "lsdef-osimage.stanza")
    #expect(try imgstore(directory, "images", "-z").output == stanzas)
    let one = try imgstore(directory, "show", "rhels8.5.0-x86_64-statelite-lite", "-z").output
    #expect(one.utf8.count < stanzas.utf8.count && stanzas.hasSuffix(one.dropFirst(33)))
    for table in ["osimage", "linuximage", "litefile", "nodelist", "postscripts", "site"] {
      #expect(
        try imgstore(directory, "images", "--csv", table).output
          == printed(directory, "tabdump-\(table).csv"))
    }
  }

  @Test func `printed definitions define the same images on another node`() throws {
    let directory = try node()
    let stanzas = try printed(directory, "lsdef-osimage.stanza")
    let other = try TemporaryDirectory()
    try shell("mkdir \"$1/etc-xcat\"", other.path)
    let file = directory.path("install/lsdef-osimage.stanza")
    let name = "rhels8.5.0-x86_64-statelite-lite"
    let one = try imgstore(other, "define", name, "-z", input: stanzas)
    #expect(one.status == 0 && one.output == "set \(name)\n", "\(one.errors)")
    #expect(try imgstore(other, "define", "-z", file).status == 0)
    #expect(try imgstore(other, "images", "-z").output == stanzas)
    let csv = try imgstore(
      other, "define", "--csv", "litefile", directory.path("install/tabdump-litefile.csv"))
    #expect(csv.output == "set 4 rows of litefile\n", "\(csv.errors)")
    #expect(
      try imgstore(other, "images", "--csv", "litefile").output
        == printed(directory, "tabdump-litefile.csv"))
  }

  @Test func `a stanza sets only the attributes it names, and an invalid stanza changes nothing`()
    throws
  {
    let directory = try node()
    let before = try imgstore(directory, "images", "-z").output
    let name = "rhels8.5.0-x86_64-statelite-lite"
    for input in [
      "\(name):\n  objtype=osimage\n  profile=x\nother:\n  objtype=osimage\n  nowhere=1\n",
      "\(name):\n  objtype=node\n", "what\n", "",
    ] {
      let bad = try imgstore(directory, "define", "-z", input: input)
      #expect(bad.status != 0 && !bad.errors.isEmpty)
    }
    #expect(try imgstore(directory, "define", "none", "-z", input: before).status != 0)
    #expect(
      try imgstore(directory, "define", "--csv", "site", input: "#key,value\n\"a\",\"b\"\n").status
        != 0)
    #expect(try imgstore(directory, "images", "-z").output == before)
    let good = try imgstore(
      directory, "define", "-z",
      input: "\(name):\n  objtype=osimage\n  profile=\"x:\"\n  permission=\n")
    #expect(good.status == 0, "\(good.errors)")
    #expect(
      try imgstore(directory, "images", "-z").output
        == before.replacingOccurrences(of: "profile=lite", with: "profile=\"x:\"")
        .replacingOccurrences(
          of: "    permission=755\n    pkglist=/install/custom/netboot/rh/lite",
          with: "    pkglist=/install/custom/netboot/rh/lite"))
  }
}
