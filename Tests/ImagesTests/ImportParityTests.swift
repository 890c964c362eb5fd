// Every bundle of the fixtures, in every variant, is imported with the result of the real imgimport 2.19
// (Tests/Fixtures/xcat/expected): files with mode, owner and content, rows, and success. Each deliberate
// difference is listed here with the number of xCAT's defect
// (docs/xcat.md#defects-of-xcat-and-what-imgstore-does).

import Foundation
import Images
import Platform
import TestSupport
import Testing

@Suite(.usesTools) struct ImportParityTests {
  struct Expected: Decodable {
    var exit: Int
    var files: [String: TestNode.File]
    var tables: [String: [[String: String]]]
  }

  static let bundles = [
    "flat27-handmade", "kit1", "no-rootimg-silent", "p26-full", "p26-statelite", "p27-full",
    "p27-stateless", "p27-statelite", "s390x-netboot", "s390x-raw", "statefull",
    "stateless-base-exlist", "stateless-no-rootimgdir", "stateless-sfs", "stateless",
    "statelite-after-liteimg", "statelite",
  ]

  private func expected(_ bundle: String, _ variant: String) throws -> Expected {
    try JSONDecoder().decode(
      Expected.self,
      from: Data(
        contentsOf: URL(fileURLWithPath: fixture("xcat/expected/\(bundle).\(variant).json"))))
  }

  /// Adjusts xCAT's result for imgstore's deliberate differences.
  private func correct(_ expected: inout Expected, _ bundle: String, _ variant: String) throws {
    // Defect 8: between file systems, imgimport loses the exec bit that genimage needs.
    for path in expected.files.keys where path.hasSuffix(".postinstall") {
      expected.files[path]?.mode = "755"
    }
    // A tree from another site is in a directory that only root can enter.
    for path in expected.files.keys where isRoot && path.hasSuffix("/rootimg") {
      let directory = String(path.dropLast("/rootimg".count))
      if !directory.hasSuffix("/rootimg") { expected.files[directory]?.mode = "700" }
    }
    switch bundle {
    case "flat27-handmade", "p27-stateless":
      // Defect 9: the lists of -p in a 2.7 bundle belong to nodes, not to the image.
      for i in expected.tables["osimage", default: []].indices {
        expected.tables["osimage"]?[i]["postscripts"] = nil
        expected.tables["osimage"]?[i]["postbootscripts"] = nil
      }
      if variant == "nodes" {
        expected.tables["postscripts"]?.removeAll { $0["node"] == "node2" }
        expected.tables["postscripts"]?.append([
          "node": "node2", "postscripts": "syncfiles,my1,my2", "postbootscripts": "my3",
        ])
      }
    case "p26-statelite" where variant != "profile":
      // Defect 10: the tree of a 2.6 bundle ends up in rootimg/rootimg.
      let inner = "/install/netboot/rhels8.5.0/x86_64/lite/rootimg/rootimg"
      for (path, file) in expected.files where path.hasPrefix(inner) {
        expected.files[path] = nil
        expected.files["\(inner.dropLast(8))\(path.dropFirst(inner.count))"] = file
      }
    case "stateless-no-rootimgdir" where variant == "profile":
      // Defect 4: without rootimgdir, the boot files stay in the source image's directory and overwrite its
      // files.
      let old = "/install/netboot/rhels8.5.0/x86_64/compute"
      for (path, file) in expected.files where path.hasPrefix(old) {
        expected.files[path] = nil
        expected.files["\(old.dropLast(7))newprof\(path.dropFirst(old.count))"] = file
      }
    default: break
    }
  }

  @Test(arguments: bundles.filter { !["kit1", "no-rootimg-silent"].contains($0) })
  func `a bundle is imported with the result of the real imgimport`(_ bundle: String) throws {
    for variant in ["plain", "profile", "nodes"] {
      var expected = try expected(bundle, variant)
      try correct(&expected, bundle, variant)
      let node = try TestNode.fresh()
      let image = try node.workspace.importing(fixture("xcat/\(bundle).tgz")) { request in
        if variant == "profile" { request.profile = "newprof" }
        if variant == "nodes" { request.nodes = "node2" }
      }
      #expect(expected.exit == 0)
      #expect(image.remaining?.isEmpty == true, "\(variant)")
      #expect(image.apply.report.problems.isEmpty, "\(variant)")
      let files = try node.files()
      for path in Set(files.keys).union(expected.files.keys).sorted() {
        var (found, expectedFile) = (files[path], expected.files[path])
        // The fixtures do not record link targets. The tree tests cover them.
        found?.target = nil
        expectedFile?.target = nil
        if !isRoot {
          found?.uid = expectedFile?.uid ?? 0
          found?.gid = expectedFile?.gid ?? 0
        }
        #expect(found == expectedFile, "\(variant): \(path)")
      }
      let rows = try node.rows()
      for (table, expectedFile) in expected.tables {
        #expect(
          Set((rows[table] ?? []).map { "\($0.sorted(by: <))" })
            == Set(expectedFile.map { "\($0.sorted(by: <))" }), "\(variant): \(table)")
      }
    }
  }

  @Test func `a bundle without its root image is refused, which xCAT imports silently`() throws {
    for variant in ["plain", "profile", "nodes"] {
      // Defect 1: imgexport wrote the bundle, and imgimport reports success.
      #expect(try expected("no-rootimg-silent", variant).exit == 0)
      let node = try TestNode.fresh()
      let before = try node.state()
      #expect(throws: (any Error).self) {
        try node.workspace.importing(fixture("xcat/no-rootimg-silent.tgz")) { request in
          if variant == "profile" { request.profile = "newprof" }
          if variant == "nodes" { request.nodes = "node2" }
        }
      }
      #expect(try node.state() == before)
    }
  }

  @Test func `a bundle with one kit is imported whole, on which xCAT fails`() throws {
    for variant in ["plain", "profile", "nodes"] {
      // Defect 3: with exactly one kit, xCAT writes the image's rows but places no file.
      let real = try expected("kit1", variant)
      #expect(real.exit == 2)
      let node = try TestNode.fresh()
      let image = try node.workspace.importing(fixture("xcat/kit1.tgz")) { request in
        if variant == "profile" { request.profile = "newprof" }
      }
      #expect(image.remaining?.isEmpty == true)
      let rows = try node.rows()
      #expect(rows["osimage"] == real.tables["osimage"])
      #expect(rows["linuximage"] == real.tables["linuximage"])
      #expect(rows["kit"]?.map { $0["kitdir"] } == ["/install/kits/mykit-1.0"])
      #expect(rows["kitrepo"]?.map { $0["kitreponame"] } == ["mykit-1.0-rhels-8-x86_64"])
      #expect(Set(rows["kitcomponent"]?.map { $0["kitcompname"] } ?? []) == ["comp1", "comp1b"])
      let files = try node.files()
      let profile = variant == "profile" ? "newprof" : "compute"
      #expect(files["/install/netboot/rhels8.5.0/x86_64/\(profile)/kernel"]?.size == 30000)
      let kit = "/install/kits/mykit-1.0"
      #expect(files["\(kit)/repos/mykit-1.0-rhels-8-x86_64/pkg.rpm"]?.size == 3)
      #expect(files["\(kit)/other_files/kitpost.sh"]?.size == 10)
      #expect(files["\(kit)/plugins"]?.type == "dir")
      // The kit's scripts go to the postscripts directory, but its environment does not.
      #expect(files["/install/postscripts/kitpost.sh"]?.mode == "755")
      #expect(files["/install/postscripts/k.env"] == nil)
    }
  }
}
