// A dry run reports the error that the real run would end with, next to its plan.

import Foundation
import HostileBundles
import Images
import Platform
import TestSupport
import Testing

@Suite(.usesTools) struct DryRunRefusalTests {
  private func code(_ body: () throws -> Void) -> ErrorCode? {
    do { try body() } catch let error as any ExplainedError { return error.errorCode } catch {}
    return nil
  }

  @Test func `a dry run of an import that needs --force has the code of the refusal`() throws {
    let node = try TestNode.fresh()
    let bundle = try node.write(BundleDraft().bundle())
    var request = ImportRequest(bundle)
    request.isDryRun = true
    #expect(try node.workspace.importBundle(request).refusal == nil)
    request.isDryRun = false
    _ = try node.workspace.importBundle(request)
    try node.put("\(ManifestDraft.boot)/kernel", "changed")
    let real = code { _ = try node.workspace.importBundle(request) }
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
    let real = code { _ = try node.workspace.importBundle(request) }
    request.isDryRun = true
    let planned = try node.workspace.importBundle(request)
    #expect(real != nil && planned.refusal?.errorCode == real)
  }

  @Test func `dry runs of revert and undo report xCAT's lock on the tree`() throws {
    let folder = try TemporaryFolder()
    let workspace = try Workspace.test(folder)
    let tree = folder.path("root/img/rootimg")
    try shell("echo a >\"$1/f\"", tree)
    _ = try workspace.snapshot("img")
    try shell("echo b >\"$1/f\"", tree)
    _ = try workspace.revert("img@1")
    try shell("echo c >\"$1/f\"", tree)
    #expect(try workspace.revert("img@1", dryRun: true).refusal == nil)
    let lock = try TreeLock(of: "/img/rootimg", below: folder.path("root"))
    let real = code { _ = try workspace.revert("img@1") }
    let planned = try workspace.revert("img@1", dryRun: true)
    #expect(real == .imageLocked && planned.refusal?.errorCode == real)
    #expect(planned.apply.writes.count == 1, "the plan is complete")
    var request = RevertRequest("img")
    request.isDryRun = true
    #expect(try workspace.undo("img", request).refusal?.errorCode == .imageLocked)
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

/// xCAT's lock on a root tree below a staging root, as another process holds it.
final class TreeLock: Sendable {
  private let file: Descriptor

  init(of tree: String, below root: String) throws {
    let files = KernelFileSystem.shared
    let sum = try shell("printf %s \"$1\" | md5sum | cut -c1-32", tree).output
      .trimmingCharacters(in: .whitespacesAndNewlines)
    try shell("mkdir -p \"$1/var/lock/xcat\"", root)
    let name = tree.replacing("/", with: ".") + "." + sum
    file = try files.openFile(
      at: files.workingDirectory, Array("\(root)/var/lock/xcat/\(name)".utf8),
      [.readWrite, .create])
    #expect(try files.lock(file.raw, exclusive: true, wait: false))
  }
}
