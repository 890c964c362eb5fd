// The bytes of a ref (docs/format.md, "Refs"): a snapshot, its id, and its place in the history.
//
// 1. Version 2 contains the image and the number under a checksum, so that a moved, copied or swapped ref
//    is found. Version 1, of older programs, contains the image only, in the snapshot.
// 2. In both versions the snapshot's id is the SHA-256 of the snapshot's bytes alone.

import Codec

/// A decoded ref.
public struct RefRecord: Sendable {
  /// The snapshot's id.
  public let id: Digest
  public let snapshot: Snapshot
  /// The snapshot's number; nil in version 1.
  public let number: Int?

  static let magic = Array("IMGREF".utf8)
  private static let terminator: UInt8 = 0x0a
  /// An upper bound of the bytes around the snapshot.
  static let maxFrameBytes = 1024

  /// Returns the bytes of a ref.
  /// - Parameters:
  ///   - snapshot: the encoded snapshot.
  ///   - id: the SHA-256 of `snapshot`.
  public static func encode(_ snapshot: [UInt8], _ id: Digest, _ image: ImageName, _ number: Int)
    -> [UInt8]
  {
    var writer = ByteWriter()
    writer.reserve(snapshot.count + maxFrameBytes)
    writer.raw(magic + [2, terminator])
    writer.word32(UInt32(snapshot.count))
    writer.raw(snapshot)
    writer.digest(id)
    writer.string(image.text)
    writer.varint(number)
    writer.digest(SHA256.digest(of: writer.bytes))
    return writer.bytes
  }

  /// Reads the bytes of a ref of either version.
  /// - Throws: `corrupt` if a checksum does not match or the bytes are not a ref; `truncated`.
  public static func decode(_ bytes: [UInt8]) throws(CodecError) -> RefRecord {
    let (body, image, number) = try withReader(bytes) {
      (reader: inout ByteReader) throws(CodecError) -> ([UInt8], String?, Int?) in
      guard try reader.raw(min(magic.count, reader.remaining)) == magic else {
        throw .corrupt("the file is not a ref")
      }
      let version = try reader.byte()
      guard version == 1 || version == 2, try reader.byte() == terminator else {
        throw .corrupt("the ref has an unknown version")
      }
      let body = try reader.raw(Int(try reader.word32()))
      guard try reader.digest() == SHA256.digest(of: body) else {
        throw .corrupt("its SHA-256 does not match")
      }
      guard version == 2 else {
        try reader.expectEnd()
        return (body, nil, nil)
      }
      let image = try reader.text()
      let number = Int(try reader.varint(limit: UInt64(Int.max), "a number"))
      let checkedBytes = bytes.count - reader.remaining
      guard try reader.digest() == SHA256.digest(of: Array(bytes[..<checkedBytes])) else {
        throw .corrupt("the SHA-256 of the record does not match")
      }
      try reader.expectEnd()
      return (body, image, number)
    }
    let snapshot = try Snapshot.decode(body)
    if let image, image != snapshot.image {
      throw .corrupt("it is the ref of \(image) and holds a snapshot of \(snapshot.image)")
    }
    return RefRecord(id: SHA256.digest(of: body), snapshot: snapshot, number: number)
  }

  /// The bytes before the snapshot.
  static let frontBytes = magic.count + 6

  /// Returns the size of the snapshot in a ref that starts with these bytes; nil if they are not a ref's.
  static func snapshotBytes(front: [UInt8]) -> Int? {
    guard front.count == frontBytes, front.starts(with: magic) else { return nil }
    return (0..<4).reduce(0) { $0 | Int(front[magic.count + 2 + $1]) << ($1 * 8) }
  }

  /// Checks that the ref belongs to this image and number.
  /// - Throws: `corrupt` if it does not.
  public func requireIdentity(_ image: ImageName, _ number: Int) throws(CodecError) {
    let own = self.number.map { "\(snapshot.image)@\($0)" } ?? snapshot.image
    guard snapshot.image == image.text, self.number ?? number == number else {
      throw .corrupt("it is the ref of \(own), so it was moved, copied or swapped")
    }
  }
}
