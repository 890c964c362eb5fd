// A copy is an image of its own: other folder, other lists, the same content; and it can be undone.

import Foundation
import HostileBundles
import Images
import Platform
import TestSupport
import Testing

@Suite struct CopyTests {
  private static let source = "rhels8.5.0-x86_64-netboot-compute"
  private static let boot = "/install/netboot/rhels8.5.0/x86_64"

  private func node() throws -> ManagementNode {
    let node = try ManagementNode.real()
    try shell(
      """
      cd "$1"; mkdir -p rootimg/usr/bin; echo tool >rootimg/usr/bin/tool; chmod 4755 rootimg/usr/bin/tool
      ln rootimg/usr/bin/tool rootimg/usr/bin/same; ln -s tool rootimg/usr/bin/soft
      """, node.path("\(Self.boot)/compute"))
    return node
  }

  @Test func `a copy has a folder, lists and a tree of its own`() throws {
    let node = try node()
    let before = try node.state().withoutTableFiles
    let request = CopyRequest(Self.source, name: "copied", profile: "test")
    let outcome = try node.workspace.copy(request)
    let image = try #require(outcome.images.first)
    #expect(image.remaining?.isEmpty == true && image.name == "copied")
    // The tree, to the last attribute; the boot files; the source as it was.
    #expect(
      try differences(
        node.path("\(Self.boot)/compute/rootimg"), node.path("\(Self.boot)/test/rootimg")) == "")
    let files = try node.files()
    for name in ["kernel", "initrd-stateless.gz", "rootimg.cpio.gz"] {
      #expect(
        files["\(Self.boot)/test/\(name)"] == files["\(Self.boot)/compute/\(name)"], "\(name)")
    }
    for (path, file) in before.files where path.hasPrefix("/install/") {
      #expect(files[path] == file, "\(path)")
    }
    let row = try #require(try node.rows()["linuximage"]?.first { $0["imagename"] == "copied" })
    #expect(row["rootimgdir"] == "\(Self.boot)/test")
    #expect(row["pkglist"]?.hasSuffix("/test.pkglist") == true)
    // All content was in the store: the copy adds trees and refs.
    let again = CopyRequest("\(Self.source)@1", name: "again", profile: "again")
    let grown = try shell("du -sb \"$1/packs\" | cut -f1", node.folder.path("store")).output
    _ = try node.workspace.copy(again)
    let more = try shell("du -sb \"$1/packs\" | cut -f1", node.folder.path("store")).output
    let growth = (Int(more.dropLast()) ?? 0) - (Int(grown.dropLast()) ?? 0)
    #expect(growth >= 0 && growth < 20_000, "\(growth) bytes")
    #expect(try node.workspace.verify(deep: true).isClean)
    // And away with both.
    #expect(try node.workspace.revert(#require(image.safety).name).isExact)
    _ = try node.workspace.undo("again")
    #expect(try node.state().withoutTableFiles.files == before.files)
  }

  @Test func `a snapshot is copied as it was, and the live image is not asked`() throws {
    let node = try node()
    _ = try node.workspace.snapshot(Self.source)
    try node.put("\(Self.boot)/compute/kernel", "new kernel")
    let request = CopyRequest("\(Self.source)@1", name: "old", profile: "old")
    _ = try node.workspace.copy(request)
    let kernels = try ["old", "compute"].map {
      try Data(contentsOf: URL(fileURLWithPath: node.path("\(Self.boot)/\($0)/kernel")))
    }
    #expect(kernels[0] != kernels[1] && kernels[1] == Data("new kernel".utf8))
  }

  @Test func `a copy overwrites nothing unless it is told to`() throws {
    let node = try node()
    let state = try node.state()
    for (name, profile) in [(Self.source, "test"), ("other", "compute")] {
      let text = refusal {
        _ = try node.workspace.copy(CopyRequest(Self.source, name: name, profile: profile))
      }
      #expect(text != nil, "\(name), \(profile)")
    }
    var request = CopyRequest(Self.source, name: "planned", profile: "planned")
    request.isDryRun = true
    let plan = try #require(try node.workspace.copy(request).images.first)
    #expect(plan.imported == nil && plan.apply.plannedSteps > 10)
    #expect(try node.state().withoutTableFiles == state.withoutTableFiles)
  }
}
