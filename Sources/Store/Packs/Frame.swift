// A frame: objects compressed together, with everything needed to read it if all else is lost.
//
// Layout (docs/format.md, "Frames"):
//
//     magic "IMGF" | version 1 | codec | flags | 0 | directory bytes u32 | stored bytes u32
//     | raw bytes u32 | objects u32 | CRC-32 of the 24 bytes before and the directory, u32
//     | directory: per object kind u8, id 32, length varint; with flag 1 a base (FrameBase.swift) | payload
//
// 1. Offsets in the payload follow from the lengths in the directory, which add up to exactly the raw bytes.
// 2. The CRC covers header and directory; zstd's checksum, or that of the differences, covers the payload;
//    each object's id decides on its content.

import Codec
import Glibc

/// The form of a payload.
public enum FrameCodec: UInt8, Sendable {
  /// A zstd frame: of the objects, with the base as its prefix if there is one.
  case zstd = 1
  /// A zstd frame of differences from the base (`DifferenceScript`).
  case differences = 2
}

/// Holds the parsed and verified header and directory of a frame.
public struct FrameHeader: Sendable {
  public static let byteCount = 28
  public static let magic: UInt32 = 0x4647_4d49  // "IMGF", little-endian
  public static let maxRawBytes: UInt32 = 16 << 20
  public static let maxDirectoryBytes: UInt32 = 4 << 20
  static let hasBaseFlag: UInt8 = 1

  /// An entry of the directory.
  public struct Object: Sendable, Equatable {
    public let kind: ObjectKind
    public let id: Digest
    /// The offset of the object in the raw bytes.
    public let start: Int
    public let length: Int
  }

  /// The size of the directory.
  public let directoryBytes: Int
  /// The size of the compressed payload.
  public let storedBytes: Int
  /// The size of the decoded payload.
  public let rawBytes: Int
  /// The objects in the order of their offsets.
  public let objects: [Object]
  /// The form of the payload.
  public let codec: FrameCodec
  /// The chunks that the payload is compressed against; nil for none.
  public let base: FrameBase?

  /// The size of header, directory and payload together.
  public var frameBytes: Int { FrameHeader.byteCount + directoryBytes + storedBytes }

  /// Returns true if the directory lists this object with this start and length.
  public func holds(_ kind: ObjectKind, _ id: Digest, start: Int, length: Int) -> Bool {
    objects[objects.partitioningIndex { $0.start >= start }...].prefix { $0.start == start }
      .contains { $0.id == id && $0.kind == kind && $0.length == length }
  }

  /// The lengths in the fixed part of a header, known before the directory has been read.
  public struct Lengths {
    public let directoryBytes: Int
    public let storedBytes: Int
    let rawBytes: Int
    let objectCount: Int
    let crc: UInt32
    let codec: FrameCodec
    let hasBase: Bool
  }

  /// Parses the fixed part of a header.
  /// - Throws: `corrupt` for other bytes, another version, codec or flag; `overLimit`; `truncated`.
  public static func parseLengths(_ bytes: UnsafeRawBufferPointer) throws(CodecError) -> Lengths {
    var reader = ByteReader(bytes)
    guard try reader.word32() == magic else { throw .corrupt("there is no frame at this offset") }
    let version = try reader.byte()
    guard version == 1 else { throw .corrupt("the frame has the unknown version \(version)") }
    guard let codec = FrameCodec(rawValue: try reader.byte()) else {
      throw .corrupt("the frame's codec is unknown")
    }
    let flags = try reader.byte()
    guard flags & ~hasBaseFlag == 0, try reader.byte() == 0 else {
      throw .corrupt("the frame has unknown flags")
    }
    let hasBase = flags & hasBaseFlag != 0
    guard hasBase || codec == .zstd else {
      throw .corrupt("the frame contains differences and has no base")
    }
    let directory = try reader.word32()
    let stored = try reader.word32()
    let raw = try reader.word32()
    let count = try reader.word32()
    let crc = try reader.word32()
    guard directory <= maxDirectoryBytes, raw <= maxRawBytes, count <= directory,
      Int(stored) <= ZstdCompressor.bound(Int(maxRawBytes))
    else { throw .overLimit("the frame's lengths exceed their limits") }
    return Lengths(
      directoryBytes: Int(directory), storedBytes: Int(stored), rawBytes: Int(raw),
      objectCount: Int(count), crc: crc, codec: codec, hasBase: hasBase)
  }

