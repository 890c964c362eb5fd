// Untrusted OCI images (Tests/HostileBundles/HostileImages.swift): each is refused with a reason, and nothing
// outside the store changes. Unusual ones that programs make are imported.

import Foundation
import HostileBundles
import Images
import Platform
import TestSupport
import Testing

/// A node with files around it that an escape would change, and an archive of an image.
final class ImageNode: Sendable {
  let directory: TemporaryDirectory
  let workspace: Workspace
  private let archive: String

  init(_ bytes: [UInt8]) throws {
    directory = try TemporaryDirectory()
    try runFixture("scripts/trees/make-node-to-attack.sh", directory.path)
    workspace = try Workspace(
      WorkspaceOptions(store: directory.path("store"), root: directory.path("root"))
    ) { _ in }
    _ = try workspace.store(create: true)
    archive = directory.path("b.tgz")
    try Data(bytes).write(to: URL(fileURLWithPath: archive))
  }

  /// Lists everything around the store, with kinds, modes, owners, times and link targets.
  func listing() throws -> String {
    try shell(
      """
      cd "$1"; find . -path ./store -prune -o -path ./b.tgz -prune -o \
        -printf '%p %y %m %U %G %s %n %T@ %l\n' | sort; cat outside/sentinel root/etc/shadow
      """, directory.path
    ).output
  }

  /// Imports the image as "image" in /install/image.
  @discardableResult
  func importing(_ edit: (inout ImportRequest) -> Void = { _ in }) throws -> ImportOutcome {
    var request = ImportRequest(archive)
    request.name = "image"
    request.directory = "/install/image"
    request.allowsPrivileged = true
    request.form = .oci
    edit(&request)
    return try workspace.importBundle(request)
  }

  /// The path of a file in the imported tree.
  func path(_ name: String) -> String { directory.path("root/install/image/\(name)") }

  func text(_ name: String) throws -> String {
    String(decoding: try Data(contentsOf: URL(fileURLWithPath: path(name))), as: UTF8.self)
  }

  func exists(_ name: String) -> Bool {
    (try? FileManager.default.attributesOfItem(atPath: path(name))) != nil
  }
}

