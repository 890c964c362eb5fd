// OCI images that go out: the same bytes each time, and equal to the tree when umoci unpacks them.

import Foundation
import Images
import Platform
import Store
import TestSupport
import Testing

@Suite(.usesTools) struct OCIExportTests {
  private func export(
    _ node: TestNode, _ reference: String, _ name: String,
    _ edit: (inout OCIExportRequest) -> Void = { _ in }
  ) throws -> OCIExportOutcome {
    var request = OCIExportRequest(reference)
    request.destination = .directory(node.directory.path(name))
    edit(&request)
    return try node.workspace.exportOCI(request)
  }

  private func umoci(_ node: TestNode, _ layout: String, _ tag: String, _ name: String) throws
    -> String
  {
    let path = node.directory.path(name)
    let result = try run(
      "umoci", "unpack", "--image", "\(node.directory.path(layout)):\(tag)", path)
    guard result.didSucceed else { throw TestFailure("umoci: \(result.errors)") }
    return path + "/rootfs"
  }

  private func bytes(_ node: TestNode, _ layout: String) throws -> String {
    try shell(
      "cd \"$1\"; find . -type f -exec sha256sum {} + | sort -k2; find . -printf '%P %y %m\n' | sort",
      node.directory.path(layout)
    ).output
  }

  @Test(.enabled(if: OCITools.hasUmoci && isRoot, "needs umoci, and root"))
  func `a tree with one of everything is unpacked equal by umoci`() throws {
    let node = try TestNode(isStaged: false, tree: "srv/nasty")
    try makeNastyTree(node.tree, wide: 300)
    // A layer has no sockets. Programs in Go drop attributes without a value, and umoci drops labels.
    try shell(
      "cd \"$1\"; rm -f socket; setfattr -x user.empty xattr; setfattr -x security.selinux xattr",
      node.tree)
    _ = try node.workspace.snapshot(node.tree)
    let first = try export(node, "nasty", "one") { $0.name = "tag" }
    #expect(first.layers.count == 1 && first.gaps.isEmpty)
    let found = try differences(node.tree, try umoci(node, "one", "tag", "u"), seconds: true)
    #expect(found == "", "\(found)")
    _ = try export(node, "nasty@1", "two") { $0.name = "tag" }
    #expect(try bytes(node, "one") == bytes(node, "two"))
  }