  /// Parses header and directory and verifies their checksum; `bytes` holds at least both.
  /// - Throws: `corrupt` if the checksum does not match or the directory is invalid; `overLimit`;
  ///   `truncated`.
  public static func parse(_ bytes: UnsafeRawBufferPointer) throws(CodecError) -> FrameHeader {
    let lengths = try parseLengths(bytes)
    let directoryEnd = byteCount + lengths.directoryBytes
    guard bytes.count >= directoryEnd else { throw .truncated }
    var crc = CRC32()
    crc.update(UnsafeRawBufferPointer(rebasing: bytes[..<24]))
    let directory = UnsafeRawBufferPointer(rebasing: bytes[byteCount..<directoryEnd])
    crc.update(directory)
    guard crc.value == lengths.crc else {
      throw .corrupt("the checksum of the frame's header does not match")
    }
    var reader = ByteReader(directory)
    var objects: [Object] = []
    objects.reserveCapacity(lengths.objectCount)
    var start = 0
    for _ in 0..<lengths.objectCount {
      guard let kind = ObjectKind(rawValue: try reader.byte()) else {
        throw .corrupt("the frame holds an object with an unknown kind")
      }
      let id = try reader.digest()
      let length = Int(try reader.varint(limit: UInt64(lengths.rawBytes - start), "a length"))
      objects.append(Object(kind: kind, id: id, start: start, length: length))
      start += length
    }
    guard start == lengths.rawBytes else { throw .corrupt("the frame's lengths do not add up") }
    let base = lengths.hasBase ? try FrameBase(&reader) : nil
    try reader.expectEnd()
    guard base == nil || objects.allSatisfy({ $0.kind == .chunk }) else {
      throw .corrupt("the frame has a base and holds other objects than chunks")
    }
    return FrameHeader(
      directoryBytes: lengths.directoryBytes, storedBytes: lengths.storedBytes,
      rawBytes: lengths.rawBytes, objects: objects, codec: lengths.codec, base: base)
  }

  /// Returns the bytes of a header and directory.
  package static func encode(
    objects: [(kind: ObjectKind, id: Digest, length: Int)], codec: FrameCodec = .zstd,
    base: FrameBase? = nil, storedBytes: Int
  ) -> [UInt8] {
    var directory = ByteWriter()
    directory.reserve(objects.count * 36)
    var raw = 0
    for object in objects {
      directory.byte(object.kind.rawValue)
      directory.digest(object.id)
      directory.varint(object.length)
      raw += object.length
    }
    base?.encode(&directory)
    var header = ByteWriter()
    header.reserve(byteCount + directory.bytes.count)
    header.word32(magic)
    header.raw([1, codec.rawValue, base == nil ? 0 : hasBaseFlag, 0])
    header.word32(UInt32(directory.bytes.count))
    header.word32(UInt32(storedBytes))
    header.word32(UInt32(raw))
    header.word32(UInt32(objects.count))
    var crc = CRC32()
    header.bytes.withUnsafeBytes { crc.update($0) }
    directory.bytes.withUnsafeBytes { crc.update($0) }
    header.word32(crc.value)
    header.raw(directory.bytes)
    return header.bytes
  }
}

/// Returns true if both buffers have the same bytes.
func equal(_ a: UnsafeRawBufferPointer, _ b: UnsafeRawBufferPointer) -> Bool {
  guard a.count == b.count else { return false }
  guard let x = a.baseAddress, let y = b.baseAddress, a.count > 0 else { return true }
  return compareMemory(x, y, a.count) == 0
}

/// Compares two blocks of memory like memcmp(3).
func compareMemory(_ a: UnsafeRawPointer, _ b: UnsafeRawPointer, _ count: Int) -> Int32 {
  memcmp(a, b, count)
}
