// Transfers between two stores of this machine.

import Codec
import Foundation
import Platform
import Store
import TestSupport
import Testing
import Transfer

@Suite(.usesTools) struct SnapshotTransferTests {
  @Test func aSnapshotArrivesWholeWithItsID() throws {
    let site = try TransferSite()
    let path = site.directory.path("tree")
    try FileManager.default.createDirectory(atPath: path, withIntermediateDirectories: true)
    try makeNastyTree(path)
    var random = SplitMix64(11)
    try Data(random.bytes(9_000_000)).write(to: URL(fileURLWithPath: path + "/large"))
    let snapshot = try site.snapshot(path)
    let other = try site.open("other")
    let (amount, number) = try carry(snapshot, from: site.store, to: other)
    #expect(number == 1 && amount.objects > 100)
    let received = try other.refs.read(ImageName("img"), 1)
    #expect(received.id == snapshot.id)
    try expectWhole(other)
    #expect(
      try other.missingObjects(of: received.snapshot, bases: []).isEmpty)
  }

  @Test func anUnchangedSnapshotSendsNothing() throws {
    let site = try TransferSite()
    let path = try site.tree("tree", ["a/b": Array("one".utf8), "c": Array("two".utf8)])
    let first = try site.snapshot(path)
    let other = try site.open("other")
    try carry(first, from: site.store, to: other)
    let again = try site.snapshot(path)
    let (amount, number) = try carry(again, from: site.store, to: other, bases: [first])
    #expect(amount == TransferredAmount() && number == 2)
    // Without a base, the places compare objects.
    let third = try site.snapshot(path, of: "copy")
    #expect(try carry(third, from: site.store, to: other).amount == TransferredAmount())
  }

  @Test func aRepeatedCommitHasTheSameNumber() throws {
    let site = try TransferSite()
    let first = try site.snapshot(try site.tree("tree", ["a": [1]]))
    let other = try site.open("other")
    #expect(try carry(first, from: site.store, to: other).number == 1)
    #expect(try carry(first, from: site.store, to: other).number == 1)
    #expect(try other.refs.numbers(of: ImageName("img")) == [1])
  }

  @Test func aChangeSendsAboutWhatTheStoreGrewBy() throws {
    let site = try TransferSite()
    var random = SplitMix64(5)
    var files: [String: [UInt8]] = [:]
    for i in 0..<300 { files["d\(i % 17)/f\(i)"] = random.bytes(3000) }
    files["big"] = random.bytes(6_000_000)
    let path = try site.tree("tree", files)
    let first = try site.snapshot(path)
    let other = try site.open("other")
    try carry(first, from: site.store, to: other)
    let before = try site.store.totals().storedBytes
    for i in stride(from: 0, to: 300, by: 29) {
      try Data(random.bytes(3000)).write(to: URL(fileURLWithPath: path + "/d\(i % 17)/f\(i)"))
    }
    let second = try site.snapshot(path)
    let grownBytes = try site.store.totals().storedBytes - before
    let (amount, _) = try carry(second, from: site.store, to: other, bases: [first])
    #expect(
      Double(amount.bytes) <= 1.02 * Double(grownBytes), "\(amount.bytes) of \(grownBytes)")
    try expectWhole(other)
  }

  @Test func aSnapshotThatIsNotSentWholeIsNotCommitted() throws {
    let site = try TransferSite()
    let first = try site.snapshot(try site.tree("tree", ["a": [1], "b": [2]]))
    let other = try site.open("other")
    let source = LocalSource(site.store, name: "the source")
    let session = try LocalSink(
      other, name: "the sink", origin: "the source", lockWait: .forever
    ).begin()
    let transfer = SnapshotTransfer(
      from: source, to: session, baseStore: site.store, progress: Progress())
    let missing = try transfer.missing(first.snapshot, bases: [])
    _ = try transfer.send(
      missing.filter { $0.kind != .chunk } + missing.filter { $0.kind == .chunk }.dropLast())
    let snapshot = try source.snapshot(ImageName("img"), 1)
    #expect(errorCode { _ = try session.commit(snapshot, bases: []) } == .remoteDamaged)
    session.end()
    #expect(try other.refs.images().isEmpty)
    // The rest completes it.
    let (amount, number) = try carry(first, from: site.store, to: other)
    #expect(amount.objects == 1 && number == 1)
    try expectWhole(other)
  }

  @Test func onlyRequestedObjectsLeaveTheStore() throws {
    let site = try TransferSite()
    let secret = Array("the secret of another image".utf8)
    // Both files go into the same frame.
    _ = try site.snapshot(
      try site.tree("tree", ["public": [1, 2, 3], "secret": secret]), of: "both")
    let snapshot = try site.snapshot(try site.tree("tree2", ["public": [1, 2, 3]]))
    let other = try site.open("other")
    try carry(snapshot, from: site.store, to: other)
    #expect(try !other.holds(blob: SHA256.digest(of: secret)))
    #expect(try other.holds(blob: SHA256.digest(of: [1, 2, 3])))
  }

  @Test func whatAReceiverStoredCanBeSentOn() throws {
    let site = try TransferSite()
    var random = SplitMix64(3)
    let snapshot = try site.snapshot(
      try site.tree("tree", ["big": random.bytes(5_000_000), "small": [7]]))
    let second = try site.open("second")
    let third = try site.open("third")
    let (first, _) = try carry(snapshot, from: site.store, to: second)
    let received = try second.refs.read(ImageName("img"), 1)
    let (amount, _) = try carry(received, from: second, to: third)
    #expect(amount.objects == first.objects)
    #expect(Double(amount.bytes) < 1.01 * Double(first.bytes))
    try expectWhole(third)
  }

  @Test func aPartialRecipeOfADeadSnapshotIsNotTrusted() throws {
    let site = try TransferSite()
    var random = SplitMix64(8)
    let snapshot = try site.snapshot(try site.tree("tree", ["big": random.bytes(5_000_000)]))
    let other = try site.open("other")
    // The receiver has the recipe, but not the chunks: a collection may leave that behind.
    let ids = try #require(snapshot.snapshot.components[0].entry.ids)
    let blob = try #require(try Tree.entries(ids, from: site.store)[0].blob)
    let recipe = try site.store.object(.recipe, blob)
    let session = try other.beginSession()
    try session.withWorker { try $0.add(.recipe, blob, recipe) }
    try session.finish()
    try carry(snapshot, from: site.store, to: other)
    try expectWhole(other)
  }

  @Test func signaturesAndTagsTravel() throws {
    let site = try TransferSite()
    let snapshot = try site.snapshot(try site.tree("tree", ["a": [1]]))
    let image = try ImageName("img")
    let statement = Array("a statement\n".utf8)
    try site.store.refs.addSignature(
      [UInt8](repeating: 7, count: 64), by: .zero, of: statement, kind: .origin, to: image, 1)
    let other = try site.open("other")
    try carry(snapshot, from: site.store, to: other)
    let names = try other.refs.signatures(of: image)
    #expect(names.count == 1 && names[0].number == 1)
    #expect(
      try other.refs.signatureFile(
        SignatureFileName(number: 1, kind: .origin, statement: SHA256.digest(of: statement)),
        of: image) == statement)
    let session = try LocalSink(
      other, name: "the sink", origin: "x", lockWait: .forever
    ).begin()
    defer { session.end() }
    #expect(try session.tag("golden", of: image, 1) == 1)
    #expect(try other.refs.tags(of: image) == ["golden": 1])
  }
}
