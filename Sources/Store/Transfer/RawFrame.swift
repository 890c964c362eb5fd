// Frames on their way between stores: the bytes as they are in a pack (docs/format.md, "Frames").
//
// 1. A `RawFrame` has a valid header and directory, and exactly as many bytes as they say. Its payload is not
//    trusted before `FrameDecoder.verify`, unless `isFromSoundPack` returns true.
// 2. Sizes are checked before memory is allocated.

import Codec
import Platform

/// The bytes of one frame with its parsed header.
public struct RawFrame: Sendable {
  /// The parsed header, which lists the objects.
  public let header: FrameHeader
  /// Header, directory and payload.
  public let bytes: [UInt8]
  /// Where the frame was read from in this machine's store; nil for frames from elsewhere.
  var origin: FrameOrigin?

  /// The largest frame that a reader accepts.
  public static let maxBytes =
    FrameHeader.byteCount + Int(FrameHeader.maxDirectoryBytes)
    + ZstdCompressor.bound(Int(FrameHeader.maxRawBytes))

  /// Parses the bytes of one frame.
  /// - Throws: `corrupt` if the checksum of the header does not match, or the length is another one;
  ///   `overLimit`; `truncated`.
  public init(_ bytes: [UInt8]) throws(CodecError) {
    let header = try bytes.withUnsafeBytes { (bytes) throws(CodecError) in
      guard bytes.count >= FrameHeader.byteCount else { throw .truncated }
      return try FrameHeader.parse(bytes)
    }
    guard header.frameBytes == bytes.count else {
      throw .corrupt("the frame has another length than its header says")
    }
    self.header = header
    self.bytes = bytes
  }

  init(header: [UInt8], payload: UnsafeRawBufferPointer) throws(CodecError) {
    try self.init(
      [UInt8](unsafeUninitializedCapacity: header.count + payload.count) { bytes, count in
        let target = UnsafeMutableRawBufferPointer(bytes)
        target.copyBytes(from: header)
        UnsafeMutableRawBufferPointer(rebasing: target[header.count...]).copyMemory(from: payload)
        count = header.count + payload.count
      })
  }

  /// Returns the size of the frame that starts with these `FrameHeader.byteCount` bytes.
  /// - Throws: `corrupt`, `overLimit`, `truncated`.
  public static func sizeBytes(front: [UInt8]) throws(CodecError) -> Int {
    guard front.count == FrameHeader.byteCount else { throw .truncated }
    let lengths = try front.withUnsafeBytes { (front) throws(CodecError) in
      try FrameHeader.parseLengths(front)
    }
    return FrameHeader.byteCount + lengths.directoryBytes + lengths.storedBytes
  }

  /// Returns the frame with its recipes as chunks, which are named by their own SHA-256. The payload stays
  /// the same.
  /// - Parameter decoded: the decoded frame.
  public func namingRecipesAsChunks(_ decoded: DecodedFrame) throws(CodecError) -> RawFrame {
    let objects = header.objects.map { object -> (kind: ObjectKind, id: Digest, length: Int) in
      guard object.kind == .recipe else { return (object.kind, object.id, object.length) }
      let id = decoded.withBytes(start: object.start, length: object.length) {
        SHA256.digest(of: [UInt8]($0))
      }
      return (.chunk, id, object.length)
    }
    return try withPayload { (payload) throws(CodecError) in
      try RawFrame(
        header: FrameHeader.encode(
          objects: objects, codec: header.codec, base: header.base, storedBytes: payload.count),
        payload: payload)
    }
  }

  /// Returns the frame with another depth of its base. The payload stays the same.
  package func withDepth(_ depth: UInt8) throws(CodecError) -> RawFrame {
    let base = header.base.map { FrameBase(depth: depth, chunks: $0.chunks) }
    let objects = header.objects.map { (kind: $0.kind, id: $0.id, length: $0.length) }
    return try withPayload { (payload) throws(CodecError) in
      try RawFrame(
        header: FrameHeader.encode(
          objects: objects, codec: header.codec, base: base, storedBytes: payload.count),
        payload: payload)
    }
  }

