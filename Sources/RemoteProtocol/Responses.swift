// The bodies of the server's messages. The rules are those of Requests.swift. A client trusts no value in them:
// `RemoteStore` compares them with what it asked for.

import Codec
import Platform
import Store
import Transfer

/// The server's answer to `open`.
public struct OpenResponse: Sendable, Equatable {
  public var features: Features
  public var rights: RemoteRights
  /// The path of the store, for messages.
  public var store: String

  /// Creates an answer.
  public init(features: Features, rights: RemoteRights, store: String) {
    self.features = features
    self.rights = rights
    self.store = store
  }

  /// The body of its message.
  public var body: [UInt8] {
    var writer = ByteWriter()
    writer.varint(features.rawValue)
    writer.byte(rights.rawValue)
    writer.string(store)
    return writer.bytes
  }

  /// Decodes a body.
  /// - Throws: `CodecError`.
  public static func decode(_ body: [UInt8]) throws(CodecError) -> OpenResponse {
    try decodeBody(body) { (reader) throws(CodecError) in
      let features = Features(rawValue: try reader.varint())
      guard let rights = RemoteRights(rawValue: try reader.byte()) else {
        throw .corrupt("the rights are unknown")
      }
      let store = printable(try reader.string())
      return OpenResponse(features: features, rights: rights, store: store)
    }
  }
}

/// Runs a decoder over all bytes of a body.
func decodeBody<R>(
  _ body: [UInt8], _ decode: (inout ByteReader) throws(CodecError) -> R
) throws(CodecError) -> R {
  try withReader(body) { (reader) throws(CodecError) in
    let value = try decode(&reader)
    try reader.expectEnd()
    return value
  }
}

/// Encodes and decodes the answers that are lists.
public enum Answers {
  static let maxImages = 1 << 16
  static let maxTags = 1 << 16
  /// The most parts of all blobs of one question. A file of 256 GiB has about four million.
  static let maxParts = 4 << 20

  /// Encodes the names of images, in order.
  public static func images(_ images: [ImageName]) -> [UInt8] {
    var writer = ByteWriter()
    writer.varint(images.count)
    for image in images { writer.string(image.text) }
    return writer.bytes
  }

  /// Decodes what `images` encoded.
  /// - Throws: `CodecError`.
  public static func decodeImages(_ body: [UInt8]) throws(CodecError) -> [ImageName] {
    try decodeBody(body) { (reader) throws(CodecError) in
      let count = try reader.count(bytesEach: 2)
      guard count <= maxImages else { throw .overLimit("there are too many images") }
      var images: [ImageName] = []
      for _ in 0..<count {
        let image = try reader.image()
        if let last = images.last, !(last < image) { throw .corrupt("images are out of order") }
        images.append(image)
      }
      return images
    }
  }

  /// Encodes a history.
  public static func history(_ history: RemoteHistory) -> [UInt8] {
    var writer = ByteWriter()
    writer.varint(history.snapshots.count)
    var last = 0
    for item in history.snapshots {
      writer.varint(item.number - last)
      writer.digest(item.id)
      last = item.number
    }
    writer.varint(history.tags.count)
    for (tag, number) in history.tags.sorted(by: { $0.key < $1.key }) {
      writer.string(tag)
      writer.varint(number)
    }
    writer.varint(history.pins.count)
    for (number, reason) in history.pins.sorted(by: { $0.key < $1.key }) {
      writer.varint(number)
      writer.string(reason)
    }
    return writer.bytes
  }

  /// Decodes what `history` encoded.
  /// - Throws: `CodecError`.
  public static func decodeHistory(
    _ body: [UInt8], of image: ImageName
  ) throws(CodecError) -> RemoteHistory {
    try decodeBody(body) { (reader) throws(CodecError) in
      var snapshots: [RemoteHistory.Item] = []
      let count = try reader.count(bytesEach: 33)
      snapshots.reserveCapacity(count)
      var number = 0
      for _ in 0..<count {
        // Neither can overflow: a number has at most 50 bits.
        number += try reader.number()
        guard number < 1 << 50 else { throw .overLimit("the number of a snapshot is too large") }
        snapshots.append(RemoteHistory.Item(number: number, id: try reader.digest()))
      }
      var tags: [String: Int] = [:]
      for _ in 0..<(try reader.count(bytesEach: 3)) {
        let tag = try reader.text(limit: 255)
        let number = try reader.number()
        guard tags.updateValue(number, forKey: tag) == nil else { throw .corrupt("a tag repeats") }
      }
      var pins: [Int: String] = [:]
      for _ in 0..<(try reader.count(bytesEach: 2)) {
        let number = try reader.number()
        let reason = printable(try reader.string())
        guard pins.updateValue(reason, forKey: number) == nil else {
          throw .corrupt("a pin repeats")
        }
      }
      return RemoteHistory(image: image, snapshots: snapshots, tags: tags, pins: pins)
    }
  }

