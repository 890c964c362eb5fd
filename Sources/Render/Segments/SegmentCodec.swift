// The compressed formats of a stream of segments, and how each combines them.
//
// - gzip: one member (RFC 1952). A segment is a sequence of deflate blocks that ends at a byte
//   boundary, and the CRCs of all segments combine.
// - zstd: one frame per segment (RFC 8878, section 3.1: frames can be concatenated), or a sequence
//   of blocks per segment in a single frame, which kernels accept.
// - xz: one stream with one block per segment, and an index of the blocks.
//
// The bytes depend only on the segments and on the library version.

import Codec

/// A compressed format of an archive.
public enum SegmentCodec: String, Sendable, CaseIterable {
  /// One gzip member.
  case gzip
  case zstd
  case xz
  /// zstd as one frame without a checksum, for initial ramdisks: the kernel reads only one frame.
  case zstdFrame = "zstd-frame"
  /// zstd with frames of 1 MiB at a low level, for archives inside of bundles.
  case zstdFast = "zstd-fast"

  /// The level of libdeflate.
  public static let deflateLevel: Int32 = 5
  /// The level of libzstd.
  public static let zstdLevel: Int32 = 12
  /// The level of libzstd for archives inside of bundles.
  public static let fastZstdLevel: Int32 = 3
  /// The preset of liblzma.
  public static let xzPreset: UInt32 = 6

  /// The sizes of segments (docs/decisions/0033-cached-segments.md).
  public var sizes: SegmentSizes {
    switch self {
    case .gzip: SegmentSizes(minBytes: 256 << 10, normalBytes: 768 << 10, maxBytes: 1536 << 10)
    case .zstd, .zstdFrame:
      SegmentSizes(minBytes: 512 << 10, normalBytes: 2 << 20, maxBytes: 4 << 20)
    case .zstdFast: SegmentSizes(fixedBytes: 1 << 20)
    case .xz: SegmentSizes(minBytes: 2 << 20, normalBytes: 4 << 20, maxBytes: 8 << 20)
    }
  }

  /// The encoder's part of cache keys: everything besides the plain bytes that determines an encoded segment.
  var encoderName: String {
    switch self {
    case .gzip: "gzip " + SegmentDeflater.fingerprint(level: SegmentCodec.deflateLevel)
    case .zstd: "zstd " + ZstdCompressor.fingerprint(level: SegmentCodec.zstdLevel)
    case .zstdFrame: "zstd " + ZstdSegmentCompressor.fingerprint(level: SegmentCodec.zstdLevel)
    case .zstdFast: "zstd " + ZstdCompressor.fingerprint(level: SegmentCodec.fastZstdLevel)
    case .xz: "xz " + XzBlockCompressor.fingerprint(preset: SegmentCodec.xzPreset)
    }
  }
}

/// An encoded segment, as the cache stores it and streams contain it.
struct EncodedSegment: Sendable {
  /// The size and CRC of the plain bytes, then the payload.
  let bytes: [UInt8]
  let plainBytes: UInt64
  /// The CRC-32 of the plain bytes.
  let crc: UInt32

  private static let factsBytes = 12

  /// The range of the bytes that go into the stream.
  var payloadRange: Range<Int> { EncodedSegment.factsBytes..<bytes.count }

  /// Creates a segment from its payload.
  init(plainBytes: UInt64, crc: UInt32, payload: [UInt8]) {
    var writer = ByteWriter()
    writer.reserve(EncodedSegment.factsBytes + payload.count)
    writer.word64(plainBytes)
    writer.word32(crc)
    writer.raw(payload)
    bytes = writer.bytes
    self.plainBytes = plainBytes
    self.crc = crc
  }

  /// Creates a segment from cached bytes, or returns nil if they cannot belong to a segment of this length.
  init?(cached: [UInt8], plainBytes: Int) {
    let facts = cached.withUnsafeBytes { buffer -> (UInt64, UInt32)? in
      var reader = ByteReader(buffer)
      guard let size = try? reader.word64(), let crc = try? reader.word32() else { return nil }
      return (size, crc)
    }
    guard let facts, facts.0 == UInt64(plainBytes) else { return nil }
    bytes = cached
    (self.plainBytes, crc) = facts
  }
}

/// Encodes segments. Belongs to one thread at a time.
struct SegmentEncoder: ~Copyable {
  private let codec: SegmentCodec
  private var deflater: SegmentDeflater?
  private var zstd: ZstdCompressor?
  private var unzstd: ZstdDecompressor?
  private var xz: XzBlockCompressor?
  private var runs: ZstdSegmentCompressor?

