// A store at the other end of a connection, as a source and a sink of transfers.
//
// Nothing that the server says is trusted:
// 1. A snapshot has the id that the history listed, and the image that was asked for.
// 2. Objects are compared with their ids. Frames contain only objects that were asked for, each once, and the
//    chunks that stand for recipes; so a server cannot fill the disk. `LocalSession` verifies the payload.
// 3. Lists have the length of the question. Their sizes are bounded before they are decoded.
// 4. Frames that the walk over directories received are kept, and not requested again (`ReceivedFrames`).

import Codec
import Platform
import Store
import Transfer

/// A store at the other end of a connection.
public final class RemoteStore: TransferSource, TransferSink {
  private static let blobsEach = 1 << 15
  /// The objects, or directories, of one question: they are in memory together.
  private static let objectsEach = 512
  /// The most bytes of objects that are decoded for one question.
  private static let maxDecodedBytes = 160 << 20

  public var name: String { connection.name }
  public let connection: RemoteClient
  private let known = Monitor<[SnapshotKey: Digest]>([:])
  private let received = ReceivedFrames()
  private let decoder = FrameDecoder()

  private struct SnapshotKey: Hashable {
    let image: ImageName
    let number: Int
  }

  /// Creates a source and sink of a connection.
  public init(_ connection: RemoteClient) { self.connection = connection }

  // MARK: Snapshots

  public func images() throws -> [ImageName] {
    try connection.request(.images) { connection in
      try connection.decode(try connection.answer(.imageList), Answers.decodeImages)
    }
  }

  public func history(of image: ImageName) throws -> RemoteHistory {
    let history = try connection.request(.history(image)) { connection in
      let body = try connection.answer(.historyList)
      return try connection.decode(body) { (body) throws(CodecError) in
        try Answers.decodeHistory(body, of: image)
      }
    }
    known.withLock { known in
      for item in history.snapshots {
        known[SnapshotKey(image: image, number: item.number)] = item.id
      }
    }
    return history
  }

  public func snapshot(_ image: ImageName, _ number: Int) throws -> TransferredSnapshot {
    let listed = try listedID(image, number)
    let snapshot = try connection.request(.snapshot(image, number)) { connection in
      try connection.decode(try connection.answer(.snapshotRecord), Answers.decodeSnapshot)
    }
    guard snapshot.snapshot.image == image.text, listed == snapshot.id else {
      throw TransferError.damaged(name, "sent another snapshot than \(image)@\(number)")
    }
    var named = snapshot
    named.remoteName = SnapshotName(image: image, number: number)
    named.remoteID = snapshot.id
    return named
  }

  /// Returns the id that the history of the image lists for a number.
  private func listedID(_ image: ImageName, _ number: Int) throws -> Digest {
    let key = SnapshotKey(image: image, number: number)
    if let id = known.withLock({ $0[key] }) { return id }
    _ = try history(of: image)
    guard let id = known.withLock({ $0[key] }) else {
      throw TransferError(
        .snapshotNotFound, "\(name): snapshot \(image)@\(number)", "does not exist")
    }
    return id
  }

  // MARK: Objects

  public func objects(
    _ names: [ObjectName], _ body: (ObjectName, [UInt8]) throws -> Void
  ) throws {
    let requested = Set(names)
    guard !requested.contains(where: { $0.kind == .chunk }) else {
      throw TransferError(name, "cannot be asked for chunks one by one")
    }
    for batch in batches(names, RemoteStore.objectsEach) {
      let objects = try receiveObjects(
        .objects(batch), allowsChunks: batch.contains { $0.kind == .recipe },
        isRequested: requested.contains)
      for (name, bytes) in objects { try body(name, bytes) }
    }
  }

  public func directories(_ ids: [Tree.IDs]) throws -> [DirectoryContent] {
    var contents: [DirectoryContent] = []
    for batch in batches(ids, RemoteStore.objectsEach) {
      let objects = try receiveObjects(.directories(batch), allowsChunks: false) {
        $0.kind == .tree || $0.kind == .times
      }
      let source = ReceivedDirectories(objects: objects, peer: name)
      do {
        contents += try batch.map { try DirectoryContent($0, from: source) }
      } catch let error as StoreError {
        throw TransferError(
          .remoteDamaged, name, "sent a directory that is not valid: \(error.message)",
          hint: "Run 'imgstore verify --deep' there")
      }
    }
    return contents
  }

  /// Receives the frames of an answer, and returns their objects. Each has the bytes that its id says, except
  /// recipes, which have the ids of blobs.
  /// - Parameter allowsChunks: whether chunks may arrive, too: a frame may repeat the bytes of recipes.
  private func receiveObjects(
    _ request: Request, allowsChunks: Bool, isRequested: (ObjectName) -> Bool
  ) throws -> [ObjectName: [UInt8]] {
    var objects: [ObjectName: [UInt8]] = [:]
    var decodedBytes = 0
    try connection.request(request) { connection in
      try receiveFrames(connection) { frame in
        decodedBytes += frame.header.rawBytes
        guard decodedBytes <= RemoteStore.maxDecodedBytes else {
          throw TransferError.damaged(name, "sent more than was asked for")
        }
        let decoded = try verified(frame)
        for object in frame.header.objects {
          let key = ObjectName(kind: object.kind, id: object.id)
          if allowsChunks, object.kind == .chunk { continue }
          guard isRequested(key) else {
            throw TransferError.damaged(name, "sent an object that nobody asked for")
          }
          objects[key] = decoded.withBytes(start: object.start, length: object.length) {
            [UInt8]($0)
          }
        }
        received.keep(frame)
      }
    }
    return objects
  }

