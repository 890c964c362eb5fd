// Push and pull between two stores through the whole protocol, in one process.

import Codec
import Foundation
import Platform
import RemoteProtocol
import Store
import TestSupport
import Testing
import Transfer

@Suite struct RemoteTransferTests {
  @Test(arguments: seeds) func `pushed snapshots are equal and sound`(seed: UInt64) throws {
    let (local, remote) = (try SampleStore(), try SampleStore())
    try local.writeTree(seed: seed)
    try local.snapshot()
    try local.changeTree(seed: seed + 1)
    try local.snapshot()
    let connection = try connect(to: remote)
    let served = RemoteStore(connection)
    let source = LocalSource(local.store, name: "here")
    let first = try transfer(1, from: source, to: served, baseStore: local.store)
    let second = try transfer(2, from: source, to: served, baseStore: local.store)
    #expect((first.number, second.number) == (1, 2))
    #expect(second.amount.bytes < first.amount.bytes / 4)
    #expect(try remote.ids() == local.ids())
    try remote.expectSound()
    let before = connection.transferredBytes
    #expect(try transfer(2, from: source, to: served, baseStore: local.store).number == 2)
    #expect(connection.transferredBytes - before < 4096)
    connection.close()
  }

  @Test(arguments: seeds) func `pulled snapshots are equal and sound`(seed: UInt64) throws {
    let (local, remote) = (try SampleStore(), try SampleStore())
    try remote.writeTree(seed: seed)
    try remote.snapshot()
    try remote.changeTree(seed: seed + 1)
    try remote.snapshot()
    let connection = try connect(to: remote, rights: .readOnly)
    let served = RemoteStore(connection)
    let sink = LocalSink(local.store, name: "here", origin: "there", lockWait: .forever)
    let first = try transfer(1, from: served, to: sink, baseStore: local.store)
    let before = connection.transferredBytes
    let second = try transfer(2, from: served, to: sink, baseStore: local.store)
    #expect((first.number, second.number) == (1, 2))
    // Trees cross the connection once, although the walk reads them first.
    #expect(Double(connection.transferredBytes - before) < Double(second.amount.bytes) * 1.5 + 4096)
    #expect(try local.ids() == remote.ids())
    try local.expectSound()
    connection.close()
  }