  /// Returns true if the frame needs no decoding to be trusted: its bytes are those of a frame of a pack of this
  /// machine's store, which has the SHA-256 that names it (`PackChecksums`). May read the pack.
  public func isFromSoundPack() -> Bool {
    guard let origin, header.base == nil else { return false }
    return origin.checksums.confirm(bytes, at: origin.address)
  }

  /// The number of objects in the frame.
  public var objectCount: Int { header.objects.count }

  /// The compressed payload, valid during the call.
  func withPayload<R, E: Error>(_ body: (UnsafeRawBufferPointer) throws(E) -> R) throws(E) -> R {
    try bytes.withUnsafeBytes { (bytes) throws(E) in
      try body(
        UnsafeRawBufferPointer(rebasing: bytes[(FrameHeader.byteCount + header.directoryBytes)...]))
    }
  }
}

/// Decodes frames that are not in a pack of the store. All methods may be called from any thread.
public final class FrameDecoder: Sendable {
  private let decoder: DecoderPool
  private let buffers = BufferPool()
  private let store: ObjectStore?

  /// Creates a decoder.
  /// - Parameter store: has the bases of the frames; nil if frames with bases are refused.
  public init(store: ObjectStore? = nil) {
    self.store = store
    decoder = DecoderPool(buffers)
  }

  /// Decodes the payload of a frame. The bytes of its objects are not compared with their ids.
  /// - Throws: `corrupt` if the payload or its checksum is damaged, or the base cannot be read.
  public func decode(_ frame: RawFrame) throws(CodecError) -> DecodedFrame {
    guard frame.header.base != nil else { return try decode(frame, base: nil) }
    guard let store else { throw .corrupt("the frame has a base, which is not here") }
    let result: Result<DecodedFrame, CodecError>
    do throws(StoreError) {
      result = try store.packs.withBase(frame.header) { base in
        Result { () throws(CodecError) in try decode(frame, base: base) }
      }
    } catch {
      throw .corrupt("\(error.subject) \(error.reason)")
    }
    return try result.get()
  }

  /// Decodes the payload of a frame whose base was read.
  /// - Parameter base: the bytes of the frame's base; nil for a frame without one.
  /// - Throws: `corrupt` if the payload or its checksum is damaged.
  package func decode(
    _ frame: RawFrame, base: UnsafeRawBufferPointer?
  ) throws(CodecError) -> DecodedFrame {
    let target = buffers.acquire(frame.header.rawBytes)
    let decoded = DecodedFrame(
      frame.header, target, countBytes: frame.header.rawBytes, from: buffers)
    try frame.withPayload { (payload) throws(CodecError) in
      try decoder.decode(
        payload, frame.header.codec, base: base,
        into: UnsafeMutableRawBufferPointer(rebasing: target[..<frame.header.rawBytes]))
    }
    return decoded
  }

  /// Decodes a frame, and compares each object with its id.
  ///
  /// A recipe has the id of its blob, so only reading the blob can verify it.
  /// - Throws: `corrupt` if an object has other bytes.
  public func verify(_ frame: RawFrame) throws(CodecError) -> DecodedFrame {
    let decoded = try decode(frame)
    try FrameDecoder.verify(decoded)
    return decoded
  }

  /// Compares each object of a decoded frame with its id, except recipes.
  /// - Throws: `corrupt` if an object has other bytes.
  package static func verify(_ decoded: DecodedFrame) throws(CodecError) {
    var hash = SHA256()
    for object in decoded.header.objects where object.kind != .recipe {
      let digest = decoded.withBytes(start: object.start, length: object.length) {
        hash.digest(of: $0)
      }
      guard digest == object.id else {
        throw .corrupt(
          "the \(object.kind.noun) \(object.id.shortHex) has other bytes than its id says")
      }
    }
  }
}
