// An import of a bundle without a root tree over an image that has one: the tree stays, is counted, and is not
// reported as extracted; files that the bundle lacks are removed and reported.

import Foundation
import HostileBundles
import Images
import Platform
import TestSupport
import Testing

@Suite(.usesTools) struct ImportKeptTreeTests {
  private func node() throws -> TestNode {
    let node = try TestNode.fresh()
    try node.importing(BundleDraft())
    try shell(
      """
      cd "$1"; mkdir -p rootimg/etc rootimg/usr/lib; echo hosts >rootimg/etc/hosts
      head -c 100000 /dev/zero >rootimg/usr/lib/big; ln -s hosts rootimg/etc/link
      echo old >initrd-statelite.gz
      """, node.path(ManifestDraft.boot))
    return node
  }

  @Test func `the tree is not reported as placed, and lost files are`() throws {
    let node = try node()
    var request = ImportRequest(try node.write(BundleDraft().bundle()))
    request.replaces = true
    let events = Monitor<[BundleEvent]>([])
    request.isDryRun = true
    let lost = "\(ManifestDraft.boot)/initrd-statelite.gz"
    let planned = try node.workspace.importBundle(request)
    #expect(planned.images.first?.removedFiles.map { printable($0) } == [lost])
    #expect(node.exists(lost))
    request.isDryRun = false
    let outcome = try node.workspace.importBundle(request) { event in
      events.withLock { $0.append(event) }
    }
    #expect(outcome.images.first?.removedFiles.map { printable($0) } == [lost])
    #expect(!node.exists(lost) && node.exists("\(ManifestDraft.boot)/rootimg/etc/hosts"))
    let all = events.withLock { $0 }
    #expect(!all.contains(.placingTree(path: "\(ManifestDraft.boot)/rootimg")))
    #expect(all.contains(.placing(path: "\(ManifestDraft.boot)/kernel")))
  }

  @Test func `the snapshot of the import counts the tree as a capture does`() throws {
    let node = try node()
    let image = try node.importing(BundleDraft()) { $0.replaces = true }
    let recorded = try #require(image.imported).snapshot
    let captured = try node.workspace.snapshot(image.name).committed.snapshot
    #expect(recorded.components == captured.components)
    #expect(recorded.entryCount == captured.entryCount && recorded.entryCount > 8)
    #expect(recorded.contentBytes == captured.contentBytes && recorded.contentBytes > 100_000)
  }

  @Test func `trees of bundles and of copies are counted as a capture does`() throws {
    let node = try TestNode.fresh()
    let image = try node.workspace.importing(fixture("xcat/statelite-after-liteimg.tgz"))
    let recorded = try #require(image.imported).snapshot
    let captured = try node.workspace.snapshot(image.name).committed.snapshot
    #expect(recorded.entryCount == captured.entryCount)
    #expect(recorded.contentBytes == captured.contentBytes)
    let copy = try #require(
      try node.workspace.copy(CopyRequest(image.name, to: "copy")).copied
    ).snapshot
    let copied = try node.workspace.snapshot("copy").committed.snapshot
    #expect(copy.entryCount == copied.entryCount)
    #expect(copy.contentBytes == copied.contentBytes)
  }
}
