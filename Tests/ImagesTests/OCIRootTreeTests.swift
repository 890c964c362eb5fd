// OCI and squashfs images that come in as the root tree of an image of xCAT: the next snapshot of its
// history.

import Foundation
import Images
import Platform
import Store
import TestSupport
import Testing

@Suite(.usesTools, .enabled(if: isRoot, "needs root")) struct OCIRootTreeTests {
  /// A node with the image img in /img, which has a kernel, and the layouts of make-images.py.
  private func node() throws -> TestNode {
    let node = try TestNode(image: "img")
    try node.write("kernel\n", to: "img/kernel")
    try runFixture("scripts/oci/make-images.py", node.directory.path("layouts"))
    return node
  }

  @discardableResult
  private func importing(
    _ source: String, _ node: TestNode, _ edit: (inout ImportRequest) -> Void = { _ in }
  ) throws -> ImportOutcome {
    var request = ImportRequest(node.directory.path(source))
    (request.name, request.replaces, request.allowsPrivileged) = ("img", true, true)
    edit(&request)
    return try node.workspace.importBundle(request)
  }

  @Test func `the root tree is replaced, everything else stays, and undo restores it`() throws {
    let node = try node()
    _ = try node.workspace.snapshot("img")
    let listing = try node.listing()
    let outcome = try importing("layouts/whiteouts", node)
    let image = try #require(outcome.images.first)
    #expect(image.remaining?.isEmpty == true && image.replaced && image.notes.isEmpty)
    #expect(image.rootTree.map { printable($0) } == "/img/rootimg")
    // The same image as a directory is the oracle, which the tests of directory images compare with umoci.
    _ = try importing("layouts/whiteouts", node) {
      ($0.name, $0.directory) = ("other", "/srv/other")
    }
    #expect(try differences(node.path("/srv/other"), node.tree) == "")

    let imported = try #require(image.imported)
    #expect(imported.number == 2 && imported.snapshot.origin == .imported)
    #expect(imported.snapshot.facts.contains { $0.key == "oci.digest" })
    #expect(imported.snapshot.components.contains { $0.role == .kernel })
    #expect(imported.snapshot.isComplete)
    #expect(image.safety?.number == 1)
    #expect(node.content("img/kernel") == "kernel\n")
    #expect(try node.workspace.status("img").isClean)

    _ = try node.workspace.undo("img")
    #expect(try node.listing() == listing)
    let undone = try #require(try node.workspace.log("img").first?.committed.snapshot)
    #expect(!undone.facts.contains { $0.key == "oci.digest" })
  }

  @Test func `a second image replaces the facts of the first, and the same one changes nothing`()
    throws
  {
    let node = try node()
    let first = try importing("layouts/one-layer", node)
    let second = try importing("layouts/opaque", node)
    func digests(_ outcome: ImportOutcome) -> [String] {
      outcome.images.first?.imported?.snapshot.facts.filter { $0.key == "oci.digest" }
        .map(\.value) ?? []
    }
    #expect(digests(first).count == 1 && digests(second).count == 1)
    #expect(digests(first) != digests(second))
    let count = try node.workspace.log("img").count
    let again = try importing("layouts/opaque", node)
    #expect(try node.workspace.log("img").count == count)
    #expect(again.images.first?.remarks.count == 1)
  }

  @Test func `without --force, and in a dry run, nothing changes`() throws {
    let node = try node()
    let listing = try node.listing()
    #expect(
      errorCode { try importing("layouts/one-layer", node) { $0.replaces = false } }
        == .alreadyExists)
    let dry = try importing("layouts/one-layer", node) {
      ($0.replaces, $0.isDryRun) = (false, true)
    }
    #expect(dry.refusal?.errorCode == .alreadyExists)
    #expect(dry.images.first.map { $0.apply.writes.isEmpty } == false)
    #expect(dry.images.first?.imported == nil)
    #expect(try node.listing() == listing)
    #expect(try node.workspace.images().first { $0.name == "img" }?.snapshots == 0)
  }

  @Test func `the first tree of a defined image comes in, and undo removes it`() throws {
    let node = try node()
    try shell("rm -r \"$1\"", node.path("/img"))
    let outcome = try importing("layouts/one-layer", node)
    let imported = try #require(outcome.images.first?.imported)
    #expect(imported.snapshot.isComplete, "\(imported.snapshot.notes)")
    #expect(node.exists("img/rootimg/etc/hosts"))
    _ = try node.workspace.undo("img")
    #expect(!node.exists("img/rootimg/etc/hosts"))
  }

  @Test func `a root tree behind a link is replaced where it is`() throws {
    let node = try node()
    try shell(
      "mkdir \"$1/disk\"; mv \"$1/img/rootimg\" \"$1/disk/tree\"; ln -s /disk/tree \"$1/img/rootimg\"",
      node.path(""))
    _ = try node.workspace.snapshot("img")
    _ = try importing("layouts/one-layer", node)
    #expect(node.exists("disk/tree/etc/hosts"))
    #expect(
      try FileManager.default.destinationOfSymbolicLink(atPath: node.path("/img/rootimg"))
        == "/disk/tree")
    #expect(try node.workspace.status("img").isClean)
    _ = try node.workspace.undo("img")
    #expect(!node.exists("disk/tree/etc/hosts") && node.exists("disk/tree/etc/motd"))
  }

  @Test func `options of bundles are refused, and so are privileged entries`() throws {
    let node = try node()
    let listing = try node.listing()
    let cases: [(ErrorCode, (inout ImportRequest) -> Void)] = [
      (.alreadyExists, { $0.directory = "/srv/img" }), (.usage, { $0.profile = "p" }),
      (.usage, { $0.nodes = "n1" }), (.usage, { $0.keepsOriginals = true }),
      (.usage, { $0.mergesColumns = true }),
      (.keyNotFound, { $0.requiresSignature = true }),
    ]
    for (code, edit) in cases {
      #expect(errorCode { try importing("layouts/one-layer", node, edit) } == code)
    }
    for name in ["kinds", "attributes", "attributes-only"] {
      #expect(
        errorCode { try importing("layouts/\(name)", node) { $0.allowsPrivileged = false } }
          == .bundleInvalid, "\(name)")
    }
    #expect(try node.listing() == listing)
    _ = try node.open().define("disk", ["provmethod=install", "osvers=a", "osarch=b", "profile=c"])
    #expect(
      errorCode { try importing("layouts/one-layer", node) { $0.name = "disk" } } == .unsupported)
  }

  @Test func `a squashfs image becomes the root tree in the same way`() throws {
    let node = try node()
    try shell(
      "cd \"$1\"; mkdir -p t/etc; echo squash >t/etc/new; mksquashfs t i.sfs -quiet -no-progress -comp zstd",
      node.directory.path)
    _ = try importing("i.sfs", node)
    #expect(node.content("img/rootimg/etc/new") == "squash\n")
    #expect(!node.exists("img/rootimg/etc/motd"))
  }

  @Test(arguments: ["lz4", "lzo"])
  func `a squashfs image of an unsupported compressor is refused by its name`(_ name: String) throws
  {
    let node = try node()
    try shell(
      "cd \"$1\"; mkdir t; echo a >t/a; mksquashfs t i.sfs -quiet -no-progress -comp \"$2\"",
      node.directory.path, name)
    let error = #expect(throws: (any Error).self) { try importing("i.sfs", node) }
    let explained = try #require(error as? any ExplainedError)
    #expect(explained.errorCode == .unsupported)
    #expect(explained.reason.contains(name) && explained.hint.contains("mksquashfs"))
  }
}
