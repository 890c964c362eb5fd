// Bundles and sites as administrators set them up: extras of every shape, their own symbolic links, lists
// that are links, and nodes with their own lists.

import Foundation
import HostileBundles
import Images
import Platform
import Store
import TestSupport
import Testing
import XCAT

/// An exporting site and an importing site.
private struct Sites {
  let directory: TemporaryDirectory
  let from: Workspace
  let to: Workspace
  static let boot = "/install/netboot/rhels9.4/x86_64/c"

  init(_ attributes: [String: String] = [:]) throws {
    directory = try TemporaryDirectory()
    try shell(
      """
      cd "$1"; mkdir -p a/root\(Sites.boot)/rootimg/etc a/root/install/custom b/root/install
      echo bash >a/root/install/custom/c.pkglist
      for f in kernel initrd-stateless.gz rootimg.cpio.gz; do echo $f >a/root\(Sites.boot)/$f; done
      """, directory.path)
    from = try Workspace(
      WorkspaceOptions(store: directory.path("a/store"), root: directory.path("a/root"))
    ) { _ in }
    to = try Workspace(
      WorkspaceOptions(store: directory.path("b/store"), root: directory.path("b/root"))
    ) { _ in }
    var all = [
      "imagetype": "linux", "provmethod": "netboot", "osvers": "rhels9.4", "osarch": "x86_64",
      "profile": "c", "rootimgdir": Sites.boot, "pkglist": "/install/custom/c.pkglist",
    ]
    all.merge(attributes) { $1 }
    _ = try from.define("c", all.map { "\($0.key)=\($0.value)" })
  }

  func export(_ extras: [ExtraRequest] = []) throws -> String {
    let bundle = directory.path("c-\(randomName()).tgz")
    _ = try from.exporting("c", to: bundle) { $0.extras = extras }
    return bundle
  }

  func path(_ path: String) -> String { directory.path("b/root\(path)") }
}

@Suite(.usesTools) struct ForeignSiteTests {
  // MARK: Exports can be imported

  @Test(arguments: seeds)
  func `every exported set of extras can be imported`(_ seed: UInt64) throws {
    var random = SplitMix64(seed)
    for round in 0..<4 {
      let sites = try Sites()
      let tops = sites.directory.path("a/root/install")
      try runFixture(
        "scripts/trees/make-random-extras.py", tops, "\(seed % 10000 + UInt64(round))")
      var extras = [ExtraRequest(source: "/install/x"), ExtraRequest(source: "/install/y")]
      let listed = try run(
        "find", tops + "/x", "-mindepth", "1", "(", "-type", "d", "-o", "-type", "f", ")")
      for line in listed.output.split(separator: "\n") where Bool.random(using: &random) {
        let name = "/install" + line.dropFirst(tops.count)
        extras.append(
          ExtraRequest(
            source: name, destination: Bool.random(using: &random) ? "/install/other" : nil))
      }
      let bundle: String
      do { bundle = try sites.export(extras) } catch let error as any ExplainedError {
        // The export is refused before anything is written, and the error names the file.
        #expect(error.subject.hasPrefix("/install/"), "\(error), seed \(seed)")
        continue
      }
      let imported = try sites.to.importing(bundle)
      #expect(imported.remaining?.isEmpty == true, "seed \(seed), round \(round)")
      for top in ["x", "y"]
      where FileManager.default.fileExists(atPath: sites.path("/install/\(top)")) {
        let found = try run(
          "rsync", "-rlpn", "--checksum", "--delete", "--itemize-changes", "--omit-dir-times",
          tops + "/\(top)/", sites.path("/install/\(top)/"))
        // Empty directories within an extra are not separate members.
        let lines = found.output.split(separator: "\n").filter {
          !$0.hasPrefix("cd") && !$0.hasPrefix(".d")
        }
        #expect(lines.isEmpty, "\(lines), seed \(seed), round \(round)")
      }
    }
  }

  /// Extras that an import would refuse, so the export refuses them.
  static let refused: [NamedCase<(make: String, extras: [ExtraRequest])>] = [
    NamedCase(
      "a link to an absolute path",
      ("mkdir x; ln -s /usr/bin/python3 x/py", [ExtraRequest(source: "/install/x")])),
    NamedCase(
      "a line break in a name",
      ("mkdir x; touch $'x/a\\nb'", [ExtraRequest(source: "/install/x")])),
    NamedCase(
      "a link out of the directory",
      ("mkdir x; ln -s ../../y x/up", [ExtraRequest(source: "/install/x")])),
    NamedCase(
      "two directories with one destination",
      (
        "mkdir x y; echo 1 >x/f; echo 2 >y/f",
        [
          ExtraRequest(source: "/install/x", destination: "/install/z"),
          ExtraRequest(source: "/install/y", destination: "/install/z"),
        ]
      )),
    NamedCase(
      "a file in the place of a directory",
      (
        "mkdir x; echo 1 >x/f; echo 2 >z",
        [
          ExtraRequest(source: "/install/x", destination: "/install/t/z"),
          ExtraRequest(source: "/install/z", destination: "/install/t"),
        ]
      )),
  ]