  init(_ codec: SegmentCodec) {
    self.codec = codec
    switch codec {
    case .gzip: deflater = SegmentDeflater(level: SegmentCodec.deflateLevel)
    case .zstd, .zstdFast:
      zstd = ZstdCompressor(
        level: codec == .zstd ? SegmentCodec.zstdLevel : SegmentCodec.fastZstdLevel)
      unzstd = ZstdDecompressor()
    case .xz: xz = XzBlockCompressor(preset: SegmentCodec.xzPreset)
    case .zstdFrame: runs = ZstdSegmentCompressor(level: SegmentCodec.zstdLevel)
    }
  }

  /// Encodes one segment.
  /// - Throws: `CodecError` if the output does not decode to the input.
  mutating func encode(
    _ plain: UnsafeRawBufferPointer, isStored: Bool
  ) throws(CodecError) -> EncodedSegment {
    let payload =
      switch codec {
      case .gzip: isStored ? StoredBlocks.encode(plain) : try deflate(plain)
      case .zstd, .zstdFast: try compressFrame(plain)
      case .xz: try xz?.compress(plain) ?? []
      case .zstdFrame: try runs?.compress(plain) ?? []
      }
    return EncodedSegment(
      plainBytes: UInt64(plain.count), crc: CRC32.of(plain), payload: payload)
  }

  private mutating func deflate(_ plain: UnsafeRawBufferPointer) throws(CodecError) -> [UInt8] {
    try deflater?.deflate(plain) ?? []
  }

  private mutating func compressFrame(
    _ plain: UnsafeRawBufferPointer
  ) throws(CodecError) -> [UInt8] {
    var frame = [UInt8](repeating: 0, count: ZstdCompressor.bound(plain.count))
    let size = try frame.withUnsafeMutableBytes { (target) throws(CodecError) in
      let size = try zstd?.compress(plain, into: target) ?? 0
      try verifyFrame(UnsafeRawBufferPointer(rebasing: target[..<size]), plain)
      return size
    }
    frame.removeSubrange(size...)
    return frame
  }

  private mutating func verifyFrame(
    _ frame: UnsafeRawBufferPointer, _ plain: UnsafeRawBufferPointer
  ) throws(CodecError) {
    let copy = UnsafeMutableRawBufferPointer.allocate(byteCount: plain.count, alignment: 16)
    defer { copy.deallocate() }
    try unzstd?.decompress(frame, into: copy)
    guard plain.elementsEqual(copy) else {
      throw .corrupt("zstd: a frame decodes to other bytes than its source")
    }
  }
}

/// The header and trailer of a stream.
struct StreamEnvelope {
  private let codec: SegmentCodec
  private var crc = CRC32()
  private var plainBytes: UInt64 = 0
  /// The sizes of xz blocks, 16 bytes each.
  private var blocks: [XzBlockSize] = []

  init(_ codec: SegmentCodec) { self.codec = codec }

  /// The bytes before the first segment. gzip's header has no name and no time: magic, deflate, no
  /// flags, 0, no extra flags, Unix.
  var header: [UInt8] {
    switch codec {
    case .gzip: [0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 3]
    case .zstd, .zstdFast: []
    case .xz: XzStream.header
    case .zstdFrame: ZstdSegmentCompressor.header
    }
  }

  /// Adds a segment to the checksums and the index.
  /// - Throws: `CodecError` for a segment of another codec.
  mutating func add(_ segment: EncodedSegment) throws(CodecError) {
    crc.append(segment.crc, countBytes: segment.plainBytes)
    plainBytes &+= segment.plainBytes
    if codec == .xz {
      blocks.append(
        try segment.bytes.withUnsafeBytes { (bytes) throws(CodecError) in
          try XzBlockCompressor.size(
            of: UnsafeRawBufferPointer(rebasing: bytes[segment.payloadRange]),
            plainBytes: segment.plainBytes)
        })
    }
  }

  func trailer() throws(CodecError) -> [UInt8] {
    switch codec {
    case .gzip:
      var writer = ByteWriter()
      writer.raw(SegmentDeflater.end)
      writer.word32(crc.value)
      writer.word32(UInt32(truncatingIfNeeded: plainBytes))
      return writer.bytes
    case .zstd, .zstdFast: return []
    case .xz: return try XzStream.end(of: blocks)
    case .zstdFrame: return ZstdSegmentCompressor.end
    }
  }
}