  private func verified(_ frame: RawFrame) throws(TransferError) -> DecodedFrame {
    do throws(CodecError) { return try decoder.verify(frame) } catch {
      throw .damaged(name, "sent a damaged frame: \(error)")
    }
  }

  public func contents(of blobs: [Digest]) throws -> [BlobContent?] {
    var contents: [BlobContent?] = []
    var parts = 0
    for batch in batches(blobs, RemoteStore.blobsEach) {
      let limit = contents.count + batch.count
      try connection.request(.contents(batch)) { connection in
        while true {
          let message = try connection.answer()
          if message.type == .done { break }
          guard message.type == .contentList else { throw connection.unexpected(message.type) }
          try connection.decode(message.body) { (body) throws(CodecError) in
            try ContentListEncoder.decode(body, into: &contents, limit: limit, parts: &parts)
          }
        }
        guard contents.count == limit else {
          throw TransferError.damaged(name, "answered for other files than it was asked")
        }
      }
    }
    return contents
  }

  public func frames(_ names: [ObjectName], _ body: (RawFrame) throws -> Void) throws {
    try frames(names, bases: [], body)
  }

  public func bases(of names: [ObjectName]) throws -> [Digest] {
    guard connection.features.contains(.bases) else { return [] }
    var bases: Set<Digest> = []
    for batch in batches(received.missing(names), MessageType.maxNames) {
      bases.formUnion(
        try connection.request(.bases(batch)) { connection in
          try connection.decode(try connection.answer(.digestList), Answers.decodeDigests)
        })
    }
    // A list that no request can name is not asked for: the frames arrive without bases.
    return bases.count <= MessageType.maxNames ? Array(bases) : []
  }

  /// Returns as many bases as one request can name. Frames with others arrive without them.
  private static func nameable(_ bases: Set<Digest>) -> Set<Digest> {
    bases.count <= MessageType.maxNames ? bases : Set(bases.sorted().prefix(MessageType.maxNames))
  }

  public func siblings(basedOn bases: Set<Digest>) throws -> Set<Digest> {
    guard connection.features.contains(.siblings), !bases.isEmpty,
      bases.count <= MessageType.maxNames
    else { return [] }
    return try connection.request(.siblings(bases: Array(bases))) { connection in
      Set(try connection.decode(try connection.answer(.digestList), Answers.decodeDigests))
    }
  }

  public func frames(
    _ names: [ObjectName], bases: Set<Digest>, _ body: (RawFrame) throws -> Void
  ) throws {
    let missing = try received.take(names, body)
    let named = RemoteStore.nameable(bases)
    for batch in batches(missing, MessageType.maxNames) {
      var check = RequestedObjects(batch, peer: name)
      let request: Request =
        named.isEmpty ? .frames(batch) : .framesWithBases(batch, bases: Array(named))
      try connection.request(request) { connection in
        try receiveFrames(connection) { frame in
          try check.accept(frame)
          guard (frame.header.base?.chunks ?? []).allSatisfy({ named.contains($0.id) }) else {
            throw TransferError.damaged(name, "sent a frame with a base that is not here")
          }
          try body(frame)
        }
        try check.requireAll()
      }
    }
  }

  public func measure(_ names: [ObjectName]) throws -> UInt64 {
    try measure(names, bases: [])
  }

  public func measure(_ names: [ObjectName], bases: Set<Digest>) throws -> UInt64 {
    var bytes: UInt64 = 0
    _ = try received.take(names, keepsFrames: true) { bytes += UInt64($0.bytes.count) }
    let named = RemoteStore.nameable(bases)
    for batch in batches(received.missing(names), MessageType.maxNames) {
      let request: Request =
        named.isEmpty ? .measure(batch) : .measureWithBases(batch, bases: Array(named))
      bytes &+= try connection.request(request) { connection in
        try connection.decode(try connection.answer(.amount), Answers.decodeNumber)
      }
    }
    return bytes
  }

  /// Reads frames until the answer ends.
  private func receiveFrames(
    _ connection: RemoteClient, _ body: (RawFrame) throws -> Void
  ) throws {
    while true {
      let message = try connection.answer()
      if message.type == .done { return }
      guard message.type == .frame else { throw connection.unexpected(message.type) }
      try body(
        try connection.decode(message.body) { (bytes) throws(CodecError) in
          try RawFrame(bytes)
        })
    }
  }

  // MARK: Writing

  public func begin() throws -> any TransferSession {
    guard connection.rights != .readOnly else {
      throw TransferError(
        .remoteDenied, name, "is read-only for this account",
        hint: "Ask the administrator there for an account that may push ('serve --append-only')")
    }
    try connection.request(.begin) { connection in
      _ = try connection.answer(.done)
      connection.clearSessionFailure()
    }
    return RemoteSession(connection)
  }
}

/// Splits a list into parts of at most `count` elements.
func batches<T>(_ list: [T], _ count: Int) -> [[T]] {
  if list.count <= count { return list.isEmpty ? [] : [list] }
  return stride(from: 0, to: list.count, by: count).map {
    Array(list[$0..<min($0 + count, list.count)])
  }
}

/// The objects of directories that a server sent.
private struct ReceivedDirectories: ObjectSource {
  let objects: [ObjectName: [UInt8]]
  let peer: String

  func object(_ kind: ObjectKind, _ id: Digest) throws -> [UInt8] {
    guard let bytes = objects[ObjectName(kind: kind, id: id)] else {
      throw TransferError(
        .remoteDamaged, peer, "did not send the \(kind.noun) \(id.shortHex)",
        hint: "Run 'imgstore verify' there")
    }
    return bytes
  }
}
