// Peers that keep the form of the protocol and lie about its content, and peers that say nothing.

import Codec
import Foundation
import Platform
import RemoteProtocol
import Store
import TestSupport
import Testing
import Transfer

/// A server made of prepared answers.
private struct ScriptedServer {
  typealias Answer = (type: MessageType, body: [UInt8])

  /// Connects to a server that answers `open`, and then each request with the next answers.
  static func connect(
    _ answers: [[Answer]], limits: StreamLimits = shortLimits
  ) throws -> RemoteClient {
    let (client, server) = try ByteStream.pair()
    try startDetachedThread {
      try? run(server, answers)
      server.close()
    }
    return try RemoteClient(
      .init(client), store: [], name: "ssh://liar", client: testIdentity, greeting: testGreeting,
      limits: limits)
  }

  private static func run(_ stream: ByteStream, _ answers: [[Answer]]) throws {
    try send(stream, testGreeting.line)
    try skip(stream, until: 0x0a)
    let opened = OpenResponse(features: [], rights: .full, store: "/s")
    for answers in [[(.opened, opened.body)]] + answers {
      try skipMessage(stream)
      for answer in answers { try send(stream, message(answer)) }
    }
    // Stays silent until the client gives up.
    while try read(stream, 1).count == 1 {}
  }

  static func message(_ answer: Answer) -> [UInt8] {
    let count = answer.body.count
    return [answer.type.rawValue] + (0..<4).map { UInt8(truncatingIfNeeded: count >> ($0 * 8)) }
      + answer.body
  }

  private static func skipMessage(_ stream: ByteStream) throws {
    while true {
      let header = try read(stream, 5)
      guard header.count == 5 else { throw TestFailure("the client has gone") }
      let count = header.dropFirst().reversed().reduce(0) { $0 << 8 | Int($1) }
      _ = try read(stream, count)
      if header[0] != MessageType.keepAlive.rawValue { return }
    }
  }

  private static func skip(_ stream: ByteStream, until end: UInt8) throws {
    while let byte = try read(stream, 1).first, byte != end {}
  }

  static func read(_ stream: ByteStream, _ count: Int) throws -> [UInt8] {
    var bytes = [UInt8](repeating: 0, count: count)
    var done = 0
    while done < count {
      let n = try bytes.withUnsafeMutableBytes {
        try stream.read(into: UnsafeMutableRawBufferPointer(rebasing: $0[done...]))
      }
      if n == 0 { return Array(bytes[..<done]) }
      if let n {
        done += n
      } else {
        _ = try stream.wait(reads: true, writes: false, milliseconds: 1000)
      }
    }
    return bytes
  }

  static func send(_ stream: ByteStream, _ bytes: [UInt8]) throws {
    var done = 0
    try bytes.withUnsafeBytes { bytes in
      while done < bytes.count {
        let n = try stream.write(
          UnsafeRawBufferPointer(rebasing: bytes[done...]),
          UnsafeRawBufferPointer(start: nil, count: 0))
        if let n {
          done += n
        } else {
          _ = try stream.wait(reads: false, writes: true, milliseconds: 1000)
        }
      }
    }
  }
}

@Suite struct LyingServerTests {
  private let image: ImageName
  private var values = RandomValues(seeds.last ?? 1)

  init() throws { image = try ImageName("compute") }

  private func code(
    _ answers: [[ScriptedServer.Answer]], _ body: (RemoteStore) throws -> Void
  ) throws -> ErrorCode? {
    let connection = try ScriptedServer.connect(answers)
    defer { connection.close() }
    return errorCode { try body(RemoteStore(connection)) }
  }

  /// A frame with one chunk for each content.
  private func frame(_ contents: [[UInt8]], kind: ObjectKind = .tree) throws -> RawFrame {
    var frames: [RawFrame] = []
    let repacker = FrameRepacker()
    for content in contents {
      try content.withUnsafeBytes {
        try repacker.add(kind, SHA256.digest(of: content), $0) { frames.append($0) }
      }
    }
    try repacker.finish { frames.append($0) }
    return try #require(frames.first)
  }

