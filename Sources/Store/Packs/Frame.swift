// A frame: objects compressed together, with everything needed to read it if all else is lost.
//
// Layout (docs/format.md, "Frames"):
//
//     magic "IMGF" | version 1 | codec | flags | 0 | directory bytes u32 | stored bytes u32
//     | raw bytes u32 | objects u32 | CRC-32 of the 24 bytes before and the directory, u32
//     | directory: per object kind u8, id 32, length varint | payload
//
// 1. Offsets in the payload follow from the lengths in the directory, which add up to exactly the raw
//    bytes.
// 2. The CRC covers header and directory; zstd's checksum covers the payload; each object's id decides on
//    its content.

import Codec
import Platform

/// Holds the parsed and verified header and directory of a frame.
public struct FrameHeader: Sendable {
  public static let byteCount = 28
  public static let magic: UInt32 = 0x4647_4d49  // "IMGF", little-endian
  public static let maxRawBytes: UInt32 = 16 << 20
  public static let maxDirectoryBytes: UInt32 = 4 << 20
  static let codecZstd: UInt8 = 1

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

  /// The size of header, directory and payload together.
  public var frameBytes: Int { FrameHeader.byteCount + directoryBytes + storedBytes }

  /// Returns true if the directory lists this object with this start and length.
  func holds(_ kind: ObjectKind, _ id: Digest, start: Int, length: Int) -> Bool {
    var low = 0
    var high = objects.count
    while low < high {
      let middle = (low + high) / 2
      if objects[middle].start < start { low = middle + 1 } else { high = middle }
    }
    while low < objects.count, objects[low].start == start {
      let object = objects[low]
      if object.id == id, object.kind == kind, object.length == length { return true }
      low += 1
    }
    return false
  }

  /// The lengths in the fixed part of a header, known before the directory has been read.
  struct Lengths {
    let directoryBytes: Int
    let storedBytes: Int
    let rawBytes: Int
    let objectCount: Int
    let crc: UInt32
  }

  /// Parses the fixed part of a header.
  /// - Throws: `corrupt` for other bytes, another version, codec or flag; `overLimit`; `truncated`.
  static func parseLengths(_ bytes: UnsafeRawBufferPointer) throws(CodecError) -> Lengths {
    var reader = ByteReader(bytes)
    guard try reader.word32() == magic else { throw .corrupt("there is no frame at this offset") }
    let version = try reader.byte()
    guard version == 1 else { throw .corrupt("the frame has the unknown version \(version)") }
    guard try reader.byte() == codecZstd else { throw .corrupt("the frame's codec is unknown") }
    guard try reader.byte() == 0, try reader.byte() == 0 else {
      throw .corrupt("the frame has unknown flags")
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
      objectCount: Int(count), crc: crc)
  }

  /// Parses header and directory and verifies their checksum; `bytes` holds at least both.
  /// - Throws: `corrupt` if the checksum does not match or the directory is invalid; `overLimit`;
  ///   `truncated`.
  static func parse(_ bytes: UnsafeRawBufferPointer) throws(CodecError) -> FrameHeader {
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
    try reader.expectEnd()
    guard start == lengths.rawBytes else { throw .corrupt("the frame's lengths do not add up") }
    return FrameHeader(
      directoryBytes: lengths.directoryBytes, storedBytes: lengths.storedBytes,
      rawBytes: lengths.rawBytes, objects: objects)
  }

