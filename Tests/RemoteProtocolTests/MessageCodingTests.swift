// The encodings of messages: round trips of random values, and bytes that are not messages.

import Codec
import Platform
import RemoteProtocol
import Store
import TestSupport
import Testing
import Transfer

@Suite struct MessageCodingTests {
  @Test(arguments: seeds) func `requests are decoded as they were encoded`(seed: UInt64) throws {
    var values = RandomValues(seed)
    for _ in 0..<300 {
      let request = try values.request()
      let decoded = try Request.decode(request.type, request.body)
      #expect(decoded.body == request.body, "seed \(seed), \(request.type)")
      #expect(request.body.count <= request.type.limitBytes)
      // No other bytes mean the same, and none follow.
      #expect(throws: CodecError.self) {
        _ = try Request.decode(request.type, request.body + [0])
      }
      if !request.body.isEmpty {
        #expect(throws: CodecError.self) {
          _ = try Request.decode(request.type, request.body.dropLast())
        }
      }
    }
  }

  @Test(arguments: seeds) func `answers are decoded as they were encoded`(seed: UInt64) throws {
    var values = RandomValues(seed)
    for _ in 0..<100 {
      let images = Set(try (0..<values.count(20)).map { _ in try values.image() }).sorted()
      #expect(try Answers.decodeImages(Answers.images(images)) == images)

      let history = try values.history()
      let read = try Answers.decodeHistory(Answers.history(history), of: history.image)
      #expect(read.snapshots == history.snapshots)
      #expect(read.tags == history.tags)
      #expect(read.pins == history.pins)

      let snapshot = try values.snapshot()
      let received = try Answers.decodeSnapshot(Answers.snapshot(snapshot))
      #expect(received.id == snapshot.id)
      #expect(received.signatures == snapshot.signatures)
      #expect(received.remoteName == snapshot.remoteName)
      #expect(received.remoteID == snapshot.remoteID)

      let number = values.random.next()
      #expect(try Answers.decodeNumber(Answers.number(number)) == number)

      let items = values.digests(50)
      let subset = items.filter { _ in values.random.next() % 2 == 0 }
      #expect(try Answers.decodeBitmap(Answers.bitmap(items, subset), items) == subset)
    }
  }

  @Test(arguments: seeds) func `contents are decoded as they were encoded`(seed: UInt64) throws {
    var values = RandomValues(seed)
    for _ in 0..<50 {
      let contents = (0..<values.count(60)).map { _ in values.content() }
      var encoder = ContentListEncoder()
      for content in contents { encoder.add(content) }
      let body = encoder.take()
      var (decoded, parts): ([BlobContent?], Int) = ([], 0)
      try ContentListEncoder.decode(body, into: &decoded, limit: contents.count, parts: &parts)
      var again = ContentListEncoder()
      for content in decoded { again.add(content) }
      #expect(again.take() == body)
      guard !contents.isEmpty else { continue }
      var (fewer, none): ([BlobContent?], Int) = ([], 0)
      #expect(throws: CodecError.self) {
        try ContentListEncoder.decode(
          body, into: &fewer, limit: contents.count - 1, parts: &none)
      }
    }
  }

  @Test func `errors keep code and texts and name the place`() throws {
    for code in ErrorCode.allCases {
      let error = TransferError(code, "snapshot a@1", "does not exist", hint: "Run 'imgstore log'")
      let message = try FailureMessage.decode(FailureMessage(error).body)
      let received = message.error(at: "ssh://host")
      #expect(received.subject == "ssh://host: snapshot a@1")
      #expect(received.reason == "does not exist")
      #expect(received.hint == "There: Run 'imgstore log'")
      let isForeign = [.usage, .interrupted, .unfinished, .alreadyRunning].contains(code.category)
      #expect(received.errorCode == (isForeign ? .failed : code))
    }
  }

  @Test func `texts of errors are printable and bounded`() throws {
    let evil = "\u{1b}[2J\u{202e}line\nbreak\u{0}" + String(repeating: "x", count: 100_000)
    let message = try FailureMessage.decode(
      FailureMessage(TransferError(.failed, evil, evil, hint: evil)).body)
    let received = message.error(at: "ssh://host")
    for text in [received.subject, received.reason, received.hint] {
      #expect(text.utf8.count < 9000)
      #expect(!text.holdsControlCharacters)
    }
  }

  @Test(arguments: seeds) func `noise is refused`(seed: UInt64) throws {
    var values = RandomValues(seed)
    for _ in 0..<2000 {
      let type = try #require(MessageType.allCases.randomElement(using: &values.random))
      let body = values.random.bytes(values.count(80))
      // No trap, and no memory for counts that the bytes cannot have.
      _ = try? Request.decode(type, body)
      _ = try? Answers.decodeImages(body)
      _ = try? Answers.decodeHistory(body, of: ImageName("a"))
      _ = try? Answers.decodeSnapshot(body)
      _ = try? OpenResponse.decode(body)
      _ = try? FailureMessage.decode(body)
      var (contents, parts): ([BlobContent?], Int) = ([], 0)
      try? ContentListEncoder.decode(body, into: &contents, limit: 10, parts: &parts)
      _ = Greeting(body)
    }
  }

  @Test func `programs without differences get no frames with bases`() {
    // Bit 0 was that of frames with bases before there were differences.
    #expect(Features.own.isDisjoint(with: Features(rawValue: 1)))
    #expect(!Features(rawValue: 1 | 2).contains(.bases))
  }

  @Test func `paths and names of requests are checked`() throws {
    for path in ["relative", "../x", "/a\u{0}b", "/" + String(repeating: "a", count: 5000)] {
      let request = Request.open(
        OpenRequest(features: [], store: Array(path.utf8), client: testIdentity))
      #expect(throws: CodecError.self) { _ = try Request.decode(.open, request.body) }
    }
    for name in ["", "../x", "a/b", ".x", "-x", "a@b", "a\nb", String(repeating: "a", count: 129)] {
      var writer = ByteWriter()
      writer.string(name)
      #expect(throws: CodecError.self) { _ = try Request.decode(.history, writer.bytes) }
    }
    for number: UInt64 in [0, 1_000_000_000_000_000, .max] {
      var writer = ByteWriter()
      writer.string("a")
      writer.varint(number)
      #expect(throws: CodecError.self) { _ = try Request.decode(.snapshot, writer.bytes) }
    }
  }
}

