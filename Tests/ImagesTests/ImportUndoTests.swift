// An import is a transaction. A revert to the snapshot before it restores the previous files, directories and
// rows, and a revert to the import restores its result. A dry run changes nothing.

import Foundation
import HostileBundles
import Images
import Platform
import TestSupport
import Testing

@Suite(.usesTools) struct ImportUndoTests {
  enum Variant: CaseIterable, Sendable { case fresh, over, profile, nodes }

  static let bundles = ["stateless", "statelite", "statefull", "kit1", "s390x-raw"]

  /// Changes every part of an image that an import would bring.
  private func spoil(_ node: TestNode, _ name: String) throws {
    try shell(
      """
      cd "$1/install"; find netboot custom raw kits postscripts -type f 2>/dev/null |
        while read -r f; do echo mine >>"$f"; chmod 600 "$f"; done
      for d in netboot/*/*/*/rootimg; do [ -d "$d" ] && echo added >"$d/added" || true; done
      """, node.path(""))
    try node.sql("osimage", "UPDATE osimage SET description = 'mine', serverrole = 'stale'")
    try node.sql("linuximage", "UPDATE linuximage SET permission = '700', dump = 'nfs://a/b'")
    try node.sql(
      "litefile", "INSERT INTO litefile (image, file, options) VALUES ('\(name)', '/mine', 'ro')")
  }

  @Test(arguments: bundles, Variant.allCases)
  func `a revert undoes an import, and a second revert restores it`(
    _ bundle: String, _ variant: Variant
  ) throws {
    let node = try TestNode.fresh()
    let path = fixture("xcat/\(bundle).tgz")
    func change(_ request: inout ImportRequest) {
      request.replaces = variant == .over
      if variant == .profile { request.profile = "other" }
      if variant == .nodes { (request.nodes, request.appendsPostscripts) = ("compute", true) }
      request.trustsPlugins = true
    }
    if variant == .over { try spoil(node, try node.workspace.importing(path).name) }
    let before = try node.state().withoutTableFiles

    let dry = try node.workspace.importing(path) { request in
      change(&request)
      request.isDryRun = true
    }
    #expect(try node.state().withoutTableFiles == before)
    #expect(dry.imported == nil && dry.safety == nil && dry.remaining == nil)
    #expect(dry.apply.plannedSteps > 0)
    #expect(dry.apply.attributes.contains { $0.table == "osimage" })

    let image = try node.workspace.importing(path, change)
    let after = try node.state().withoutTableFiles
    #expect(after != before)
    #expect(image.remaining?.isEmpty == true)
    #expect(image.replaced == (variant == .over))
    #expect(dry.apply.plannedSteps == image.apply.plannedSteps)
    #expect(dry.apply.writes == image.apply.writes)
    #expect(dry.apply.attributes == image.apply.attributes)

    let (imported, safety) = (try #require(image.imported), try #require(image.safety))
    for _ in 0..<2 {
      #expect(try node.workspace.revert(safety.name).isExact)
      #expect(try node.state().withoutTableFiles == before)
      #expect(try node.workspace.revert(imported.name).isExact)
      #expect(try node.state().withoutTableFiles == after)
    }
  }

  @Test func `files created after an import survive its revert`() throws {
    let node = try TestNode.fresh()
    let image = try node.importing(BundleDraft())
    try node.put("\(TestNode.boot)/notes", "mine")
    try node.put("/install/custom/netboot/rh/other.pkglist", "mine")
    _ = try node.workspace.revert(try #require(image.safety).name)
    #expect(try node.text("\(TestNode.boot)/notes") == "mine")
    #expect(try node.text("/install/custom/netboot/rh/other.pkglist") == "mine")
    #expect(!node.exists("\(TestNode.boot)/kernel"))
    #expect(try node.rows()["osimage"] == [])
  }
}