  @Test(arguments: refused)
  func `an export is refused if its import would be refused`(
    _ request: NamedCase<(make: String, extras: [ExtraRequest])>
  ) throws {
    let (make, extras) = request.value
    let sites = try Sites()
    try shell("cd \"$1\"; \(make)", sites.directory.path("a/root/install"))
    let error = #expect(throws: (any Error).self) { try sites.export(extras) }
    #expect(
      (error as? any ExplainedError)?.subject.hasPrefix("/install/") == true, "\(error as Any)")
    let left = try FileManager.default.contentsOfDirectory(atPath: sites.directory.path)
    #expect(Set(left) == ["a", "b"])
  }

  @Test func `nested directories, files of the same name and 400 MB of zeros are transferred`()
    throws
  {
    let sites = try Sites()
    try shell(
      """
      cd "$1/install"; mkdir -p x/d; echo f >x/d/f; echo g >x/g; ln -s g x/l; mkdir q; echo i >q/install
      truncate -s 400M x/zeros
      """, sites.directory.path("a/root"))
    let bundle = try sites.export([
      ExtraRequest(source: "/install/x/d"), ExtraRequest(source: "/install/x"),
      ExtraRequest(source: "/install/q/install"), ExtraRequest(source: "/install/x/d"),
    ])
    let imported = try sites.to.importing(bundle)
    #expect(imported.remaining?.isEmpty == true && imported.apply.report.problems.isEmpty)
    #expect(try run("readlink", sites.path("/install/x/l")).output == "g\n")
    #expect(
      try run("cat", sites.path("/install/q/install"), sites.path("/install/x/d/f")).output
        == "i\nf\n")
    #expect(try sites.to.status("c").diff.isEmpty)
  }

  // MARK: Links of the administrator's

  @Test func `an import follows links of root, and a revert does too`() throws {
    let sites = try Sites()
    let bundle = try sites.export()
    try shell(
      "mkdir -p \"$1/big/netboot\" \"$1/data\"; ln -s /big/netboot \"$1/install/netboot\"; ln -s ../data \"$1/install/custom\"",
      sites.path(""))
    let imported = try sites.to.importing(bundle)
    #expect(imported.remaining?.isEmpty == true)
    #expect(
      FileManager.default.fileExists(atPath: sites.path("/big/netboot/rhels9.4/x86_64/c/kernel")))
    #expect(FileManager.default.fileExists(atPath: sites.path("/data/c.pkglist")))
    let safety = try #require(imported.safety)
    _ = try sites.to.revert(safety.name)
    #expect(!FileManager.default.fileExists(atPath: sites.path("/data/c.pkglist")))
    #expect(try run("readlink", sites.path("/install/netboot")).output == "/big/netboot\n")
  }

  /// Links that other users could have made, or that came with an image.
  static let foreignLinks = [
    "ln -s /big install/netboot; chown -h 1000:1000 install/netboot",
    "ln -s /big install/netboot; chmod 777 install",
    "ln -s /usr install/netboot", "ln -s /big/etc install/netboot; ln -s /etc big/etc",
    "mkdir -p install/netboot/rhels9.4/x86_64/rootimg; ln -s rootimg/c install/netboot/rhels9.4/x86_64/c; ln -s /big install/netboot/rhels9.4/x86_64/rootimg/c",
    "mkdir -p big; ln -s loop install/netboot; ln -s netboot install/loop",
  ]

  @Test(arguments: foreignLinks)
  func `an import does not follow links of other users`(_ make: String) throws {
    guard isRoot else { return }
    let sites = try Sites()
    let bundle = try sites.export()
    try shell("cd \"$1\"; mkdir -p big usr etc; \(make)", sites.path(""))
    let before = try run("find", sites.path(""), "-ls").output
    #expect(throws: (any Error).self) { try sites.to.importing(bundle) }
    #expect(try run("find", sites.path(""), "-ls").output == before)
  }

  // MARK: Lists that are links

  @Test(arguments: [true, false])
  func `a list that is a link stays a link if its content equals the bundle's`(_ isEqual: Bool)
    throws
  {
    let list = "/opt/xcat/share/xcat/netboot/rocky/compute.rocky9.pkglist"
    let sites = try Sites(["pkglist": list])
    let make = """
      cd "$1/opt/xcat/share/xcat/netboot"; echo bash >rh/compute.rhels9.pkglist
      ln -s ../rh/compute.rhels9.pkglist rocky/compute.rocky9.pkglist
      """
    for site in ["a", "b"] {
      try shell(
        "mkdir -p \"$1\"/opt/xcat/share/xcat/netboot/{rh,rocky}; \(make)",
        sites.directory.path("\(site)/root"))
    }
    let bundle = try sites.export()
    let neighbour = sites.path("/opt/xcat/share/xcat/netboot/rh/compute.rhels9.pkglist")
    if !isEqual { try "other\n".write(toFile: neighbour, atomically: false, encoding: .utf8) }
    // A list that differs from the bundle's belongs to the site.
    if !isEqual { #expect(throws: ImageError.self) { try sites.to.importing(bundle) } }
    let imported = try sites.to.importing(bundle) { $0.replaces = !isEqual }
    #expect(imported.remaining?.isEmpty == true && imported.apply.report.problems.isEmpty)
    let kind = try run("stat", "-c", "%F", sites.path(list)).output
    #expect(kind == (isEqual ? "symbolic link\n" : "regular file\n"))
    // Nothing is written through the link.
    #expect(try run("cat", neighbour).output == (isEqual ? "bash\n" : "other\n"))
    #expect(try run("cat", sites.path(list)).output == "bash\n")
    let safety = try #require(imported.safety)
    _ = try sites.to.revert(safety.name)
    #expect(
      try run("readlink", sites.path(list)).output == "../rh/compute.rhels9.pkglist\n")
    #expect(try run("cat", neighbour).output == (isEqual ? "bash\n" : "other\n"))
  }

  // MARK: Definitions

  @Test func `a boottarget is exported by name, and this is reported`() throws {
    let sites = try Sites(["boottarget": "bt"])
    let outcome = try sites.from.exporting("c", to: sites.directory.path("c.tgz")) { _ in }
    #expect(outcome.remarks.contains { $0.contains("boottarget") })
    let imported = try sites.to.importing(sites.directory.path("c.tgz"))
    #expect(imported.remarks.contains { $0.contains("'bt'") })
    let table = imported.imported?.snapshot.tables.first { $0.name == "linuximage" }
    #expect(table?.rows.first?["boottarget"] == "bt")
  }

  @Test func `an invalid rootimgdir is reported with its value`() throws {
    for (value, word) in [
      ("/install/netboot/rh/../rh/c", "'..'"), ("install/netboot/c", "does not begin"),
      ("/", "cannot be the directory of an image"),
    ] {
      let definition = ImageDefinition(osimage: [:], linuximage: ["rootimgdir": value])
      #expect(ImageFiles.rootDirectoryFault(definition)?.contains(word) == true)
    }
    for value in [" /install/c ", "/install//c/", "/install/c"] {
      let definition = ImageDefinition(
        osimage: ["provmethod": "netboot"], linuximage: ["rootimgdir": value])
      let install = try #require(AbsolutePath("/install"))
      #expect(ImageFiles.rootDirectoryFault(definition) == nil)
      #expect(
        ImageFiles.bootDirectory(definition, installDirectory: install)?.text == "/install/c")
    }
  }

  // MARK: Kits

  @Test func `scripts of a kit are executable, and links among them become files`() throws {
    let site = try TestNode.fresh()
    var draft = BundleDraft.withDirectories
    draft.files.append(("k1/other_files/env.env", Array("e\n".utf8)))
    let imported = try site.workspace.importing(
      try site.write(
        draft.bundle { tar in
          tar.header("./\(BundleDraft.directory)/k1/other_files/second", type: "2", link: "script")
          tar.header(
            "./\(BundleDraft.directory)/k1/other_files/folder", type: "2", link: "../plugins")
        }))
    #expect(imported.remaining?.isEmpty == true)
    let listed = try run(
      "stat", "-c", "%n %F %a", site.path("/install/postscripts/script"),
      site.path("/install/postscripts/second"), site.path("/install/postscripts/folder/Evil.pm"),
      site.path("/install/kits/k1/other_files/script"),
      site.path("/install/kits/k1/other_files/env.env"))
    let modes = listed.output.split(separator: "\n").map {
      $0.split(separator: " ").suffix(3).joined(separator: " ")
    }
    #expect(
      modes == [
        "regular file 755", "regular file 755", "regular file 755", "regular file 755",
        "regular file 644",
      ], "\(listed.output) \(listed.errors)")
  }
}