@Suite struct GreetingTests {
  @Test func `the newest common version is used`() throws {
    let own = Greeting(versions: 2...4, program: "imgstore 1.0")
    for (other, version) in [(1...2, 2), (3...9, 4), (4...4, 4), (1...3, 3)] {
      let greeting = Greeting(versions: other, program: "imgstore 2.0")
      #expect(try own.version(sharedWith: greeting, at: "there") == version)
    }
  }

  @Test func `versions without overlap are refused in words`() throws {
    let own = Greeting(versions: 2...4, program: "imgstore 1.0")
    for (other, hint) in [(1...1, "there"), (5...6, "this machine")] {
      let greeting = Greeting(versions: other, program: "imgstore 9.0")
      let error = #expect(throws: TransferError.self) {
        _ = try own.version(sharedWith: greeting, at: "ssh://host")
      }
      #expect(error?.errorCode == .remoteUnsuitable)
      #expect(error?.message.contains("imgstore 9.0") == true)
      #expect(error?.message.contains("imgstore 1.0") == true)
      #expect(error?.hint.contains(hint) == true)
    }
  }

  @Test func `lines are read as they were written`() {
    let greeting = Greeting(versions: 1...12, program: "imgstore 0.3.0 (test)")
    #expect(Greeting(greeting.line.dropLast()) == greeting)
    for line in [
      "", "imgstore-remote", "imgstore-remote 1 x", "imgstore-remote 2-1 x",
      "imgstore-remote a-b x",
      "imgstore-remote -1-2 x", "imgstore-remote 1-999999 x", "Welcome to Debian",
      "imgstore-remote 1-1 " + String(repeating: "x", count: 300),
    ] {
      #expect(Greeting(Array(line.utf8)) == nil, "\(line)")
    }
  }
}