  @Test mutating func `another snapshot than the listed one is refused`() throws {
    let sent = try values.snapshot()
    let history = RemoteHistory(
      image: image, snapshots: [.init(number: 1, id: values.digest())])
    #expect(
      try code([
        [(.historyList, Answers.history(history))], [(.snapshotRecord, Answers.snapshot(sent))],
      ]) { remote in
        _ = try remote.history(of: image)
        _ = try remote.snapshot(image, 1)
      } == .remoteDamaged)
    // The client asks for the history before it asks for a snapshot.
    #expect(
      try code([
        [(.historyList, Answers.history(history))], [(.snapshotRecord, Answers.snapshot(sent))],
      ]) { _ = try $0.snapshot(image, 1) } == .remoteDamaged)
    #expect(
      try code([[(.historyList, Answers.history(history))]]) {
        _ = try $0.snapshot(image, 2)
      } == .snapshotNotFound)
    // The listed snapshot, of another image.
    let other = RemoteHistory(image: image, snapshots: [.init(number: 1, id: sent.id)])
    #expect(
      try code([
        [(.historyList, Answers.history(other))], [(.snapshotRecord, Answers.snapshot(sent))],
      ]) { _ = try $0.snapshot(image, 1) } == .remoteDamaged)
  }

  @Test func `frames that nobody asked for are refused`() throws {
    let (asked, other) = (Array("asked".utf8), Array("other".utf8))
    let name = ObjectName(kind: .tree, id: SHA256.digest(of: asked))
    let right = try frame([asked])
    for frames in [
      [try frame([other])], [try frame([asked, other])], [right, right],
      [try frame([asked], kind: .chunk)], [], [try frame([asked], kind: .times)],
    ] {
      let answers: [ScriptedServer.Answer] =
        frames.map { (.frame, $0.bytes) } + [(.done, [])]
      #expect(try code([answers]) { try $0.frames([name]) { _ in } } == .remoteDamaged)
    }
    #expect(
      try code([[(.frame, right.bytes), (.done, [])]]) { try $0.frames([name]) { _ in } } == nil)
  }

  @Test func `objects with other bytes than their ids are refused`() throws {
    let asked = Array("asked".utf8)
    let name = ObjectName(kind: .tree, id: SHA256.digest(of: asked))
    var forged: [RawFrame] = []
    let repacker = FrameRepacker()
    try Array("forged".utf8).withUnsafeBytes {
      try repacker.add(.tree, name.id, $0) { forged.append($0) }
    }
    try repacker.finish { forged.append($0) }
    let answers: [ScriptedServer.Answer] = forged.map { (.frame, $0.bytes) } + [(.done, [])]
    #expect(try code([answers]) { try $0.objects([name]) { _, _ in } } == .remoteDamaged)
    let ids = Tree.IDs(tree: name.id, times: name.id)
    #expect(try code([answers]) { _ = try $0.directories([ids]) } == .remoteDamaged)
    #expect(try code([[(.done, [])]]) { _ = try $0.directories([ids]) } == .remoteDamaged)
  }

  @Test mutating func `answers for more or fewer questions are refused`() throws {
    let blobs = (0..<9).map { _ in values.digest() }
    for count in [0, 8, 10, 100] {
      var list = ContentListEncoder()
      for _ in 0..<count { list.add(.chunk) }
      let answers: [ScriptedServer.Answer] = [(.contentList, list.take()), (.done, [])]
      #expect(
        try code([answers]) { _ = try $0.contents(of: blobs) } == .remoteDamaged, "\(count)")
    }
    for bits in [[], [0], [0, 0, 0], [0xff, 0xff]] as [[UInt8]] {
      #expect(
        try code([[(.done, [])], [(.bitmap, bits)]]) {
          _ = try $0.begin().missingBlobs(blobs)
        } == .remoteDamaged, "\(bits)")
    }
    for body in [[], [0], [0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x01]] as [[UInt8]]
    {
      #expect(
        try code([[(.done, [])], [(.number, body)]]) {
          _ = try $0.begin().tag("t", of: image, 1)
        } == .remoteDamaged, "\(body)")
    }
  }

  @Test func `names and numbers that no store has are refused`() throws {
    for name in ["../x", "a/b", "", "a\u{1b}[m", "-x"] {
      var writer = ByteWriter()
      writer.varint(1)
      writer.string(name)
      #expect(try code([[(.imageList, writer.bytes)]]) { _ = try $0.images() } == .remoteDamaged)
    }
    // A count that the bytes cannot have.
    var writer = ByteWriter()
    writer.varint(UInt64.max)
    for type in [MessageType.imageList, .historyList, .contentList] {
      #expect(
        try code([[(type, writer.bytes), (.done, [])]]) { remote in
          switch type {
          case .imageList: _ = try remote.images()
          case .historyList: _ = try remote.history(of: image)
          default: _ = try remote.contents(of: [emptyBlob])
          }
        } == .remoteDamaged, "\(type)")
    }
  }

  @Test func `answers of another type are refused, and close the connection`() throws {
    for type in MessageType.allCases where type != .imageList && type != .failure {
      if type == .keepAlive || type == .appendFailure { continue }
      let connection = try ScriptedServer.connect([[(type, [])]])
      #expect(errorCode { _ = try RemoteStore(connection).images() } == .remoteDamaged, "\(type)")
      #expect(errorCode { _ = try RemoteStore(connection).images() } == .remoteDamaged, "\(type)")
    }
  }

  @Test func `a silent server, and one that is only alive, are given up`() throws {
    var limits = shortLimits
    limits.silenceSeconds = 0.5
    limits.messageSeconds = 1.5
    let silent = try ScriptedServer.connect([], limits: limits)
    let start = monotonicSeconds()
    #expect(errorCode { _ = try RemoteStore(silent).images() } == .remoteUnavailable)
    #expect(monotonicSeconds() - start < 1.4)
    // A thousand keep-alives, and no answer.
    let alive = (0..<1000).map { _ in (MessageType.keepAlive, [UInt8]()) }
    let chatty = try ScriptedServer.connect([alive], limits: limits)
    #expect(errorCode { _ = try RemoteStore(chatty).images() } == .remoteUnavailable)
    #expect(monotonicSeconds() - start < 5)
  }
}

