// Tables, manifests and profile names, compared with output of the real xCAT.

import Foundation
import Platform
import TestSupport
import Testing
import XCAT

@Suite(.usesTools) struct TableTests {
  private func node(_ directory: TemporaryDirectory) throws -> SQLiteTableBackend {
    try shell("tar xzf \"$2\" -C \"$1\" --no-same-owner", directory.path, fixture("xcat/mn.tgz"))
    return SQLiteTableBackend(
      KernelFileSystem.shared, directory: Array(directory.path("etc-xcat").utf8), mayCreate: true)
  }

  @Test func `definitions equal the output of lsdef`() throws {
    let directory = try TemporaryDirectory()
    let tables = try node(directory)
    var text = "# <xCAT data object stanza file>\n"
    for name in try tables.imageNames() {
      text += "\n\(name):\n    objtype=osimage\n"
      for (attribute, value) in try #require(try tables.definition(of: name)).attributes {
        text += "    \(attribute)=\(value)\n"
      }
    }
    let stanza = try String(
      contentsOfFile: directory.path("install/lsdef-osimage.stanza"), encoding: .utf8)
    #expect(text.trimmingCharacters(in: .newlines) == stanza.trimmingCharacters(in: .newlines))
    #expect(try tables.site("installdir") == "/install")
  }

  @Test func `a replaced row loses stale columns, and other rows stay`() throws {
    let directory = try TemporaryDirectory()
    let tables = try node(directory)
    let name = "rhels8.5.0-x86_64-netboot-compute"
    let others = try tables.imageNames().filter { $0 != name }
    let before = try others.map { try tables.definition(of: $0) }
    // Columns in another order, as on an upgraded node, and an unknown one.
    try shell(
      "sqlite3 \"$1/etc-xcat/osimage.sqlite\" 'ALTER TABLE osimage ADD future TEXT'", directory.path
    )
    var definition = try #require(try tables.definition(of: name))
    definition.osimage["description"] = nil
    definition.osimage["future"] = "it's \"quoted\""
    definition.linuximage["nowhere"] = "x"
    #expect(try tables.setDefinition(of: name, definition) == ["linuximage.nowhere"])
    definition.linuximage["nowhere"] = nil
    #expect(try tables.definition(of: name) == definition)
    #expect(try others.map { try tables.definition(of: $0) } == before)
    try tables.setDefinition(of: name, ImageDefinition())
    #expect(try tables.definition(of: name) == nil)
  }

  @Test func `a disabled row is invisible`() throws {
    let directory = try TemporaryDirectory()
    let tables = try node(directory)
    for (value, isVisible) in [
      ("1", false), ("yes", false), ("", false), ("0", true), ("no", true),
    ] {
      try shell(
        "sqlite3 \"$1/etc-xcat/osimage.sqlite\" \"UPDATE osimage SET disable='$2'\"",
        directory.path,
        value)
      #expect(try tables.imageNames().isEmpty == !isVisible, "disable='\(value)'")
    }
  }

  @Test func `a disabled row is not overwritten`() throws {
    let directory = try TemporaryDirectory()
    let tables = try node(directory)
    try shell(
      "sqlite3 \"$1/etc-xcat/osimage.sqlite\" \"UPDATE osimage SET disable='1', comments='keep'\"",
      directory.path)
    #expect(throws: XCATError.self) {
      try tables.setDefinition(
        of: "rhels8.5.0-x86_64-netboot-compute", ImageDefinition(osimage: ["profile": "p"]))
    }
    #expect(
      try run(
        "sqlite3", directory.path("etc-xcat/osimage.sqlite"),
        "SELECT count(*) FROM osimage WHERE comments='keep'"
      ).output == "3\n")
  }

  @Test func `new tables are created as by xCAT`() throws {
    let directory = try TemporaryDirectory()
    _ = try node(directory)
    let fresh = SQLiteTableBackend(
      KernelFileSystem.shared, directory: Array(directory.path("fresh").utf8), mayCreate: true)
    try fresh.setDefinition(
      of: "x", ImageDefinition(osimage: ["profile": "p"], linuximage: ["exlist": "/e"]))
    for table in ["osimage", "linuximage"] {
      let ours = try run("sqlite3", directory.path("fresh/\(table).sqlite"), ".schema").output
      let theirs = try run("sqlite3", directory.path("etc-xcat/\(table).sqlite"), ".schema").output
      #expect(ours == theirs)
      #expect(
        try run("stat", "-c", "%a", directory.path("fresh/\(table).sqlite")).output == "600\n")
    }
  }

  @Test(arguments: ["stateless", "stateless-base-exlist", "stateless-sfs"])
  func `a manifest is written byte for byte as xCAT writes it`(_ name: String) throws {
    let text = try run("tar", "xzOf", fixture("xcat/\(name).tgz"), "--wildcards", "*/manifest.xml")
      .output
    let manifest = try Manifest.parse(Array(text.utf8))
    #expect(try String(decoding: manifest.render(), as: UTF8.self) == text)
  }

  @Test func `a flat manifest of 2.7 is read`() throws {
    let flat = """
      <?xml version="1.0"?>
      <xcatimage><imagename>i</imagename><profile>compute</profile><provmethod>netboot</provmethod>
      <osvers>sles11</osvers><osarch>ppc64</osarch><exlist>/install/x.exlist</exlist>
      <postscripts>a,b</postscripts><kernel>/install/k</kernel><ramdisk>/install/r</ramdisk>
      <rootimg>/install/g</rootimg></xcatimage>
      """
    let manifest = try Manifest.parse(Array(flat.utf8))
    #expect(
      manifest.osimage["profile"] == "compute"
        && manifest.linuximage["exlist"] == "/install/x.exlist")
    #expect(
      manifest.values == [
        "postscripts": "a,b", "kernel": "/install/k", "ramdisk": "/install/r",
        "rootimg": "/install/g",
      ])
    #expect(manifest.osimage["postscripts"] == nil, "the node's list is not the image's")
  }

  @Test func `profiles are renamed by xCAT's rules, without its defects`() throws {
    func renamed(_ osimage: [String: String], _ linuximage: [String: String], to new: String) throws
      -> Manifest
    {
      var base = [
        "imagename": "i", "profile": "c.d", "provmethod": "netboot", "osvers": "debian12",
        "osarch": "x86_64",
      ]
      base.merge(osimage) { $1 }
      return try ProfileRename.apply(
        Manifest(
          osimage: base, linuximage: linuximage,
          values: ["kernel": "/install/netboot/a/b/c/kernel"], extras: []),
        to: new, installDirectory: try #require(AbsolutePath("/install")))
    }
    let one = try renamed(
      ["synclists": "/x/c.d.sync,/y/other"],
      [
        "pkglist": "/opt/xcat/share/xcat/netboot/debian/c.d.pkglist", "exlist": "/x/cXd.exlist",
        "postinstall": "/x/c.d.post a b",
      ],
      to: "new")
    #expect(one.osimage["synclists"] == "/x/new.sync,/y/new.other")
    #expect(
      one.linuximage["pkglist"] == "/install/custom/netboot/debian/new.pkglist",
      "a folder, not '//'")
    #expect(one.linuximage["exlist"] == "/x/new.cXd.exlist", "the name is text, not a pattern")
    #expect(one.linuximage["postinstall"] == "/x/new.post a b")
    #expect(
      one.values["kernel"] == "/install/netboot/debian12/x86_64/new/kernel",
      "the source is not overwritten")
    #expect(one.imageName == "debian12-x86_64-netboot-new")
    #expect(throws: XCATError.self) { try renamed([:], [:], to: "../../etc") }
  }
}