/// Random values of the protocol.
struct RandomValues {
  var random: SplitMix64

  init(_ seed: UInt64) {
    print("seed \(seed)")
    random = SplitMix64(seed)
  }

  mutating func count(_ limit: Int) -> Int { Int(random.next() % UInt64(limit)) }

  mutating func digest() -> Digest { SHA256.digest(of: random.bytes(8)) }

  mutating func digests(_ limit: Int) -> [Digest] { (0..<count(limit)).map { _ in digest() } }

  mutating func names(_ limit: Int) -> [ObjectName] {
    (0..<count(limit)).map { _ in
      ObjectName(kind: ObjectKind.allCases[count(ObjectKind.allCases.count)], id: digest())
    }
  }

  mutating func image() throws -> ImageName { try ImageName("image-\(count(1000))") }

  mutating func number() -> Int { Int(random.next() % 1_000_000) + 1 }

  mutating func content() -> BlobContent? {
    switch count(3) {
    case 0: return nil
    case 1: return .chunk
    default:
      var references = BlobReferences()
      references.hasRecipe = true
      references.chunks = digests(20)
      references.blobs = digests(3).map { ($0, random.next()) }
      return .recipe(references)
    }
  }

  mutating func history() throws -> RemoteHistory {
    var (number, items): (Int, [RemoteHistory.Item]) = (0, [])
    for _ in 0..<count(30) {
      number += count(5) + 1
      items.append(.init(number: number, id: digest()))
    }
    return RemoteHistory(
      image: try image(), snapshots: items, tags: ["production": self.number(), "b": 3],
      pins: [self.number(): "because \u{e4}", 2: ""])
  }

  mutating func snapshot() throws -> TransferredSnapshot {
    let snapshot = Snapshot(
      image: try image().text, created: Timestamp(seconds: Int64(number()), nanoseconds: 0),
      parent: digest(), message: "m", provenance: [], tables: [], components: [], notes: [],
      facts: [], entryCount: 0, contentBytes: 0)
    let signatures = (0..<count(3)).map { index in
      SnapshotSignature(
        kind: index == 0 ? .signed : .origin, statement: random.bytes(100), key: digest(),
        signature: random.bytes(64))
    }
    var transferred = try TransferredSnapshot(snapshot.encode(), signatures: signatures)
    if count(2) == 0 {
      transferred.remoteName = SnapshotName(image: try image(), number: number())
      transferred.remoteID = digest()
    }
    return transferred
  }

  mutating func request() throws -> Request {
    switch count(20) {
    case 0:
      .open(
        OpenRequest(
          features: Features(rawValue: random.next()), store: Array("/a/b".utf8),
          client: testIdentity))
    case 1: .images
    case 2: .history(try image())
    case 3: .snapshot(try image(), number())
    case 4: .objects(names(100))
    case 5: .directories(digests(50).map { Tree.IDs(tree: $0, times: $0) })
    case 6: .contents(digests(100))
    case 7: .frames(names(100))
    case 8: .measure(names(100))
    case 9: .begin
    case 10: .missing(names(100))
    case 11: .missingBlobs(digests(100))
    case 12: .commit(try snapshot(), bases: digests(60))
    case 13: .tag("production", try image(), number())
    case 14: .pin(try image(), number(), reason: "because")
    case 15: .bases(names(100))
    case 16: .framesWithBases(names(100), bases: digests(100))
    case 17: .measureWithBases(names(100), bases: digests(100))
    case 18: .siblings(bases: digests(100))
    default: .end
    }
  }
}