  /// Returns the bytes of a header and directory.
  static func encode(objects: [(kind: ObjectKind, id: Digest, length: Int)], storedBytes: Int)
    -> [UInt8]
  {
    var directory = ByteWriter()
    directory.reserve(objects.count * 36)
    var raw = 0
    for object in objects {
      directory.byte(object.kind.rawValue)
      directory.digest(object.id)
      directory.varint(object.length)
      raw += object.length
    }
    var header = ByteWriter()
    header.reserve(byteCount + directory.bytes.count)
    header.word32(magic)
    header.raw([1, codecZstd, 0, 0])
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

/// Collects objects for a frame. Belongs to one thread at a time.
public final class FrameBuilder: @unchecked Sendable {  // one owner at a time
  /// A frame is closed when it has this many raw bytes. There is always space for one more chunk.
  public static let targetBytes = 512 << 10
  static let capacity = targetBytes + Chunker.maxBytes
  static let maxObjects = 16 << 10

  private(set) var raw: UnsafeMutableRawBufferPointer
  private(set) var count = 0
  private(set) var objects: [(kind: ObjectKind, id: Digest, length: Int)] = []

  init() { raw = .allocate(byteCount: FrameBuilder.capacity, alignment: 64) }
  deinit { raw.deallocate() }

  var isEmpty: Bool { objects.isEmpty }
  var isFull: Bool { count >= FrameBuilder.targetBytes || objects.count >= FrameBuilder.maxObjects }

  /// Returns true if an object of this length fits.
  func hasRoom(for length: Int) -> Bool { count + length <= FrameBuilder.capacity }

  /// Enlarges the empty buffer for one object larger than a frame: the recipe of a file of many gigabytes.
  func grow(for length: Int) {
    precondition(isEmpty && length <= Int(FrameHeader.maxRawBytes))
    guard length > raw.count else { return }
    raw.deallocate()
    raw = .allocate(byteCount: length, alignment: 64)
  }

  /// Appends an object, which must fit.
  func add(_ kind: ObjectKind, _ id: Digest, _ bytes: UnsafeRawBufferPointer) {
    precondition(count + bytes.count <= raw.count, "the object does not fit into the frame")
    if let source = bytes.baseAddress, let target = raw.baseAddress {
      (target + count).copyMemory(from: source, byteCount: bytes.count)
    }
    objects.append((kind, id, bytes.count))
    count += bytes.count
  }

  /// Removes all objects and keeps the memory.
  func clear() {
    count = 0
    objects.removeAll(keepingCapacity: true)
  }
}

/// Compresses full builders into frames. Each thread has its own, because it owns codec contexts and
/// buffers.
final class FrameEncoder {
  private let compressor: ZstdCompressor
  private let decompressor = ZstdDecompressor()
  private var stored: UnsafeMutableRawBufferPointer
  private var check: UnsafeMutableRawBufferPointer

  init(_ tuning: StoreTuning) {
    compressor = ZstdCompressor(level: tuning.level, hashLog: tuning.hashLog)
    stored = .allocate(byteCount: ZstdCompressor.bound(FrameBuilder.capacity), alignment: 64)
    check = .allocate(byteCount: FrameBuilder.capacity, alignment: 64)
  }

  /// Enlarges the buffers for a frame of `count` raw bytes.
  private func makeRoom(_ count: Int) {
    guard count > check.count else { return }
    stored.deallocate()
    check.deallocate()
    stored = .allocate(byteCount: ZstdCompressor.bound(count), alignment: 64)
    check = .allocate(byteCount: count, alignment: 64)
  }

  deinit {
    stored.deallocate()
    check.deallocate()
  }

  /// Compresses a frame, decodes it again, compares, and passes header and payload to `output`.
  ///
  /// The payload is valid during the call only. A frame that does not decode to its input never reaches a
  /// pack.
  /// - Throws: `damaged` if the comparison fails; errors of `output`.
  func encode(
    _ builder: FrameBuilder,
    _ output: (_ header: [UInt8], _ payload: UnsafeRawBufferPointer) throws(StoreError) -> Void
  ) throws(StoreError) {
    let raw = UnsafeRawBufferPointer(rebasing: builder.raw[..<builder.count])
    makeRoom(raw.count)
    let payload: UnsafeRawBufferPointer
    do throws(CodecError) {
      let n = try compressor.compress(raw, into: stored)
      payload = UnsafeRawBufferPointer(rebasing: stored[..<n])
      let decoded = UnsafeMutableRawBufferPointer(rebasing: check[..<raw.count])
      try decompressor.decompress(payload, into: decoded)
      guard equal(raw, UnsafeRawBufferPointer(decoded)) else {
        throw .corrupt("the decoded bytes differ from the input")
      }
    } catch {
      throw StoreError(
        .damaged, "a frame", "did not survive compression: \(error)",
        advice: "The memory or the processor of this machine is faulty. Test it before you continue")
    }
    try output(FrameHeader.encode(objects: builder.objects, storedBytes: payload.count), payload)
  }
}

/// Returns true if both buffers have the same bytes.
func equal(_ a: UnsafeRawBufferPointer, _ b: UnsafeRawBufferPointer) -> Bool {
  guard a.count == b.count else { return false }
  guard let x = a.baseAddress, let y = b.baseAddress, a.count > 0 else { return true }
  return compareMemory(x, y, a.count) == 0
}
