// Exports from the node of the real xCAT equal those of the real imgexport 2.19
// (Tests/Fixtures/xcat/exported): members with mode, owner and content, the manifest, and the
// result of an import of either. Each deliberate difference is listed here with the number of
// xCAT's defect (docs/xcat.md#defects-of-xcat-and-what-imgstore-does).

import Foundation
import Images
import Platform
import TestSupport
import Testing

@Suite(.usesTools) struct ExportParityTests {
  /// A command line of imgexport, and the bundle that the real one wrote.
  struct Export: Sendable, CustomTestStringConvertible {
    var bundle: String
    var image: String
    var postscriptsOf: String?
    var extras: [ExtraRequest] = []
    var testDescription: String { bundle }
  }

  static let exports = [
    Export(
      bundle: "stateless", image: "rhels8.5.0-x86_64-netboot-compute", postscriptsOf: "node1",
      extras: [
        ExtraRequest(source: "/install/postscripts/myscript1"),
        ExtraRequest(source: "/install/postscripts/myscript2", destination: "/install/custom"),
      ]),
    Export(bundle: "stateless-plain", image: "rhels8.5.0-x86_64-netboot-compute"),
    Export(bundle: "statelite", image: "rhels8.5.0-x86_64-statelite-lite"),
    Export(
      bundle: "statefull", image: "rhels8.5.0-x86_64-install-compute", postscriptsOf: "compute"),
  ]

  /// Our bundle of a fixture's command line.
  private func ours(_ export: Export, _ node: TestNode) throws -> String {
    let bundle = node.directory.path("ours.tgz")
    _ = try node.workspace.exporting(export.image, to: bundle) { request in
      request.postscriptsOf = export.postscriptsOf
      request.extras = export.extras
      request.carriesFacts = false
    }
    return bundle
  }

  private func theirs(_ export: Export) -> String {
    fixture("xcat/exported/\(export.bundle).tgz")
  }

  @Test(arguments: exports)
  func `a bundle has the members of the real imgexport`(_ export: Export) throws {
    let node = try TestNode.real()
    let ours = try ours(export, node)
    var found = try BundleMembers(ours)
    var expected = try BundleMembers(theirs(export))
    let lines = "./\(export.image)/litefile.csv"
    if export.bundle == "statelite" {
      // Defect 11: a row without options means tmpfs,rw to the runtime, and xCAT exports "tmpfs".
      #expect(
        try memberText("litefile.csv", of: theirs(export)).replacing(
          "ntp.conf\",\"tmpfs\"", with: "ntp.conf\",\"tmpfs,rw\"")
          == memberText("litefile.csv", of: ours))
      found.all[lines]?.content = ""
      expected.all[lines]?.content = ""
    }
    #expect(found.names == expected.names)
    for (name, member) in expected.all where isRoot || !name.hasSuffix(".gz") {
      var member = member
      if !isRoot { (member.uid, member.gid) = (Int(getuid()), Int(getgid())) }
      #expect(found[name] == member, "\(name)")
    }
  }

  @Test(arguments: exports)
  func `bundles of imgstore and of imgexport import with the same result`(_ export: Export) throws {
    let source = try TestNode.real()
    let (one, other) = (try TestNode.fresh(), try TestNode.fresh())
    let nodes: String? = export.postscriptsOf == nil ? nil : "node2"
    try one.workspace.importing(try ours(export, source)) { $0.nodes = nodes }
    try other.workspace.importing(theirs(export)) { $0.nodes = nodes }
    #expect(try !one.files().isEmpty)
    var (mine, theirs) = (try one.state().withoutTableFiles, try other.state().withoutTableFiles)
    // Defect 11, as above.
    for i in theirs.rows["litefile", default: []].indices
    where theirs.rows["litefile"]?[i]["file"] == "/etc/ntp.conf" {
      theirs.rows["litefile"]?[i]["options"] = "tmpfs,rw"
    }
    mine.rows["litefile"]?.removeAll { $0["image"] == "ALL" }
    theirs.rows["litefile"]?.removeAll { $0["image"] == "ALL" }
    let litefile = "/install/netboot/rhels8.5.0/x86_64/lite/litefile.csv"
    mine.files[litefile] = nil
    theirs.files[litefile] = nil
    #expect(mine.rows["osimage"] == theirs.rows["osimage"])
    #expect(mine.rows["postscripts"] == theirs.rows["postscripts"])
    if export.bundle == "statelite" {
      // Defect 11 again: for "tmpfs", ALL has the row already, and it is left out.
      mine.rows["litefile"]?.removeAll { $0["file"] == "/etc/ntp.conf" }
    }
    #expect(mine == theirs)
  }

  @Test(arguments: exports)
  func `gzip, GNU tar, bsdtar and python read exported bundles without a warning`(_ export: Export)
    throws
  {
    let node = try TestNode.real()
    let bundle = try ours(export, node)
    for command in [
      ["gzip", "-t", bundle], ["tar", "-tzf", bundle], ["bsdtar", "-tf", bundle],
      ["tar", "-xzf", bundle, "-C", node.directory.path],
    ] {
      let result = try run(command[0], arguments: Array(command.dropFirst()))
      #expect(result.didSucceed && result.errors.isEmpty, "\(command): \(result.errors)")
    }
    // With python's warnings as errors; it throws for any word on standard error.
    _ = try BundleMembers(bundle)
  }

  @Test func `repeated import and export of real bundles keeps every byte`() throws {
    // A node exports an unchanged image as it was imported.
    for export in Self.exports where export.bundle != "statelite" {
      let node = try TestNode.fresh()
      let bundle = node.directory.path("again.tgz")
      try node.workspace.importing(theirs(export))
      _ = try node.workspace.exporting(export.image, to: bundle)
      #expect(try BundleMembers(bundle) == BundleMembers(theirs(export)), "\(export.bundle)")
    }
  }
}