  @Test func `objects are read one by one, recipes included`() throws {
    let remote = try SampleStore()
    try remote.writeTree(seed: 9)
    let entry = try #require(try remote.snapshot().snapshot.components.first?.entry)
    let served = RemoteStore(try connect(to: remote, rights: .readOnly))
    let needs = try SnapshotWalk.needs(
      of: try remote.store.refs.read(ImageName("compute"), 1).snapshot,
      reading: served.directories)
    let recipes = try zip(needs.blobs, served.contents(of: needs.blobs)).compactMap {
      if case .recipe = $1 { return ObjectName(kind: .recipe, id: $0) }
      return nil
    }
    #expect(!recipes.isEmpty)
    let names = Set(needs.objects + recipes)
    var seen: Set<ObjectName> = []
    try served.objects(Array(names)) { name, bytes in
      #expect(seen.insert(name).inserted)
      let stored = try remote.store.object(name.kind, name.id)
      #expect(stored == bytes)
    }
    #expect(seen == names)
    #expect(entry.ids != nil)
    #expect(
      errorCode { try served.objects([ObjectName(kind: .chunk, id: emptyBlob)]) { _, _ in } }
        == .failed)
    served.connection.close()
  }

  @Test func `tags and pins are added and never moved`() throws {
    let (local, remote) = (try SampleStore(), try SampleStore())
    try local.writeTree(seed: 1, files: 5, wide: 3)
    try local.snapshot()
    try local.snapshot(message: "second")
    let connection = try connect(to: remote, rights: .appendOnly)
    let served = RemoteStore(connection)
    let source = LocalSource(local.store, name: "here")
    for number in 1...2 { try transfer(number, from: source, to: served, baseStore: local.store) }
    let image = try ImageName("compute")
    let session = try served.begin()
    #expect(try session.tag("production", of: image, 1) == 1)
    #expect(try session.tag("production", of: image, 2) == 1)
    try session.pin(image, 2, reason: "a release")
    try session.pin(image, 2, reason: "another reason")
    #expect(errorCode { _ = try session.tag("next", of: image, 3) } == .snapshotNotFound)
    #expect(errorCode { try session.pin(image, 3, reason: "") } == .snapshotNotFound)
    session.end()
    let history = try served.history(of: image)
    #expect(history.tags == ["production": 1])
    #expect(history.pins == [2: "a release"])
    #expect(try served.images() == [image])
    connection.close()
  }

  @Test func `read only accounts only read`() throws {
    let remote = try SampleStore()
    try remote.writeTree(seed: 1, files: 5, wide: 3)
    try remote.snapshot()
    let served = RemoteStore(try connect(to: remote, rights: .readOnly))
    #expect(errorCode { _ = try served.begin() } == .remoteDenied)
    // The server refuses, too: a client of somebody else does not ask for its rights.
    for request in [Request.begin, .missing([]), .tag("t", try ImageName("compute"), 1), .end] {
      #expect(
        errorCode { try served.connection.request(request) { _ = try $0.answer(.done) } }
          == .remoteDenied)
    }
    #expect(try served.history(of: ImageName("compute")).snapshots.count == 1)
    served.connection.close()
  }

  @Test func `snapshot without its objects gets no ref`() throws {
    let (local, remote) = (try SampleStore(), try SampleStore())
    try local.writeTree(seed: 3, files: 5, wide: 3)
    let committed = try local.snapshot()
    let served = RemoteStore(try connect(to: remote))
    let session = try served.begin()
    let snapshot = try TransferredSnapshot(committed.snapshot.encode())
    #expect(errorCode { _ = try session.commit(snapshot, bases: []) } == .remoteDamaged)
    session.end()
    #expect(try remote.ids() == [])
    // The connection and the store are usable afterwards.
    try transfer(
      1, from: LocalSource(local.store, name: "here"), to: served, baseStore: local.store)
    #expect(try remote.ids() == [committed.id])
    served.connection.close()
  }

  @Test func `refused frame ends the push with the servers words`() throws {
    let (local, remote) = (try SampleStore(), try SampleStore())
    try local.writeTree(seed: 4)
    try local.snapshot()
    let served = RemoteStore(try connect(to: remote))
    let session = try served.begin()
    let transfer = SnapshotTransfer(
      from: LocalSource(local.store, name: "here"), to: session, baseStore: nil,
      progress: Progress())
    let snapshot = try local.store.refs.read(ImageName("compute"), 1).snapshot
    let names = try transfer.missing(snapshot, bases: [])
    var error: (any ExplainedError)?
    do {
      // The payload of every frame is damaged. The server says so while the client still sends.
      for _ in 0..<2000 {
        try local.store.frames(holding: names) { frame in
          var bytes = frame.bytes
          bytes[bytes.count - 1] ^= 1
          try session.append(try RawFrame(bytes))
        }
      }
    } catch let thrown as any ExplainedError { error = thrown }
    #expect(error?.errorCode == .damaged)
    #expect(error?.message.hasPrefix("ssh://test: ") == true)
    #expect(errorCode { _ = try session.missing(names) } == .damaged)
    session.end()
    // A new session works.
    let next = try served.begin()
    #expect(try next.missing(names).count == names.count)
    next.end()
    served.connection.close()
    try remote.expectSound()
  }

  @Test func `interrupted push is continued without sending packs again`() throws {
    let (local, remote) = (try SampleStore(), try SampleStore())
    try local.writeTree(seed: 5, files: 200)
    try local.snapshot()
    let source = LocalSource(local.store, name: "here")
    let connection = try connect(to: remote)
    let session = try RemoteStore(connection).begin()
    let first = SnapshotTransfer(
      from: source, to: session, baseStore: nil, progress: Progress())
    let names = try first.missing(try source.snapshot(ImageName("compute"), 1).snapshot, bases: [])
    let half = Array(names[..<(names.count / 2)])
    try source.frames(half) { try session.append($0) }
    // The client dies: no `end`, the stream just ends.
    connection.close()
    try waitUntil { (try? remote.reopened().totals().objects) ?? 0 > 0 }
    let served = RemoteStore(try connect(to: remote))
    let rest = try transfer(1, from: source, to: served, baseStore: local.store)
    // Recipes are stored last, when everything that they need has arrived.
    let recipes = half.count { $0.kind == .recipe }
    #expect(rest.amount.objects <= names.count - half.count + recipes)
    #expect(try remote.ids() == local.ids())
    try remote.expectSound()
    served.connection.close()
  }
}

/// Waits until a condition holds, at most ten seconds.
func waitUntil(_ condition: () throws -> Bool) throws {
  for _ in 0..<1000 {
    if try condition() { return }
    usleep(10_000)
  }
  throw TestFailure("the condition did not become true")
}
