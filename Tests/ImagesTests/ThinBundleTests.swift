// Thin bundles: snapshots without the data that the receiver has.

import Archive
import Codec
import Foundation
import Images
import Platform
import Store
import TestSupport
import Testing
import Transfer

@Suite(.usesTools) struct ThinBundleTests {
  /// A node with two snapshots of a directory image, and a machine with the first one.
  private struct Site {
    let node: TestNode
    let image: ImageName
    let receiver: Workspace
    let large: [UInt8]

    init() throws {
      node = try TestNode.directory(tree: ["etc/motd": "one\n"])
      var random = SplitMix64(4)
      large = random.bytes(3_000_000)
      try Data(large).write(to: URL(fileURLWithPath: node.path("srv/compute/large")))
      _ = try node.open().snapshot(node.path("srv/compute"))
      image = try #require(try node.open().store().refs.images().first)
      receiver = try node.machine(store: "receiver")
      _ = try receiver.pull(PullRequest(node.workspace.options.store, ["\(image)@1"]))
      try node.write("two\n", to: "srv/compute/etc/motd")
      _ = try node.open().snapshot(image.text)
    }

    func export(
      _ name: String, _ reference: String = "@2", since: [String] = ["@1"], have: String? = nil
    ) throws -> String {
      var request = ThinExportRequest("\(image)\(reference)")
      request.since = since.map { "\(image)\($0)" }
      request.have = have
      let path = node.directory.path(name)
      request.destination = .file(path)
      _ = try node.open().exportThin(request)
      return path
    }
  }