  @Test(.enabled(if: OCITools.hasUmoci && isRoot, "needs umoci, and root"))
  func
    `layers that follow the history unpack to each snapshot, and older layers keep their digests`()
    throws
  {
    let node = try TestNode.directory(tree: [
      "etc/motd": "1\n", "etc/hosts": "h\n", "usr/lib/a": "a", "usr/lib/b": "b", "data/x/y": "y",
    ])
    let changes = [
      "ln etc/motd etc/linked; setfattr -n user.a -v b etc/hosts; chmod 2750 usr",
      "rm usr/lib/a; rm -r data; echo d >data; mkdir new; echo n >new/n",
      "true",
      "rm data; mkdir -p data/x; echo z >data/x/z; rm etc/motd; echo w >etc/a-first; ln etc/linked etc/again",
      "mkfifo f; rm -r new; ln -s etc new; touch -d @1000000000.5 usr/lib/b; chown 5:6 etc/hosts",
    ]
    var copies: [String] = []
    for (index, change) in (["true"] + changes).enumerated() {
      try shell("cd \"$1\"; eval \"$2\"", node.tree, change)
      _ = try node.workspace.snapshot(node.tree)
      copies.append(node.directory.path("copy-\(index)"))
      try copyTree(node.tree, copies[index])
    }
    let last = try node.workspace.snapshot(node.tree).committed.number
    var before: [String] = []
    for number in 1...last {
      let outcome = try export(node, "compute@\(number)", "h\(number)") {
        $0.layers = .history
        $0.name = "t"
      }
      let digests = outcome.layers.compactMap { $0.digest?.hex }
      #expect(Array(digests.prefix(before.count)) == before, "layers of @\(number) changed")
      before = digests
      let unpacked = try umoci(node, "h\(number)", "t", "u\(number)")
      let reference = node.directory.path("r\(number)")
      _ = try node.workspace.restore("compute@\(number)", to: reference)
      let found = try differences(reference, unpacked)
      #expect(found == "", "@\(number): \(found)")
    }
    let some = try export(node, "compute@\(last)", "some") {
      $0.layers = .snapshots(["1", "3"])
      $0.name = "t"
    }
    #expect(some.layers.map(\.snapshot) == ["compute@1", "compute@3", "compute@\(last)"])
    #expect(
      try differences(node.directory.path("r\(last)"), umoci(node, "some", "t", "us")) == "")
  }

  @Test func `an exported image comes in again with the same tree and the same instructions`()
    throws
  {
    let node = try TestNode.directory(tree: ["etc/motd": "1\n", "usr/lib/a": "a"])
    try shell("ln \"$1\"/etc/motd \"$1\"/etc/two", node.tree)
    let snapshot = try node.workspace.snapshot(node.tree).committed
    var archive = OCIExportRequest(snapshot.name)
    archive.destination = .archive(node.directory.path("a.tar"))
    archive.codec = .zstd
    let out = try node.workspace.exportOCI(archive)
    #expect(out.destination == node.directory.path("a.tar"))
    var request = ImportRequest(node.directory.path("a.tar"))
    request.directory = node.directory.path("srv/other")
    request.name = "other"
    let image = try #require(try node.workspace.importBundle(request).images.first)
    let imported = try #require(image.imported?.snapshot)
    #expect(imported.tree == snapshot.snapshot.tree)
    let digest = try #require(out.digest)
    #expect(
      imported.facts.contains { $0.key == "oci.digest" && $0.value == "sha256:\(digest.hex)" })
    #expect(
      imported.facts.contains { $0.key == "oci.config" && $0.value.contains(snapshot.id.hex) })
    // The facts stay with the image.
    try shell("echo 2 >\"$1\"/srv/other/etc/new", node.directory.path)
    let later = try node.workspace.snapshot("other").committed
    #expect(later.snapshot.facts == imported.facts)
  }

  @Test func `a dry run writes nothing and counts the layers`() throws {
    let node = try TestNode.directory(tree: ["etc/motd": "1\n"])
    _ = try node.workspace.snapshot(node.tree)
    let outcome = try export(node, "compute@1", "out") { $0.isDryRun = true }
    #expect(outcome.layers.count == 1 && outcome.digest == nil && outcome.isDryRun)
    #expect(!FileManager.default.fileExists(atPath: node.directory.path("out")))
  }

  @Test func `a layout directory replaces nothing, and an archive no directory`() throws {
    let node = try TestNode.directory(tree: ["etc/motd": "1\n"])
    _ = try node.workspace.snapshot(node.tree)
    try shell(
      "mkdir \"$1\"/full \"$1\"/empty; echo x >\"$1\"/full/x; echo x >\"$1\"/file",
      node.directory.path)
    for name in ["full", "file"] {
      let error = #expect(throws: ImageError.self) { try export(node, "compute@1", name) }
      #expect(error?.errorCode == .alreadyExists)
    }
    _ = try export(node, "compute@1", "empty")
    #expect(FileManager.default.fileExists(atPath: node.directory.path("empty/index.json")))
    #expect(try shell("ls -A \"$1\"", node.directory.path).output.contains(".imgstore") == false)
    for path in ["store/x", "srv/compute/x"] {
      #expect(throws: (any Error).self) { try export(node, "compute@1", path) }
    }
  }

  @Test func `a file whose name other programs take for a removal is refused`() throws {
    let node = try TestNode.directory(tree: ["etc/.wh.motd": "1\n"])
    _ = try node.workspace.snapshot(node.tree)
    let error = #expect(throws: StoreError.self) { try export(node, "compute@1", "out") }
    #expect(error?.errorCode == .unsupported)
    #expect(!FileManager.default.fileExists(atPath: node.directory.path("out")))
  }

  @Test func `secrets are named, and left out of all layers on request`() throws {
    let node = try TestNode.directory(tree: [
      "etc/shadow": "root:$6$salt$hash:19000:0:::::\n", "a": "1",
    ])
    _ = try node.workspace.snapshot(node.tree)
    try shell("rm \"$1\"/etc/shadow", node.tree)
    _ = try node.workspace.snapshot(node.tree)
    let plain = try export(node, "compute@2", "plain") { $0.layers = .history }
    #expect(!plain.secrets.findings.isEmpty)
    #expect(!plain.secrets.isScrubbed)
    let clean = try export(node, "compute@2", "clean") {
      $0.layers = .history
      $0.scrubs = true
    }
    #expect(clean.secrets.isScrubbed)
    let search =
      "cd \"$1\"; for f in blobs/sha256/*; do gzip -dcf $f; done | grep -c 'salt.hash' || true"
    #expect(try shell(search, node.directory.path("plain")).output == "1\n")
    #expect(try shell(search, node.directory.path("clean")).output == "0\n")
  }

  @Test(arguments: ["3,1", "9", "1,1", "nothing"])
  func `a list of layers that is not ascending is refused`(_ list: String) throws {
    let node = try TestNode.directory(tree: ["a": "1"])
    for text in ["1", "2", "3"] {
      try shell("echo \"$2\" >\"$1\"/a", node.tree, text)
      _ = try node.workspace.snapshot(node.tree)
    }
    #expect(throws: ImageError.self) {
      try export(node, "compute@3", "out") {
        $0.layers = .snapshots(list.split(separator: ",").map(String.init))
      }
    }
  }
}

@Suite(
  .usesTools,
  .enabled(
    if: OCITools.hasSkopeo && OCITools.hasRegistry && OCITools.hasUmoci && isRoot,
    "needs skopeo, umoci and docker-registry, and root"))
struct OCIRegistryTests {
  @Test(.timeLimit(.minutes(5)))
  func `an export goes through a registry and back unchanged, and imports equal`() throws {
    let node = try TestNode(isStaged: false, tree: "srv/nasty")
    try makeNastyTree(node.tree, wide: 100)
    try shell("rm -f \"$1\"/socket", node.tree)
    let snapshot = try node.workspace.snapshot(node.tree).committed
    var request = OCIExportRequest(snapshot.name)
    request.destination = .archive(node.directory.path("out.tar"))
    let out = try node.workspace.exportOCI(request)
    let result = try run(
      fixture("scripts/oci/push-and-pull.sh"), node.directory.path, "out.tar", "nasty:1")
    try #require(result.didSucceed, "\(result.errors)")
    // The registry gives the manifest that it got.
    let digest = try #require(out.digest)
    #expect(result.output.contains("sha256:\(digest.hex)"))
    var back = ImportRequest(node.directory.path("back"))
    back.name = "back"
    back.directory = node.directory.path("srv/back")
    back.allowsPrivileged = true
    let image = try #require(try node.workspace.importBundle(back).images.first)
    #expect(image.remaining?.isEmpty == true)
    #expect(try differences(node.tree, node.directory.path("srv/back"), seconds: true) == "")
  }
}
