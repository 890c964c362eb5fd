// A copy is a separate image with its own directory and lists and the same content. It can be undone.

import Foundation
import HostileBundles
import Images
import Platform
import TestSupport
import Testing

@Suite(.usesTools) struct CopyTests {
  private static let source = "rhels8.5.0-x86_64-netboot-compute"
  private static let boot = "/install/netboot/rhels8.5.0/x86_64"

  private func node() throws -> TestNode {
    let node = try TestNode.real()
    try shell(
      """
      cd "$1"; mkdir -p rootimg/usr/bin; echo tool >rootimg/usr/bin/tool; chmod 4755 rootimg/usr/bin/tool
      ln rootimg/usr/bin/tool rootimg/usr/bin/same; ln -s tool rootimg/usr/bin/soft
      """, node.path("\(Self.boot)/compute"))
    return node
  }

  @Test func `a copy has its own directory, lists and tree`() throws {
    let node = try node()
    let before = try node.state().withoutTableFiles
    let request = copying(Self.source, to: "copied", profile: "test")
    let outcome = try node.workspace.copy(request)
    #expect(outcome.remaining?.isEmpty == true && outcome.directory.text == "\(Self.boot)/test")
    // The copy has all attributes of the tree and the boot files, and the source is unchanged.
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
    // The store already had all content: the copy adds only trees and refs.
    let again = copying("\(Self.source)@1", to: "again", profile: "again")
    let grown = try shell("du -sb \"$1/packs\" | cut -f1", node.directory.path("store")).output
    _ = try node.workspace.copy(again)
    let more = try shell("du -sb \"$1/packs\" | cut -f1", node.directory.path("store")).output
    let growth = (Int(more.dropLast()) ?? 0) - (Int(grown.dropLast()) ?? 0)
    #expect(growth >= 0 && growth < 20_000, "\(growth) bytes")
    #expect(try node.workspace.verify(deep: true).isClean)
    // Both copies are removed again.
    #expect(try node.workspace.revert("copied@1").isExact)
    _ = try node.workspace.undo("again")
    #expect(try node.state().withoutTableFiles.files == before.files)
  }

  @Test func `a copy of a snapshot does not depend on the live image`() throws {
    let node = try node()
    _ = try node.workspace.snapshot(Self.source)
    try node.put("\(Self.boot)/compute/kernel", "new kernel")
    let request = copying("\(Self.source)@1", to: "old", profile: "old")
    _ = try node.workspace.copy(request)
    let kernels = try ["old", "compute"].map {
      try Data(contentsOf: URL(fileURLWithPath: node.path("\(Self.boot)/\($0)/kernel")))
    }
    #expect(kernels[0] != kernels[1] && kernels[1] == Data("new kernel".utf8))
  }

  @Test func `a dry run of a copy lists the new files and creates nothing`() throws {
    let node = try node()
    _ = try node.workspace.snapshot(Self.source)
    let state = try node.state()
    var request = copying(Self.source, to: "copied", profile: "test")
    request.isDryRun = true
    let plan = try node.workspace.copy(request)
    #expect(
      plan.copied == nil && plan.remaining == nil && plan.directory.text == "\(Self.boot)/test")
    #expect(try node.state() == state)
    #expect(try node.workspace.unfinished().isEmpty)
    request.isDryRun = false
    let done = try node.workspace.copy(request)
    #expect(plan.apply.plannedSteps > 0 && plan.apply.plannedSteps == done.apply.plannedSteps)
  }

  @Test func `a copy is refused if it would overwrite a file`() throws {
    let node = try node()
    let state = try node.state()
    for (name, profile) in [(Self.source, "test"), ("other", "compute")] {
      let text = refusal {
        _ = try node.workspace.copy(copying(Self.source, to: name, profile: profile))
      }
      #expect(text != nil, "\(name), \(profile)")
    }
    #expect(try node.state().withoutTableFiles == state.withoutTableFiles)
  }

  private func copying(_ reference: String, to name: String, profile: String) -> CopyRequest {
    var request = CopyRequest(reference, to: name)
    request.profile = profile
    return request
  }
}
