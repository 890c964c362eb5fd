// A dry run reports the error that the real run would end with, next to its plan.

import Foundation
import HostileBundles
import Images
import Platform
import TestSupport
import Testing

@Suite(.usesTools) struct DryRunRefusalTests {
  @Test func `a dry run of an import that needs --force has the code of the refusal`() throws {
    let node = try TestNode.fresh()
    let bundle = try node.write(BundleDraft().bundle())
    var request = ImportRequest(bundle)
    request.isDryRun = true
    #expect(try node.workspace.importBundle(request).refusal == nil)
    request.isDryRun = false
    _ = try node.workspace.importBundle(request)
    try node.put("\(ManifestDraft.boot)/kernel", "changed")
    let real = errorCode { _ = try node.workspace.importBundle(request) }
    request.isDryRun = true
    var planned = try node.workspace.importBundle(request)
    #expect(real == .alreadyExists && planned.refusal?.errorCode == real)
    #expect(planned.images.first?.apply.writes.isEmpty == false, "the plan is complete")
    request.replaces = true
    planned = try node.workspace.importBundle(request)
    #expect(planned.refusal == nil)
  }

  @Test func `a file of the site refuses the dry run of a new image, too`() throws {
    let node = try TestNode.fresh()
    try node.put("/install/postscripts/tinyscript", "genuine\n")
    var request = ImportRequest(try node.write(BundleDraft().bundle()))
    let real = errorCode { _ = try node.workspace.importBundle(request) }
    request.isDryRun = true
    let planned = try node.workspace.importBundle(request)
    #expect(real != nil && planned.refusal?.errorCode == real)
  }

  @Test func `dry runs of revert and undo report xCAT's lock on the tree`() throws {
    let directory = try TemporaryDirectory()
    let workspace = try Workspace.test(directory)
    let tree = directory.path("root/img/rootimg")
    try shell("echo a >\"$1/f\"", tree)
    _ = try workspace.snapshot("img")
    try shell("echo b >\"$1/f\"", tree)
    _ = try workspace.revert("img@1")
    try shell("echo c >\"$1/f\"", tree)
    #expect(try workspace.revert("img@1", dryRun: true).refusal == nil)
    let lock = try TreeLock(of: "/img/rootimg", below: directory.path("root"))
    let real = errorCode { _ = try workspace.revert("img@1") }
    let planned = try workspace.revert("img@1", dryRun: true)
    #expect(real == .imageLocked && planned.refusal?.errorCode == real)
    #expect(planned.apply.writes.count == 1, "the plan is complete")
    var request = RevertRequest("img")
    request.isDryRun = true
    #expect(try workspace.undo("img", request).refusal?.errorCode == .imageLocked)
    withExtendedLifetime(lock) {}
  }

  @Test func `dry runs of import and copy report xCAT's lock on the tree`() throws {
    let node = try TestNode.fresh()
    let bundle = try node.write(BundleDraft().bundle())
    var request = ImportRequest(bundle)
    request.isDryRun = true
    let lock = try TreeLock(of: ManifestDraft.boot + "/rootimg", below: node.directory.path("root"))
    let planned = try node.workspace.importBundle(request)
    #expect(planned.refusal?.errorCode == .imageLocked)
    #expect(planned.images.first?.apply.writes.isEmpty == false, "the plan is complete")
    request.isDryRun = false
    #expect(errorCode { _ = try node.workspace.importBundle(request) } == .imageLocked)
    withExtendedLifetime(lock) {}
  }

  @Test func `a dry run of lite reports what is in the place of its packed image`() throws {
    let node = try TestNode.toPack("mkdir -p img/rootimg-statelite.gz")
    _ = try node.workspace.define("img", ["provmethod=statelite", "rootfstype=ramdisk"])
    try node.litefile([("/etc/shadow", "link")])
    var request = LiteRequest("img")
    request.isDryRun = true
    let planned = try node.workspace.lite(request)
    #expect(planned.refusal?.errorCode == .alreadyExists)
    #expect(!planned.apply.writes.isEmpty)
    try shell("rmdir \"$1\"", node.path("img/rootimg-statelite.gz"))
    #expect(try node.workspace.lite(request).refusal == nil)
  }
}
