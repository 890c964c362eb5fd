// The requests of one client of a server.

import Codec
import Platform
import Store
import Transfer

/// Answers requests.
final class ServedRequests {
  private let store: ObjectStore
  private let source: LocalSource
  private let stream: MessageStream
  private let options: ServerOptions
  private let client: ClientIdentity
  private var session: (any TransferSession)?
  /// The error that ended the session.
  private var sessionFailure: (any Error)?

  init(
    _ store: ObjectStore, _ stream: MessageStream, _ options: ServerOptions,
    client: ClientIdentity
  ) {
    self.client = client
    self.store = store
    source = LocalSource(store, name: printable(store.layout.path))
    self.stream = stream
    self.options = options
  }

  /// Ends the session, if there is one.
  func end() {
    session?.end()
    session = nil
  }

  static func decode(_ message: MessageStream.Message) throws(TransferError) -> Request {
    do throws(CodecError) { return try Request.decode(message.type, message.body) } catch {
      throw .damaged("the client", "sent a request that is not valid: \(error)")
    }
  }

  /// Answers one message.
  /// - Throws: an error that ends the connection: the message is not a request, or cannot be answered.
  func serve(_ message: MessageStream.Message) throws {
    if message.type == .append { return try append(message.body) }
    let request = try ServedRequests.decode(message)
    let answer: (MessageType, [UInt8])
    do {
      answer = try respond(request)
    } catch let error as AnswerFailure {
      throw error.error
    } catch {
      answer = (.failure, FailureMessage(error).body)
    }
    do { try stream.send(answer.0, answer.1) } catch let error as TransferError
      where error.errorCode == .remoteUnsuitable
    {
      try stream.send(.failure, FailureMessage(error).body)
    }
  }

  /// An error during an answer of several messages, after which the stream cannot continue.
  private struct AnswerFailure: Error {
    let error: any Error
  }

  /// Carries out a request, and returns the last message of the answer.
  private func respond(_ request: Request) throws -> (MessageType, [UInt8]) {
    switch request {
    case .open: throw TransferError.damaged("the client", "named a store twice")
    case .images: return (.imageList, Answers.images(try source.images()))
    case .history(let image):
      return (.historyList, Answers.history(try source.history(of: image)))
    case .snapshot(let image, let number):
      return (.snapshotRecord, Answers.snapshot(try source.snapshot(image, number)))
    case .objects(let names):
      guard names.allSatisfy({ $0.kind != .chunk }) else {
        throw TransferError.damaged("the client", "asked for chunks as single objects")
      }
      return try sendFrames(names)
    case .directories(let ids): return try sendFrames(try objects(of: ids))
    case .frames(let names): return try sendFrames(names)
    case .bases(let names):
      return (
        .digestList, Answers.digests(try source.bases(of: names).prefix(MessageType.maxNames))
      )
    case .siblings(let bases):
      let siblings = try source.siblings(basedOn: Set(bases))
      return (.digestList, Answers.digests(siblings.prefix(MessageType.maxNames)))
    case .framesWithBases(let names, let bases):
      return try sendFrames(names, bases: Set(bases))
    case .measureWithBases(let names, let bases):
      return (.amount, Answers.number(try source.measure(names, bases: Set(bases))))
    case .measure(let names): return (.amount, Answers.number(try source.measure(names)))
    case .contents(let blobs): return try sendContents(blobs)
    case .begin, .missing, .missingBlobs, .commit, .tag, .pin, .end: return try change(request)
    }
  }

  // MARK: Reading

  /// Sends frames, and returns the end of the answer.
  private func sendFrames(
    _ names: [ObjectName], bases: Set<Digest> = []
  ) throws -> (MessageType, [UInt8]) {
    try source.frames(names, bases: bases) { frame in
      do { try stream.send(.frame, frame.bytes) } catch { throw AnswerFailure(error: error) }
    }
    return (.done, [])
  }

  /// Returns the objects of directories, each once.
  private func objects(of ids: [Tree.IDs]) throws -> [ObjectName] {
    var seen: Set<ObjectName> = []
    var names: [ObjectName] = []
    for ids in ids {
      for ids in [ids] + (try Tree.leaves(ids, from: store)) {
        for name in [
          ObjectName(kind: .tree, id: ids.tree), ObjectName(kind: .times, id: ids.times),
        ] where seen.insert(name).inserted {
          names.append(name)
        }
      }
    }
    return names
  }

  private func sendContents(_ blobs: [Digest]) throws -> (MessageType, [UInt8]) {
    var list = ContentListEncoder()
    func send(_ body: [UInt8]) throws {
      do { try stream.send(.contentList, body) } catch { throw AnswerFailure(error: error) }
    }
    // One read transaction for some blobs at a time: a client that reads slowly must not stop writers.
    for batch in batches(blobs, 1024) {
      for content in try source.contents(of: batch) {
        list.add(content)
        if let body = list.takeIfFull() { try send(body) }
      }
    }
    if !list.isEmpty { try send(list.take()) }
    return (.done, [])
  }

  // MARK: Writing

  /// Carries out a request of a session.
  private func change(_ request: Request) throws -> (MessageType, [UInt8]) {
    guard options.rights != .readOnly else {
      throw TransferError(
        .remoteDenied, printable(store.layout.path), "is read-only for this account",
        hint: "Ask the administrator for an account that may push ('serve --append-only')")
    }
    if case .begin = request { return try begin() }
    guard let session else {
      throw TransferError.damaged("the client", "did not begin a session")
    }
    if case .end = request {
      end()
      return (.done, [])
    }
    if let sessionFailure { throw sessionFailure }
    switch request {
    case .missing(let names):
      return (.bitmap, Answers.bitmap(names, try session.missing(names)))
    case .missingBlobs(let blobs):
      return (.bitmap, Answers.bitmap(blobs, try session.missingBlobs(blobs)))
    case .commit(let snapshot, let bases):
      return (.number, Answers.number(UInt64(try session.commit(snapshot, bases: bases))))
    case .tag(let tag, let image, let number):
      try requireSnapshot(image, number)
      return (.number, Answers.number(UInt64(try session.tag(tag, of: image, number))))
    case .pin(let image, let number, let reason):
      try requireSnapshot(image, number)
      try session.pin(image, number, reason: reason)
      return (.done, [])
    default: throw TransferError.damaged("the client", "sent a request out of order")
    }
  }

  private func begin() throws -> (MessageType, [UInt8]) {
    guard session == nil else { throw TransferError.damaged("the client", "began two sessions") }
    let sink = LocalSink(
      store, name: source.name, origin: "the client", lockWait: options.lockWait,
      record: OriginTemplate(
        remote: "push", url: client.url, user: client.user, time: Platform.now()))
    sessionFailure = nil
    session = try sink.begin()
    return (.done, [])
  }

  /// Checks that a tag or pin is for a snapshot that exists: one for a future snapshot would apply to whatever gets
  /// the number.
  private func requireSnapshot(_ image: ImageName, _ number: Int) throws {
    _ = try store.refs.read(image, number)
  }

  /// Adds a frame to the session.
  /// - Throws: an error that ends the connection.
  private func append(_ bytes: [UInt8]) throws {
    guard let session else {
      throw TransferError.damaged("the client", "sent a frame without a session")
    }
    if sessionFailure != nil { return }
    do {
      try session.append(
        mapCodecErrors("a frame from the client") { () throws(CodecError) in try RawFrame(bytes) })
    } catch {
      sessionFailure = error
      try stream.send(.appendFailure, FailureMessage(error).body)
    }
  }
}
