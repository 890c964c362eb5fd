// A frame: objects compressed together, with everything needed to read it when all else is lost.
//
// Layout (docs/format.md, "Frames"):
//
//     magic "IMGF" | version 1 | codec | flags | 0 | directory bytes u32 | stored bytes u32
//     | raw bytes u32 | objects u32 | CRC-32 of the 24 bytes before and the directory, u32
//     | directory: per object kind u8, id 32, length varint | payload
//
// 1. Offsets inside the payload follow from the lengths in the directory, which add up to the raw
//    bytes exactly.
// 2. The CRC guards header and directory; zstd's own checksum guards the payload; each object's id
//    is the last word on its content.

import Codec
import Platform

/// The header and directory of a frame, parsed and checked.
public struct FrameHeader: Sendable {
  public static let byteCount = 28
  public static let magic: UInt32 = 0x4647_4d49  // "IMGF", little-endian
  public static let maxRawBytes: UInt32 = 16 << 20
  public static let maxDirectoryBytes: UInt32 = 4 << 20
  static let codecZstd: UInt8 = 1

  public struct Object: Sendable, Equatable {
    public let kind: ObjectKind
    public let id: Digest
    /// Where it begins in the raw bytes.
    public let start: Int
    public let length: Int
  }

  public let directoryBytes: Int
  public let storedBytes: Int
  public let rawBytes: Int
  public let objects: [Object]

  /// Header, directory and payload together.
  public var frameBytes: Int { FrameHeader.byteCount + directoryBytes + storedBytes }

  /// The directory lists this very object at this place.
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

  /// The lengths at the front of a frame, before its directory is at hand.
  struct Lengths {
    let directoryBytes: Int
    let storedBytes: Int
    let rawBytes: Int
    let objectCount: Int
    let crc: UInt32
  }

  static func parseLengths(_ bytes: UnsafeRawBufferPointer) throws(CodecError) -> Lengths {
    var reader = ByteReader(bytes)
    guard try reader.word32() == magic else { throw .corrupt("no frame begins here") }
    let version = try reader.byte()
    guard version == 1 else { throw .corrupt("the frame is of version \(version)") }
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
    else { throw .overLimit("the frame's lengths are over their limits") }
    return Lengths(
      directoryBytes: Int(directory), storedBytes: Int(stored), rawBytes: Int(raw),
      objectCount: Int(count), crc: crc)
  }

  /// Parses header and directory; `bytes` holds at least both.
  static func parse(_ bytes: UnsafeRawBufferPointer) throws(CodecError) -> FrameHeader {
    let lengths = try parseLengths(bytes)
    let end = byteCount + lengths.directoryBytes
    guard bytes.count >= end else { throw .truncated }
    var crc = CRC32()
    crc.update(UnsafeRawBufferPointer(rebasing: bytes[..<24]))
    let directory = UnsafeRawBufferPointer(rebasing: bytes[byteCount..<end])
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
        throw .corrupt("the frame holds an object of an unknown kind")
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

  /// The bytes of a header and directory.
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

/// Objects on their way into a frame. Belongs to one thread at a time.
public final class FrameBuilder: @unchecked Sendable {  // one owner at a time
  /// A frame is closed when it has this many raw bytes; one more chunk always fits.
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

  func hasRoom(for length: Int) -> Bool { count + length <= FrameBuilder.capacity }

  /// Makes room for one object that is larger than a frame: the recipe of a file of many gigabytes.
  func grow(for length: Int) {
    precondition(isEmpty && length <= Int(FrameHeader.maxRawBytes))
    guard length > raw.count else { return }
    raw.deallocate()
    raw = .allocate(byteCount: length, alignment: 64)
  }

  func add(_ kind: ObjectKind, _ id: Digest, _ bytes: UnsafeRawBufferPointer) {
    precondition(count + bytes.count <= raw.count, "a frame is overfull")
    if let source = bytes.baseAddress, let target = raw.baseAddress {
      (target + count).copyMemory(from: source, byteCount: bytes.count)
    }
    objects.append((kind, id, bytes.count))
    count += bytes.count
  }

  func clear() {
    count = 0
    objects.removeAll(keepingCapacity: true)
  }
}

/// Turns full builders into frames. One a thread: it owns the codec's contexts and buffers.
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

  /// Compresses, decodes again and compares, then hands out header and payload (valid only during
  /// the call). A frame that does not decode to what went in never reaches a pack.
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
        throw .corrupt("the bytes that came back are not those that went in")
      }
    } catch {
      throw StoreError(
        .damaged, "a frame", "did not survive compression: \(error)",
        advice: "The memory or the processor of this machine is faulty: test it before going on")
    }
    try output(FrameHeader.encode(objects: builder.objects, storedBytes: payload.count), payload)
  }
}

func equal(_ a: UnsafeRawBufferPointer, _ b: UnsafeRawBufferPointer) -> Bool {
  guard a.count == b.count else { return false }
  guard let x = a.baseAddress, let y = b.baseAddress, a.count > 0 else { return true }
  return compareMemory(x, y, a.count) == 0
}