@Suite struct SlowServerTests {
  @Test func `a server that works longer than the limit of silence is not given up`() throws {
    var limits = shortLimits
    limits.silenceSeconds = 0.5
    limits.keepAliveSeconds = 0.1
    let sample = try SampleStore()
    let directory = sample.directory
    let options = ServerOptions(rights: .full, greeting: testGreeting, limits: limits)
    let connection = try RemoteClient.inProcess(
      name: "ssh://slow", options: options, limits: limits
    ) { _ in
      usleep(1_500_000)
      return try SampleStore.open(directory)
    }
    // An idle client is not given up either.
    usleep(1_500_000)
    #expect(try RemoteStore(connection).images() == [])
    connection.close()
  }
}

@Suite struct LyingClientTests {
  /// Sends raw messages to a server of a store, and returns the code of its failure; nil if it sent none.
  private func codes(
    _ messages: [ScriptedServer.Answer], followedBy bytes: [UInt8] = []
  ) throws -> [String] {
    let sample = try SampleStore()
    let (client, server) = try ByteStream.pair()
    let options = ServerOptions(
      rights: .appendOnly, greeting: testGreeting, lockWait: .atMost(seconds: 1),
      limits: shortLimits)
    let directory = sample.directory
    try startDetachedThread {
      let server = RemoteServer(server, options: options) { _ in try SampleStore.open(directory) }
      try? server.run()
    }
    try ScriptedServer.send(client, testGreeting.line)
    let open = Request.open(OpenRequest(features: [], store: [], client: testIdentity))
    for message in [(open.type, open.body)] + messages {
      try ScriptedServer.send(client, ScriptedServer.message(message))
    }
    try ScriptedServer.send(client, bytes)
    client.endOutput()
    while let byte = try ScriptedServer.read(client, 1).first, byte != 0x0a {}
    var codes: [String] = []
    while true {
      let header = try ScriptedServer.read(client, 5)
      guard header.count == 5 else { break }
      let count = header.dropFirst().reversed().reduce(0) { $0 << 8 | Int($1) }
      let body = try ScriptedServer.read(client, count)
      if [MessageType.failure, .appendFailure].map(\.rawValue).contains(header[0]) {
        codes.append(try FailureMessage.decode(body).code.rawValue)
      }
    }
    try sample.expectSound()
    let names = try FileManager.default.contentsOfDirectory(atPath: directory.path)
    #expect(names == ["store"])
    return codes
  }