  @Test func itHoldsOnlyWhatIsMissing() throws {
    let site = try Site()
    let path = try site.export("thin.tar")
    let size = try #require(
      FileManager.default.attributesOfItem(atPath: path)[.size] as? Int)
    #expect(size < 30_000)
    // Anybody can list it, and read what it is.
    let list = try run("tar", "-tf", path)
    #expect(
      list.output.split(separator: "\n")
        == ["README", "manifest", "snapshot", "signatures", "frames/000001", "end"])
    let outcome = try #require(try site.receiver.importThin(ImportRequest(path)))
    #expect(outcome.snapshot == SnapshotName(image: site.image, number: 2) && outcome.isNew)
    #expect(outcome.applied == nil && site.node.content("srv/compute/etc/motd") == "two\n")
    #expect(try site.receiver.verify(deep: true).problems.isEmpty)
    let ids = try site.receiver.store().refs.ids(of: site.image).map(\.id)
    #expect(try ids == site.node.open().store().refs.ids(of: site.image).map(\.id))
    // Again, it changes nothing.
    #expect(try site.receiver.importThin(ImportRequest(path))?.isNew == false)
    #expect(try site.receiver.store().refs.numbers(of: site.image) == [1, 2])
  }

  @Test func `a bundle with bases has a version that older programs refuse`() throws {
    let site = try Site()
    let thin = try site.export("thin.tar")
    let whole = try site.export("whole.tar", since: [])
    for (path, title) in [(thin, "imgstore thin bundle 2"), (whole, "imgstore thin bundle 1")] {
      let manifest = try run("tar", "-xOf", path, "manifest").output
      #expect(manifest.split(separator: "\n").first.map(String.init) == title)
    }
    // Bundles of the programs that knew only version 1 had the same members.
    try shell("sed -i 's/imgstore thin bundle 2$/imgstore thin bundle 1/' \"$1\"", thin)
    #expect(try site.receiver.importThin(ImportRequest(thin))?.isNew == true)
    try shell("sed -i 's/imgstore thin bundle 1$/imgstore thin bundle 3/' \"$1\"", thin)
    #expect(errorCode { _ = try site.receiver.importThin(ImportRequest(thin)) } == .unsupported)
  }

  @Test func aReceiverWithoutTheBaseRefuses() throws {
    let site = try Site()
    let path = try site.export("thin.tar")
    var options = site.receiver.options
    options.store = site.node.directory.path("stranger")
    let stranger = try Workspace(options) { _ in }
    _ = try stranger.store(create: true)
    #expect(errorCode { _ = try stranger.importThin(ImportRequest(path)) } == .baseMissing)
    #expect(try stranger.store().refs.images().isEmpty && stranger.store().totals().objects == 0)
  }

  @Test func aListOfTheReceiverReplacesTheBase() throws {
    let site = try Site()
    let list = site.node.directory.path("list")
    try Data(try site.receiver.have(site.image.text).encode()).write(
      to: URL(fileURLWithPath: list))
    let path = try site.export("thin.tar", since: [], have: list)
    #expect(try site.receiver.importThin(ImportRequest(path))?.snapshot?.number == 2)
    #expect(try site.receiver.verify(deep: true).problems.isEmpty)
  }

  @Test func aListHelpsEvenIfNoSnapshotIsShared() throws {
    let site = try Site()
    // The receiver has the same files, in a snapshot of its own.
    var options = site.receiver.options
    options.store = site.node.directory.path("own")
    let own = try Workspace(options) { _ in }
    try site.node.write("mine\n", to: "srv/compute/etc/motd")
    _ = try own.snapshot(site.node.path("srv/compute"))
    let list = site.node.directory.path("list")
    try Data(try own.have(site.image.text).encode()).write(to: URL(fileURLWithPath: list))
    let path = try site.export("thin.tar", since: [], have: list)
    let size = try #require(
      FileManager.default.attributesOfItem(atPath: path)[.size] as? Int)
    #expect(size < 60_000)
    #expect(try own.importThin(ImportRequest(path))?.snapshot?.number == 2)
    #expect(try own.verify(deep: true).problems.isEmpty)
  }

  @Test func forceRevertsTheLiveImage() throws {
    let site = try Site()
    let path = try site.export("thin.tar")
    _ = try site.node.open().revert("\(site.image)@1")
    #expect(site.node.content("srv/compute/etc/motd") == "one\n")
    var request = ImportRequest(path)
    request.replaces = true
    let outcome = try #require(try site.node.open().importThin(request))
    #expect(!outcome.isNew && outcome.applied?.remaining?.isEmpty == true)
    #expect(site.node.content("srv/compute/etc/motd") == "two\n")
  }

  @Test func everyDamagedByteIsFoundOrHarmless() throws {
    let site = try Site()
    let bytes = [UInt8](try Data(contentsOf: URL(fileURLWithPath: try site.export("thin.tar"))))
    let wrong = site.node.directory.path("wrong.tar")
    let before = try site.receiver.store().refs.ids(of: site.image).count
    // The zeros at the end belong to tar: the member "end" is the end of the bundle.
    let end = (bytes.lastIndex { $0 != 0 } ?? 0) / 512 * 512
    for length in stride(from: 0, to: end, by: 397) {
      try Data(bytes[..<length]).write(to: URL(fileURLWithPath: wrong))
      #expect(
        throws: (any Error).self, "length \(length)",
        performing: {
          guard try site.receiver.importThin(ImportRequest(wrong)) != nil else {
            throw TestFailure("not recognized")
          }
        })
    }
    for index in stride(from: 0, to: bytes.count, by: 131) {
      var damaged = bytes
      damaged[index] ^= 0x21
      try Data(damaged).write(to: URL(fileURLWithPath: wrong))
      var isAdded = false
      do { isAdded = try site.receiver.importThin(ImportRequest(wrong))?.isNew == true } catch {
        let code = (error as? any ExplainedError)?.errorCode
        #expect(
          [
            .bundleInvalid, .damaged, .remoteDamaged, .baseMissing, .unsupported, .invalidName,
            .objectMissing,
          ].contains(code), "byte \(index): \(error)")
      }
      if isAdded { break }
    }
    #expect(try site.receiver.verify(deep: true).problems.isEmpty)
    #expect(try site.receiver.store().refs.ids(of: site.image).count <= before + 1)
  }

  @Test func aWrongListIsRefused() throws {
    let site = try Site()
    var bytes = try site.receiver.have(site.image.text).encode()
    let list = site.node.directory.path("list")
    for index in stride(from: 0, to: bytes.count, by: max(1, bytes.count / 60)) {
      bytes[index] ^= 1
      try Data(bytes).write(to: URL(fileURLWithPath: list))
      #expect(
        errorCode { _ = try site.export("x.tar", since: [], have: list) } == .bundleInvalid
          || index < 20)
      bytes[index] ^= 1
    }
    #expect(!FileManager.default.fileExists(atPath: site.node.directory.path("x.tar")))
  }
}
