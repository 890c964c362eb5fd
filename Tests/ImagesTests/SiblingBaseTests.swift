// A receiver with only some snapshots of a long history gets deltas of what it has.

import Codec
import Foundation
import Images
import Platform
import RemoteProtocol
import Store
import TestSupport
import Testing
import Transfer

@Suite(.usesTools) struct SiblingBaseTests {
  /// A node with a directory image of 30 files that compress by a quarter alone, and a machine without it.
  private struct Site {
    let node: TestNode
    let image: ImageName
    let receiver: Workspace
    var random: SplitMix64

    init(_ seed: UInt64) throws {
      var random = SplitMix64(seed)
      node = try TestNode.directory(tree: ["etc/motd": "one\n"])
      for i in 0..<30 {
        let bytes = random.bytes(4_000 + 2_500 * i).map { $0 & 0x3f }
        try Data(bytes).write(to: URL(fileURLWithPath: node.path("srv/compute/file\(i)")))
      }
      self.random = random
      _ = try node.open().snapshot(node.path("srv/compute"))
      image = try #require(try node.open().store().refs.images().first)
      receiver = try node.machine(store: "receiver")
    }

    /// Takes snapshots, before each of which `share` in ten of the files change by a few bytes.
    mutating func update(_ count: Int, share: UInt64 = 10) throws {
      for _ in 0..<count {
        for i in 0..<30 where random.next() % 10 < share {
          let file = URL(fileURLWithPath: node.path("srv/compute/file\(i)"))
          var bytes = [UInt8](try Data(contentsOf: file))
          let at = Int.random(in: 0..<bytes.count, using: &random)
          bytes.replaceSubrange(at..<at, with: random.bytes(9))
          try Data(bytes).write(to: file)
        }
        _ = try node.open().snapshot(image.text)
      }
    }

    /// Pulls a snapshot through the protocol of ssh.
    /// - Returns: the bytes of the frames that travelled.
    func pullThroughProtocol(_ number: Int) throws -> UInt64 {
      let workspace = try node.open()
      let connection = try RemoteClient.inProcess(
        name: "ssh://test",
        options: ServerOptions(rights: .readOnly, greeting: Greeting(program: "imgstore test"))
      ) { _ in try workspace.store() }
      defer { connection.close() }
      let source = RemoteStore(connection)
      if (try? receiver.store()) == nil { _ = try receiver.initializeStore(group: nil) }
      let sink = LocalSink(
        try receiver.store(), name: "here", origin: "ssh://test", lockWait: .forever)
      let session = try sink.begin()
      defer { session.end() }
      let snapshot = try source.snapshot(image, number)
      let transfer = SnapshotTransfer(
        from: source, to: session, baseStore: try receiver.store(), progress: Progress())
      let amount = try transfer.send(try transfer.missing(snapshot.snapshot, bases: []))
      _ = try session.commit(snapshot, bases: [])
      #expect(try receiver.verify(deep: true).isClean)
      return amount.bytes
    }

    /// Pulls a snapshot.
    /// - Returns: the bytes that travelled.
    func pull(_ number: Int) throws -> UInt64 {
      let outcome = try receiver.pull(
        PullRequest(node.workspace.options.store, ["\(image)@\(number)"]))
      #expect(try receiver.verify(deep: true).isClean)
      return outcome.items.reduce(0) { $0 + $1.amount.bytes }
    }
  }

  @Test(arguments: seeds, [false, true])
  func `the next snapshot arrives as deltas`(_ seed: UInt64, hasProtocol: Bool) throws {
    var site = try Site(seed)
    try site.update(9)
    func pull(_ number: Int) throws -> UInt64 {
      try hasProtocol ? site.pullThroughProtocol(number) : site.pull(number)
    }
    let whole = try pull(10)
    for number in [11, 12] {
      try site.update(1)
      let bytes = try pull(number)
      #expect(bytes < whole / 8, "seed \(seed), \(number): \(bytes) of \(whole) bytes")
    }
    let theirs = try site.node.open().store().refs.ids(of: site.image).suffix(3).map(\.id)
    #expect(try site.receiver.store().refs.ids(of: site.image).map(\.id) == theirs)
  }

  @Test(arguments: seeds) func `a thin bundle holds deltas`(_ seed: UInt64) throws {
    var site = try Site(seed)
    try site.update(9, share: 7)
    let whole = try site.pull(10)
    try site.update(1, share: 7)
    var request = ThinExportRequest("\(site.image)@11")
    request.since = ["\(site.image)@10"]
    let path = site.node.directory.path("thin.tar")
    request.destination = .file(path)
    let outcome = try site.node.open().exportThin(request)
    #expect(outcome.sizeBytes < whole / 8, "seed \(seed): \(outcome.sizeBytes) of \(whole) bytes")
    #expect(try site.receiver.importThin(ImportRequest(path))?.isNew == true)
    #expect(try site.receiver.verify(deep: true).isClean)
  }

  @Test(arguments: seeds) func `any part of a history can be pulled`(_ seed: UInt64) throws {
    var site = try Site(seed)
    for number in 2...Sweep.rounds(60) {
      try site.update(1, share: 4)
      if site.random.next() % 3 == 0 { _ = try site.pull(number) }
    }
    #expect(try !site.receiver.store().refs.images().isEmpty, "seed \(seed)")
  }
}
