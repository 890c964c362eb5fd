// Peers that break the protocol, one message at a time: no wrong snapshot, no endless wait, no trap, nothing outside
// the store.

import Codec
import Foundation
import Platform
import RemoteProtocol
import Store
import Synchronization
import TestSupport
import Testing
import Transfer

/// A mutation of one message of one direction.
struct HostileCase: Sendable, CustomTestStringConvertible {
  let mutation: Mutation
  let message: Int
  let seed: UInt64
  var testDescription: String { "\(mutation) of message \(message), seed \(seed)" }

  /// 16 mutations of each of the messages of a transfer: more than 200 cases.
  static let all: [HostileCase] = {
    let seed = seeds.last ?? 1
    return (0..<14).flatMap { message in
      Mutation.allCases.enumerated().map { index, mutation in
        HostileCase(
          mutation: mutation, message: message, seed: seed &+ UInt64(message * 100 + index))
      }
    }
  }()
}

@Suite(.serialized, .sweep) struct HostilePeerTests {
  private static var limits: StreamLimits {
    var limits = StreamLimits()
    limits.silenceSeconds = 0.5
    limits.keepAliveSeconds = 0.1
    limits.messageSeconds = 1
    return limits
  }

  /// The codes that a broken peer may cause. Each error names the remote or the object.
  private static let codes: Set<ErrorCode> = [
    .remoteDamaged, .remoteUnavailable, .remoteUnsuitable, .damaged, .objectMissing,
    .snapshotNotFound, .failed, .notFound, .invalidName,
  ]

  @Test func `there are enough cases`() { #expect(HostileCase.all.count >= 200) }

  @Test func `hostile servers cannot harm a pull`() throws {
    let remote = try SampleStore()
    try remote.writeTree(seed: 1, files: 10, wide: 3)
    try remote.snapshot()
    let ids = Set(try remote.ids())
    try run(HostileCase.all) { hostile in
      let local = try SampleStore()
      try HostilePeerTests.expectHarmless(hostile, local, ids) {
        let connection = try HostilePeerTests.connect(to: remote, hostile, changesAnswers: true)
        defer { connection.close() }
        let served = RemoteStore(connection)
        _ = try served.images()
        let sink = LocalSink(local.store, name: "here", origin: "there", lockWait: .forever)
        try transfer(1, from: served, to: sink, baseStore: local.store)
      }
    }
  }

  @Test func `hostile servers cannot harm a push`() throws {
    let local = try SampleStore()
    try local.writeTree(seed: 1, files: 10, wide: 3)
    try local.snapshot()
    let ids = Set(try local.ids())
    try run(HostileCase.all) { hostile in
      let remote = try SampleStore()
      try HostilePeerTests.expectHarmless(hostile, remote, ids) {
        let connection = try HostilePeerTests.connect(to: remote, hostile, changesAnswers: true)
        defer { connection.close() }
        let source = LocalSource(local.store, name: "here")
        try transfer(1, from: source, to: RemoteStore(connection), baseStore: local.store)
      }
    }
  }

  @Test func `hostile clients cannot harm a store`() throws {
    let local = try SampleStore()
    try local.writeTree(seed: 1, files: 10, wide: 3)
    try local.snapshot()
    try run(HostileCase.all) { hostile in
      let remote = try SampleStore()
      // A client may push any snapshot, if everything that it needs is there.
      try HostilePeerTests.expectHarmless(hostile, remote, nil) {
        let connection = try HostilePeerTests.connect(to: remote, hostile, changesAnswers: false)
        defer { connection.close() }
        let source = LocalSource(local.store, name: "here")
        try transfer(1, from: source, to: RemoteStore(connection), baseStore: local.store)
        let session = try RemoteStore(connection).begin()
        _ = try session.tag("t", of: ImageName("compute"), 1)
        session.end()
      }
    }
  }

  /// Runs the cases on a few threads.
  private func run(
    _ cases: [HostileCase], _ body: @escaping @Sendable (HostileCase) throws -> Void
  ) throws {
    let next = Monitor(0)
    try runThreads(4) { _ in
      while true {
        let index = next.update { index in
          defer { index += 1 }
          return index
        }
        guard index < cases.count else { return }
        try body(cases[index])
      }
    }
  }

  /// Runs a transfer that may fail, and checks the receiver.
  /// - Parameter ids: the snapshots that it may have; nil for any.
  private static func expectHarmless(
    _ hostile: HostileCase, _ receiver: SampleStore, _ ids: Set<Digest>?, _ body: () throws -> Void
  ) throws {
    let start = monotonicSeconds()
    let name = hostile.testDescription
    do { try body() } catch let error as any ExplainedError {
      #expect(codes.contains(error.errorCode), "\(name): \(error)")
      #expect(!error.message.holdsControlCharacters, "\(name): \(error)")
      #expect(error.message.utf8.count < 20_000, "\(name)")
    } catch {
      Issue.record("\(name): \(error)")
    }
    #expect(monotonicSeconds() - start < 20, "\(name)")
    let outside = try FileManager.default.contentsOfDirectory(atPath: receiver.directory.path)
    #expect(Set(outside).isSubset(of: ["store", "tree"]), "\(name)")
    let store = try receiver.reopened()
    if let ids {
      let received = try store.refs.everyImage().flatMap { try store.refs.ids(of: $0).map(\.id) }
      #expect(ids.isSuperset(of: received), "\(name)")
    }
    let report = try store.verify(deep: true, progress: Progress())
    #expect(report.isClean, "\(name): \(report.problems)")
  }

  /// Connects to a server through a proxy.
  private static func connect(
    to sample: SampleStore, _ hostile: HostileCase, changesAnswers: Bool
  ) throws -> RemoteClient {
    let (client, clientSide) = try ByteStream.pair()
    let (server, serverSide) = try ByteStream.pair()
    let options = ServerOptions(
      rights: .appendOnly, greeting: testGreeting, lockWait: .atMost(seconds: 1), limits: limits)
    let directory = sample.directory
    try startDetachedThread {
      let server = RemoteServer(server, options: options) { _ in try SampleStore.open(directory) }
      try? server.run()
    }
    let isOpen = Monitor(2)
    for isAnswers in [false, true] {
      try startDetachedThread {
        let direction = MutatedDirection(
          from: isAnswers ? serverSide : clientSide, to: isAnswers ? clientSide : serverSide,
          mutation: hostile.mutation,
          target: isAnswers == changesAnswers ? hostile.message : .max, seed: hostile.seed)
        try? direction.run()
        // Each side sees the end when both directions have ended.
        (isAnswers ? clientSide : serverSide).endOutput()
        isOpen.update { $0 -= 1 }
      }
    }
    return try RemoteClient(
      .init(client), store: [], name: "ssh://test", client: testIdentity, greeting: testGreeting,
      limits: limits)
  }
}