  /// Encodes a snapshot with its signatures.
  public static func snapshot(_ snapshot: TransferredSnapshot) -> [UInt8] {
    var writer = ByteWriter()
    writer.snapshot(snapshot)
    return writer.bytes
  }

  /// Decodes what `snapshot` encoded.
  /// - Throws: `CodecError`.
  public static func decodeSnapshot(_ body: [UInt8]) throws(CodecError) -> TransferredSnapshot {
    try decodeBody(body) { (reader) throws(CodecError) in try reader.snapshot() }
  }

  /// Encodes a number.
  public static func number(_ value: UInt64) -> [UInt8] {
    var writer = ByteWriter()
    writer.varint(value)
    return writer.bytes
  }

  /// Decodes what `number` encoded.
  /// - Throws: `CodecError`.
  public static func decodeNumber(_ body: [UInt8]) throws(CodecError) -> UInt64 {
    try decodeBody(body) { (reader) throws(CodecError) in try reader.varint() }
  }

  /// Encodes ids.
  public static func digests(_ digests: some Collection<Digest>) -> [UInt8] {
    var writer = ByteWriter()
    writer.digests(Array(digests))
    return writer.bytes
  }

  /// Decodes what `digests` encoded.
  /// - Throws: `CodecError`.
  public static func decodeDigests(_ body: [UInt8]) throws(CodecError) -> [Digest] {
    try decodeBody(body) { (reader) throws(CodecError) in
      try reader.digests(limit: MessageType.maxNames)
    }
  }

  /// Encodes which of `count` items are in `subset`, which has them in the same order.
  public static func bitmap<T: Equatable>(_ items: [T], _ subset: [T]) -> [UInt8] {
    var bits = [UInt8](repeating: 0, count: (items.count + 7) / 8)
    var next = subset[...]
    for (index, item) in items.enumerated() where next.first == item {
      bits[index / 8] |= 1 << UInt8(index % 8)
      next = next.dropFirst()
    }
    return bits
  }

  /// Returns the items whose bits are set.
  /// - Throws: `corrupt` for another number of bits.
  public static func decodeBitmap<T>(_ body: [UInt8], _ items: [T]) throws(CodecError) -> [T] {
    guard body.count == (items.count + 7) / 8,
      items.count % 8 == 0 || (body.last ?? 0) >> UInt8(items.count % 8) == 0
    else { throw .corrupt("the answer has another number of bits than was asked") }
    return items.indices.filter { body[$0 / 8] >> UInt8($0 % 8) & 1 != 0 }.map { items[$0] }
  }
}

/// Encodes how a store has blobs. Large answers take several messages.
public struct ContentListEncoder {
  private var writer = ByteWriter()
  private static let messageBytes = 1 << 20

  /// Creates an encoder without contents.
  public init() {}

  /// The bytes of the message so far, if they are enough for one.
  public mutating func takeIfFull() -> [UInt8]? {
    writer.bytes.count >= ContentListEncoder.messageBytes ? take() : nil
  }

  /// Returns the message so far, and starts the next one.
  public mutating func take() -> [UInt8] {
    defer { writer = ByteWriter() }
    return writer.bytes
  }

  /// Whether the message has no contents.
  public var isEmpty: Bool { writer.bytes.isEmpty }

  /// Adds the content of the next blob; nil for one that the store lacks.
  public mutating func add(_ content: BlobContent?) {
    switch content {
    case nil: writer.byte(0)
    case .chunk: writer.byte(1)
    case .recipe(let references):
      writer.byte(2)
      writer.digests(references.chunks)
      writer.varint(references.blobs.count)
      for blob in references.blobs {
        writer.digest(blob.id)
        writer.varint(blob.sizeBytes)
      }
    }
  }

  /// Decodes one message, and counts its parts.
  /// - Parameters:
  ///   - limit: the number of blobs that were asked for.
  ///   - parts: the parts of all blobs so far.
  /// - Throws: `CodecError`.
  public static func decode(
    _ body: [UInt8], into contents: inout [BlobContent?], limit: Int, parts: inout Int
  ) throws(CodecError) {
    try withReader(body) { (reader) throws(CodecError) in
      while !reader.isAtEnd {
        guard contents.count < limit else {
          throw .overLimit("there are more answers than questions")
        }
        switch try reader.byte() {
        case 0: contents.append(nil)
        case 1: contents.append(.chunk)
        case 2:
          var references = BlobReferences()
          references.hasRecipe = true
          references.chunks = try reader.digests(limit: Answers.maxParts - parts)
          parts += references.chunks.count
          let count = try reader.count(bytesEach: 33)
          guard count <= Answers.maxParts - parts else {
            throw .overLimit("there are too many parts")
          }
          parts += count
          for _ in 0..<count {
            references.blobs.append((try reader.digest(), try reader.varint()))
          }
          contents.append(.recipe(references))
        default: throw .corrupt("the form of a content is unknown")
        }
      }
    }
  }
}
