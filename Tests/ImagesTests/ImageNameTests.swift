// Names of new images must not be confusable with others. Existing names are accepted, whatever they are.

import Foundation
import HostileBundles
import Images
import Platform
import Store
import TestSupport
import Testing
import XCAT

@Suite(.usesTools) struct ImageNameTests {
  /// Names that look like another name, or that are invisible.
  static let confusable = [
    "compute\u{200b}", "com\u{200d}pute", "\u{feff}compute", "compute\u{e0061}", "comp\u{ad}ute",
    "compute\u{202e}", "compute\u{2066}x", "compute\u{301}", "c\u{43e}mpute", "\u{441}ompute",
    "ｃompute",
    "comp\u{a0}ute", "com pute", "compute\u{3164}", "compute\u{2800}", "compute\u{fe0f}",
    "compute\u{34f}",
    "computé", "compute\u{37e}", "com\u{2215}pute", "compute\u{ff0e}x", "compute,x", "a=b", "a*",
    "~root", "$x",
  ]
  private static let attributes = [
    "provmethod=netboot", "rootimgdir=/img", "profile=p", "osvers=rhels9", "osarch=x86_64",
  ]

  @Test(arguments: confusable)
  func `a new image name that resembles another is refused`(_ name: String) throws {
    let directory = try TemporaryDirectory()
    let workspace = try Workspace.test(directory)
    try shell("echo x >\"$1/root/img/rootimg/file\"", directory.path)
    _ = try workspace.snapshot("img")
    let stanza = "\(name):\n    objtype=osimage\n    profile=p\n"
    let csv = "#imagename,profile\n\"\(name)\",\"p\"\n"
    let bundle = directory.path("b.tgz")
    var draft = BundleDraft()
    try Data(draft.bundle()).write(to: URL(fileURLWithPath: bundle))
    try shell("mkdir -p \"$1/root/install\"", directory.path)
    #expect(throws: (any Error).self) { try workspace.define(name, Self.attributes) }
    #expect(throws: (any Error).self) { try workspace.define(stanzas: Array(stanza.utf8)) }
    #expect(throws: (any Error).self) {
      try workspace.define(table: "osimage", csv: Array(csv.utf8))
    }
    #expect(throws: (any Error).self) { try workspace.copy(CopyRequest("img@1", to: name)) }
    #expect(throws: (any Error).self) { try workspace.importing(bundle) { $0.name = name } }
    draft.manifest.osimage["imagename"] = name
    draft.manifest.linuximage["imagename"] = name
    try Data(draft.bundle()).write(to: URL(fileURLWithPath: bundle))
    for allows in [false, true] {
      #expect(throws: (any Error).self) {
        try workspace.importing(bundle) { $0.allowsUnsafeValues = allows }
      }
    }
    #expect(throws: (any Error).self) { try workspace.tag("img@1", as: name) }
    #expect(try workspace.images().map(\.name) == ["img"])
  }

  @Test func `an existing image keeps its name`() throws {
    for name in ["computé", "com\u{200b}pute", "c\u{43e}mpute"] {
      let node = try TestNode.fresh(stage: { root in
        try shell(
          "mkdir -p \"$1/install/odd/rootimg/etc\"; echo x >\"$1/install/odd/rootimg/etc/x\"",
          root)
      })
      // An earlier program, or an administrator, created the rows.
      try node.tables.apply([
        RowChange(
          schema: .osimage, key: ["imagename": name],
          columns: [
            "provmethod": "netboot", "profile": "p", "osvers": "rhels9", "osarch": "x86_64",
            "imagetype": "linux",
          ], keepsOtherColumns: true),
        RowChange(
          schema: .linuximage, key: ["imagename": name], columns: ["rootimgdir": "/install/odd"],
          keepsOtherColumns: true),
      ])
      let workspace = node.workspace
      #expect(try workspace.images().map(\.name) == [name])
      _ = try workspace.snapshot(name)
      #expect(try workspace.log(name).count == 1)
      _ = try workspace.define(name, ["description=still"])
      #expect(try workspace.find(Reference("\(name)@1")).snapshot.image == name)
      let copied = try workspace.copy(CopyRequest("\(name)@1", to: "plain"))
      #expect(copied.remaining?.isEmpty == true)
      // The rows are lost, but the history keeps the name.
      for table in ["osimage", "linuximage"] {
        try node.sql(table, "delete from \(table) where imagename='\(name)'")
      }
      #expect(try workspace.images().map(\.name).contains(name))
      _ = try workspace.define(name, Self.attributes)
    }
  }

  @Test func `the error for an invalid name names the character`() throws {
    for (name, code) in [("a\u{200b}", "U+200B"), ("\u{e0061}x", "U+E0061"), ("a b", "U+0020")] {
      let error = #expect(throws: StoreError.self) { try ImageName(name).requirePlain() }
      #expect(error?.kind == .badName)
      #expect(error?.reason.contains(code) == true, "\(error?.reason ?? "")")
      #expect(error.map { !$0.message.unicodeScalars.contains("\u{200b}") } == true)
    }
    for name in ["compute", "rhels9.4-x86_64-netboot-compute", "a+b", "_x", "1"] {
      #expect(throws: Never.self) { try ImageName(name).requirePlain() }
    }
  }

  @Test func `a kit's repository in the place of another directory is refused`() throws {
    for (directory, name) in [
      ("/", "etc"), ("/install", "netboot"), ("http://m/u jammy main", "etc"), ("/install/x", "y"),
    ] {
      let node = try TestNode.fresh(stage: { root in
        try shell("mkdir -p \"$1/etc\" \"$1/install/netboot\" \"$1/install/x/y\"", root)
      })
      var draft = BundleDraft.withDirectories
      draft.manifest.linuximage["otherpkgdir"] = directory
      draft.manifest.lines = draft.manifest.lines.map {
        $0.replacing("<kitpkgdeps>", with: "<kitreponame>\(name)</kitreponame><kitpkgdeps>")
      }
      let bundle = node.directory.path("b.tgz")
      try Data(draft.bundle()).write(to: URL(fileURLWithPath: bundle))
      let error = #expect(throws: ImageError.self, "\(directory)") {
        try node.workspace.importing(bundle)
      }
      #expect(error?.subject.contains(name) == true)
    }
  }
}