@Suite(.usesTools) struct OCIHostileTests {
  @Test(.timeLimit(.minutes(5)), arguments: HostileImage.all)
  func `a hostile image is refused, and nothing outside the store changes`(_ hostile: HostileImage)
    throws
  {
    let bytes = hostile.make()
    let node = try ImageNode(bytes)
    let before = try node.listing()
    let error = #expect(throws: (any Error).self) { try node.importing() }
    let refusal = try #require(error as? any ExplainedError, "\(String(describing: error))")
    #expect(
      [.bundleInvalid, .unsupported, .notFound].contains(refusal.errorCode), "\(refusal.message)")
    #expect(try node.listing() == before)
    #expect(try node.workspace.images().isEmpty)
    #expect(try run("ls", "-A", node.directory.path("store/tmp")).output == "")
    let stored = try run("du", "-s", "--block-size=1", node.directory.path("store")).output
    let storedBytes = try #require(Int(stored.prefix { $0.isNumber }))
    #expect(storedBytes < bytes.count + (8 << 20), "the store grew to \(storedBytes) bytes")
    let text = refusal.messageWithHint
    #expect(
      text.unicodeScalars.allSatisfy { $0 == "\n" || $0.properties.generalCategory != .control },
      "control characters in: \(text.debugDescription)")
    #expect(text.utf8.count < 6000)
  }

  @Test(arguments: ["../secret", "/etc/../secret", "link/secret", "secret-link", "./../secret"])
  func `a directory of docker save names no file outside of itself`(_ path: String) throws {
    let node = try ImageNode([])
    let layer = ImageDraft.tar()
    let config = try #require(
      ImageDraft().layout.values.first { $0.starts(with: Array(#"{"architecture""#.utf8)) })
    let top = node.directory.path("docker")
    try shell("mkdir -p \"$1\"; ln -s .. \"$1\"/link; ln -s ../secret \"$1\"/secret-link", top)
    let url = URL(fileURLWithPath: top)
    try Data(config).write(to: url.appendingPathComponent("config.json"))
    for name in ["inside", "../secret"] {
      try Data(layer).write(to: URL(fileURLWithPath: top + "/" + name))
    }
    func importing(_ layer: String) throws -> ImportOutcome {
      let list = #"[{"Config":"config.json","RepoTags":["a:b"],"Layers":["\#(layer)"]}]"#
      try Data(list.utf8).write(to: url.appendingPathComponent("manifest.json"))
      return try node.importing { $0.bundle = top }
    }
    let error = #expect(throws: (any Error).self) { try importing(path) }
    #expect(error is any ExplainedError, "\(String(describing: error))")
    #expect(!node.exists("etc"))
    let image = try #require(try importing("inside").images.first)
    #expect(image.remaining?.isEmpty == true, "\(String(describing: image.remaining))")
  }

  @Test func `a damaged layer is reported as one that does not match its digest`() throws {
    let damaged = try #require(HostileImage.all.first { $0.name == "a layer with a flipped bit" })
    let node = try ImageNode(damaged.make())
    let error = #expect(throws: ImageError.self) { try node.importing() }
    #expect(error?.reason.contains("does not match its digest") == true)
  }

  @Test func `expanding zeros are refused for their expansion`() throws {
    let bomb = try #require(HostileImage.all.first { $0.name.contains("beyond a GiB") })
    let node = try ImageNode(bomb.make())
    let error = #expect(throws: (any Error).self) { try node.importing() }
    let refusal = try #require(error as? any ExplainedError)
    #expect(refusal.reason.contains("expand"), "\(refusal.message)")
  }

  @Test func `unsigned images are refused if a signature is required`() throws {
    let node = try ImageNode(ImageDraft().archive)
    try shell("mkdir -p \"$1\"", node.workspace.trustedKeysPath)
    try Data(BundleSigner.trusted.publicKey.pem).write(
      to: URL(fileURLWithPath: node.workspace.trustedKeysPath + "/origin.pem"))
    let error = #expect(throws: (any Error).self) {
      try node.importing { $0.requiresSignature = true }
    }
    #expect((error as? any ExplainedError)?.errorCode == .bundleInvalid)
    #expect(!node.exists("etc/motd"))
  }

  @Test func `a device or a setuid file without a package needs the user's consent`() throws {
    let node = try ImageNode(
      ImageDraft { $0.file("etc/root", "x", mode: 0o4755) }.archive)
    let before = try node.listing()
    #expect(throws: (any Error).self) { try node.importing { $0.allowsPrivileged = false } }
    #expect(try node.listing() == before)
    try node.importing()
    #expect(try node.text("etc/root") == "x")
  }

  @Test func `a link that leads out of the tree is stored, and never followed`() throws {
    let node = try ImageNode(
      ImageDraft { tar in
        tar.header("out", type: "2", link: "../../../../outside")
        tar.header("abs", type: "2", link: "/outside")
        tar.file("out/new", "n")
        tar.file("abs/other", "o")
        tar.file("out/.wh.sentinel", "")
        tar.header("abs/.wh.sentinel", type: "0")
      }.archive)
    let outside = try shell("ls -lR \"$1\"/outside", node.directory.path).output
    try node.importing()
    #expect(try shell("ls -lR \"$1\"/outside", node.directory.path).output == outside)
    #expect(try node.text("outside/new") == "n")
    #expect(try node.text("outside/other") == "o")
    #expect(
      try FileManager.default.destinationOfSymbolicLink(atPath: node.path("out"))
        == "../../../../outside")
  }

  @Test func `a thousand layers with opaque whiteouts take bounded time`() throws {
    let layers = (0..<1000).map { i in
      ImageDraft.layer { tar in
        tar.directory("d/")
        tar.file("d/.wh..wh..opq", "")
        for j in 0..<20 { tar.file("d/\(i)-\(j)", "\(i)") }
        tar.file("d/.wh..wh..opq", "")
      }
    }
    let node = try ImageNode(ImageDraft(layers: layers).archive)
    try node.importing()
    let names = try FileManager.default.contentsOfDirectory(atPath: node.path("d")).sorted()
    #expect(names == (0..<20).map { "999-\($0)" }.sorted())
  }

  @Test func `directories of aufs are ignored, and names that only look like whiteouts are files`()
    throws
  {
    let node = try ImageNode(
      ImageDraft { tar in
        tar.file(".wh..wh.aufs", "")
        tar.directory(".wh..wh.plnk/")
        tar.file(".wh..wh.plnk/12.34", "x")
        tar.file("etc/wh.motd", "w")
        tar.file("etc/a.wh.b", "w")
      }.archive)
    try node.importing()
    #expect(try node.text("etc/wh.motd") == "w")
    #expect(try node.text("etc/a.wh.b") == "w")
    #expect(try node.text("etc/motd") == "hello\n")
    #expect(
      try FileManager.default.contentsOfDirectory(atPath: node.path("")).allSatisfy {
        !$0.hasPrefix(".wh")
      })
  }

  @Test(.sweep, arguments: seeds)
  func `an image with random damage is refused, or equals the undamaged one`(_ seed: UInt64) throws
  {
    var random = SplitMix64(seed)
    let good = ImageDraft { tar in
      tar.pax([("mtime", "5.25"), ("SCHILY.xattr.user.a", "b")])
      tar.file("etc/x", "x")
      tar.header("etc/y", type: "1", link: "etc/x")
    }.archive
    for _ in 0..<60 {
      var bytes = good
      bytes[Int(random.next() % UInt64(bytes.count))] ^= UInt8(1 << (random.next() % 8))
      let node = try ImageNode(bytes)
      do {
        try node.importing()
        #expect(try node.text("etc/x") == "x")
        #expect(try node.text("etc/motd") == "hello\n")
      } catch let error as any ExplainedError {
        #expect(!error.message.isEmpty)
        #expect(!node.exists("etc"))
      }
    }
  }
}