  private func message(_ request: Request) -> ScriptedServer.Answer { (request.type, request.body) }

  @Test func `requests out of order are refused`() throws {
    var values = RandomValues(1)
    let image = try ImageName("compute")
    let commit = message(.commit(try values.snapshot(), bases: []))
    #expect(try codes([commit]) == ["remote-damaged"])
    #expect(try codes([message(.end)]) == ["remote-damaged"])
    #expect(try codes([message(.begin), message(.begin)]) == ["remote-damaged"])
    #expect(
      try codes([message(.open(OpenRequest(features: [], store: [], client: testIdentity)))]) == [
        "remote-damaged"
      ])
    #expect(try codes([message(.tag("t", image, 1))]) == ["remote-damaged"])
    // A frame without a session ends the connection.
    #expect(try codes([(.append, [1, 2, 3])]) == ["remote-damaged"])
  }

  @Test func `messages that are no requests end the connection`() throws {
    for type in MessageType.allCases where type.rawValue >= MessageType.done.rawValue {
      if type == .keepAlive { continue }
      #expect(try codes([(type, []), message(.images)]) == ["remote-damaged"], "\(type)")
    }
  }

  @Test func `names with paths in them are refused`() throws {
    var writer = ByteWriter()
    writer.string("t")
    writer.string("../../etc")
    writer.varint(1)
    #expect(try codes([message(.begin), (.tag, writer.bytes)]) == ["remote-damaged"])
    let image = try ImageName("compute")
    for tag in ["../x", "a/b", ".", "latest"] {
      let answers = try codes([message(.begin), message(.tag(tag, image, 1))])
      #expect(answers == ["snapshot-not-found"], "\(tag)")
    }
    // A snapshot whose image has a name that is a path.
    let snapshot = Snapshot(
      image: "../../etc/cron.d", created: Timestamp(seconds: 1, nanoseconds: 0), parent: nil,
      message: "", provenance: [], tables: [], components: [], notes: [], facts: [],
      entryCount: 0, contentBytes: 0)
    let commit = Request.commit(try TransferredSnapshot(snapshot.encode()), bases: [])
    let answers = try codes([message(.begin), message(commit)])
    // The name is wrong for the other side's command line, not for this one's.
    #expect(answers == ["failed"])
  }

  @Test func `frames are refused as a whole, and later ones are dropped`() throws {
    let noise: ScriptedServer.Answer = (.append, [UInt8](repeating: 7, count: 100_000))
    let messages = [message(.begin)] + (0..<50).map { _ in noise }
    #expect(try codes(messages + [message(.missing([]))]) == ["damaged", "damaged"])
  }

  @Test func `sizes over the limit of a type end the connection`() throws {
    // The header is enough: nothing is allocated for the body.
    for type in MessageType.allCases {
      let count = type.limitBytes + 1
      let header = [type.rawValue] + (0..<4).map { UInt8(truncatingIfNeeded: count >> ($0 * 8)) }
      #expect(try codes([], followedBy: header) == ["remote-damaged"], "\(type)")
    }
    #expect(try codes([], followedBy: [200, 0, 0, 0, 0]) == ["remote-damaged"])
    // A body that does not arrive.
    #expect(
      try codes([], followedBy: [MessageType.commit.rawValue, 0, 0, 0x80, 0]) == [
        "remote-unavailable"
      ]
    )
  }
}
