// The bodies of the client's messages, in the encoding of docs/format.md: varints, digests, and texts with their
// length.
//
// 1. Each value has one encoding, and a decoder accepts no bytes after it.
// 2. A decoder checks counts against the bytes that are left before it allocates.

import Codec
import Platform
import Store
import Transfer

/// What a client says of itself, for the origin records of the snapshots that it pushes. Nothing checks it.
public struct ClientIdentity: Sendable, Equatable {
  /// The address of the client's store.
  public var url: String
  /// The user who pushes.
  public var user: String

  static let maxBytes = 1024

  /// Creates an identity. Control characters are made printable, and long texts are cut.
  public init(url: String, user: String) {
    self.url = ClientIdentity.bounded(url)
    self.user = ClientIdentity.bounded(user)
  }

  private static func bounded(_ text: String) -> String {
    let text = text.holdsControlCharacters ? printable(Array(text.utf8)) : text
    return text.utf8.count <= maxBytes ? text : printable(Array(text.utf8.prefix(maxBytes / 4)))
  }
}

/// The client's first message.
public struct OpenRequest: Sendable, Equatable {
  public var features: Features
  /// The path of the store that the client wishes; empty for the server's own.
  public var store: [UInt8]
  /// Who the client is.
  public var client: ClientIdentity

  static let maxPathBytes = 4096

  /// Creates a request.
  public init(features: Features, store: [UInt8], client: ClientIdentity) {
    self.features = features
    self.store = store
    self.client = client
  }
}

/// A request of a client.
public enum Request: Sendable {
  case open(OpenRequest)
  case images
  case history(ImageName)
  case snapshot(ImageName, Int)
  case objects([ObjectName])
  case directories([Tree.IDs])
  case contents([Digest])
  case frames([ObjectName])
  case measure([ObjectName])
  case begin
  case missing([ObjectName])
  case missingBlobs([Digest])
  case commit(TransferredSnapshot, bases: [Digest])
  case tag(String, ImageName, Int)
  case pin(ImageName, Int, reason: String)
  case end
  case bases([ObjectName])
  case framesWithBases([ObjectName], bases: [Digest])
  case measureWithBases([ObjectName], bases: [Digest])
  case siblings(bases: [Digest])

  static let maxBases = 64
  static let maxTagBytes = 100
  static let maxReasonBytes = 1000

  /// The type of its message.
  public var type: MessageType {
    switch self {
    case .open: .open
    case .images: .images
    case .history: .history
    case .snapshot: .snapshot
    case .objects: .objects
    case .directories: .directories
    case .contents: .contents
    case .frames: .frames
    case .measure: .measure
    case .begin: .begin
    case .missing: .missing
    case .missingBlobs: .missingBlobs
    case .commit: .commit
    case .tag: .tag
    case .pin: .pin
    case .end: .end
    case .bases: .bases
    case .framesWithBases: .framesWithBases
    case .measureWithBases: .measureWithBases
    case .siblings: .siblings
    }
  }

  /// The body of its message.
  public var body: [UInt8] {
    var writer = ByteWriter()
    switch self {
    case .images, .begin, .end: break
    case .open(let request):
      writer.varint(request.features.rawValue)
      writer.string(request.store)
      writer.string(request.client.url)
      writer.string(request.client.user)
    case .history(let image): writer.string(image.text)
    case .snapshot(let image, let number):
      writer.string(image.text)
      writer.varint(number)
    case .objects(let names), .frames(let names), .measure(let names), .missing(let names),
      .bases(let names):
      writer.names(names)
    case .framesWithBases(let names, let bases), .measureWithBases(let names, let bases):
      writer.names(names)
      writer.digests(bases)
    case .directories(let ids):
      writer.varint(ids.count)
      for ids in ids {
        writer.digest(ids.tree)
        writer.digest(ids.times)
      }
    case .contents(let ids), .missingBlobs(let ids), .siblings(let ids):
      writer.digests(ids)
    case .commit(let snapshot, let bases):
      writer.digests(bases)
      writer.snapshot(snapshot)
    case .tag(let tag, let image, let number):
      writer.string(tag)
      writer.string(image.text)
      writer.varint(number)
    case .pin(let image, let number, let reason):
      writer.string(image.text)
      writer.varint(number)
      writer.string(reason)
    }
    return writer.bytes
  }

  /// Decodes a request.
  /// - Throws: `CodecError`; also for a type that is not a request.
  public static func decode(_ type: MessageType, _ body: [UInt8]) throws(CodecError) -> Request {
    try withReader(body) { (reader) throws(CodecError) in
      let request = try decode(type, &reader)
      try reader.expectEnd()
      return request
    }
  }

  private static func decode(
    _ type: MessageType, _ reader: inout ByteReader
  ) throws(CodecError) -> Request {
    switch type {
    case .open:
      let features = Features(rawValue: try reader.varint())
      let store = try reader.string()
      guard store.count <= OpenRequest.maxPathBytes, !store.contains(0),
        store.isEmpty || store.first == 0x2f
      else { throw .corrupt("the path of the store is not absolute") }
      let url = try reader.text(limit: ClientIdentity.maxBytes)
      let user = try reader.text(limit: ClientIdentity.maxBytes)
      return .open(
        OpenRequest(features: features, store: store, client: .init(url: url, user: user)))
    case .images: return .images
    case .history: return .history(try reader.image())
    case .snapshot: return .snapshot(try reader.image(), try reader.number())
    case .objects: return .objects(try reader.names(limit: MessageType.maxNames))
    case .frames: return .frames(try reader.names(limit: MessageType.maxNames))
    case .measure: return .measure(try reader.names(limit: MessageType.maxNames))
    case .missing: return .missing(try reader.names(limit: MessageType.maxNames))
    case .bases: return .bases(try reader.names(limit: MessageType.maxNames))
    case .framesWithBases:
      let names = try reader.names(limit: MessageType.maxNames)
      return .framesWithBases(names, bases: try reader.digests(limit: MessageType.maxNames))
    case .measureWithBases:
      let names = try reader.names(limit: MessageType.maxNames)
      return .measureWithBases(names, bases: try reader.digests(limit: MessageType.maxNames))
    case .siblings: return .siblings(bases: try reader.digests(limit: MessageType.maxNames))
    case .contents: return .contents(try reader.digests(limit: MessageType.maxNames))
    case .missingBlobs: return .missingBlobs(try reader.digests(limit: MessageType.maxNames))
    case .directories:
      let count = try reader.count(bytesEach: 64)
      guard count <= MessageType.maxDirectories else { throw .overLimit("too many directories") }
      var ids: [Tree.IDs] = []
      for _ in 0..<count {
        ids.append(Tree.IDs(tree: try reader.digest(), times: try reader.digest()))
      }
      return .directories(ids)
    case .begin: return .begin
    case .commit:
      let bases = try reader.digests(limit: maxBases)
      return .commit(try reader.snapshot(), bases: bases)
    case .tag:
      return .tag(try reader.text(limit: maxTagBytes), try reader.image(), try reader.number())
    case .pin:
      return .pin(
        try reader.image(), try reader.number(), reason: try reader.text(limit: maxReasonBytes))
    case .end: return .end
    default: throw .corrupt("a message of type \(type.rawValue) is not a request")
    }
  }
}
