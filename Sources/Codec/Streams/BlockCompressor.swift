// Compression of single blocks of at most a few megabytes, each independent of the others. Squashfs
// images consist of such blocks.
//
// 1. A block that compression does not shrink stays uncompressed: `compress` returns nil.
// 2. Equal bytes, codec and library version give equal blocks, whatever was compressed before.
// 3. A compressed block is decoded and compared with its source before it is returned.
// 4. A compressor belongs to one thread and keeps its memory, so that no block pays for the set-up again.

import CDeflate
import CLzma
import CZstd
import Glibc

/// A format of compressed blocks, with its level.
public enum BlockCodec: Hashable, Sendable {
  /// zlib streams (RFC 1950) by libdeflate; level 1 to 12.
  case zlib(level: Int32)
  /// xz streams of one block, LZMA2, CRC-32; preset 0 to 9.
  case xz(preset: UInt32)
  /// Zstandard frames (RFC 8878) without a checksum; level 1 to 22.
  case zstd(level: Int32)

  /// Whether the library supports the level.
  public var isValid: Bool {
    switch self {
    case .zlib(let level): (1...12).contains(level)
    case .xz(let preset): preset <= 9
    case .zstd(let level): (1...22).contains(level)
    }
  }

  /// The codec, its level and the library version. Compressors with equal fingerprints produce equal blocks.
  public var fingerprint: String {
    switch self {
    case .zlib(let level): "zlib \(level) libdeflate \(LIBDEFLATE_VERSION_STRING)"
    case .xz(let preset): "xz \(preset) liblzma \(lzma_version_number())"
    case .zstd(let level): "zstd \(level) libzstd \(ZSTD_versionNumber())"
    }
  }
}

/// Compresses and decompresses blocks. Belongs to one thread at a time.
public final class BlockCompressor {
  private let engine: any BlockEngine
  private let check: UnsafeMutableRawBufferPointer

  /// Creates a compressor.
  /// - Parameters:
  ///   - codec: a codec for which `isValid` holds.
  ///   - maxBytes: the maximum size of a block in bytes; also the dictionary size of xz, at least 4 KiB.
  public init(_ codec: BlockCodec, maxBytes: Int) {
    precondition(codec.isValid, "\(codec) is not a valid codec")
    check = .allocate(byteCount: max(maxBytes, 1), alignment: 64)
    switch codec {
    case .zlib(let level): engine = DeflateEngine(level)
    case .xz(let preset): engine = XZEngine(preset, dictionaryBytes: maxBytes)
    case .zstd(let level): engine = ZstdEngine(level)
    }
  }

  deinit { check.deallocate() }

  /// Compresses `source`, of at most `maxBytes`, into the front of `target`.
  /// - Returns: the number of bytes written; nil if it would not be less than that of `source`, or
  ///   if `target` is too small.
  /// - Throws: `CodecError.corrupt` if the library fails or its output does not decode to `source`.
  public func compress(
    _ source: UnsafeRawBufferPointer, into target: UnsafeMutableRawBufferPointer
  ) throws(CodecError) -> Int? {
    precondition(source.count <= check.count, "the block exceeds maxBytes")
    let capacity = min(target.count, source.count - 1)
    guard capacity > 0, let from = source.baseAddress, let base = check.baseAddress,
      let count = try engine.compress(
        source, into: UnsafeMutableRawBufferPointer(rebasing: target[..<capacity]))
    else { return nil }
    try engine.decompress(
      UnsafeRawBufferPointer(rebasing: target[..<count]),
      into: UnsafeMutableRawBufferPointer(rebasing: check[..<source.count]))
    guard memcmp(from, base, source.count) == 0 else {
      throw .corrupt("the block decodes to other bytes than its source")
    }
    return count
  }

  /// Decompresses one block, which must fill `target` exactly.
  /// - Throws: `CodecError.corrupt`.
  public func decompress(
    _ source: UnsafeRawBufferPointer, into target: UnsafeMutableRawBufferPointer
  ) throws(CodecError) {
    try engine.decompress(source, into: target)
  }
}

/// Returns whether all bytes are zero. This is true of no bytes.
public func areZero(_ bytes: UnsafeRawBufferPointer) -> Bool {
  guard let base = bytes.baseAddress, bytes.count > 0 else { return true }
  // The first byte is zero, and each byte equals the one before.
  return bytes[0] == 0 && memcmp(base, base + 1, bytes.count - 1) == 0
}

private protocol BlockEngine: AnyObject {
  func compress(
    _ source: UnsafeRawBufferPointer, into target: UnsafeMutableRawBufferPointer
  ) throws(CodecError) -> Int?
  func decompress(
    _ source: UnsafeRawBufferPointer, into target: UnsafeMutableRawBufferPointer
  ) throws(CodecError)
}

private final class DeflateEngine: BlockEngine {
  private let compressor: OpaquePointer
  private let decompressor: OpaquePointer

  init(_ level: Int32) {
    guard let compressor = libdeflate_alloc_compressor(level),
      let decompressor = libdeflate_alloc_decompressor()
    else { fatalError("libdeflate: out of memory") }
    self.compressor = compressor
    self.decompressor = decompressor
  }

  deinit {
    libdeflate_free_compressor(compressor)
    libdeflate_free_decompressor(decompressor)
  }

  func compress(
    _ source: UnsafeRawBufferPointer, into target: UnsafeMutableRawBufferPointer
  ) throws(CodecError) -> Int? {
    let n = libdeflate_zlib_compress(
      compressor, source.baseAddress, source.count, target.baseAddress, target.count)
    return n == 0 ? nil : n
  }

  func decompress(
    _ source: UnsafeRawBufferPointer, into target: UnsafeMutableRawBufferPointer
  ) throws(CodecError) {
    let result = libdeflate_zlib_decompress(
      decompressor, source.baseAddress, source.count, target.baseAddress, target.count, nil)
    guard result == LIBDEFLATE_SUCCESS else {
      throw .corrupt("zlib: the block does not decode to \(target.count) bytes")
    }
  }
}

private final class ZstdEngine: BlockEngine {
  private let compressor: ZstdCompressor
  private let decompressor = ZstdDecompressor()

  init(_ level: Int32) { compressor = ZstdCompressor(level: level, hasChecksum: false) }

  func compress(
    _ source: UnsafeRawBufferPointer, into target: UnsafeMutableRawBufferPointer
  ) throws(CodecError) -> Int? {
    try compressor.compressIfSmaller(source, into: target)
  }

  func decompress(
    _ source: UnsafeRawBufferPointer, into target: UnsafeMutableRawBufferPointer
  ) throws(CodecError) {
    try decompressor.decompress(source, into: target)
  }
}

private final class XZEngine: BlockEngine {
  private let encoder: UnsafeMutablePointer<lzma_stream>
  private let options: UnsafeMutablePointer<lzma_options_lzma>
  private let filters: UnsafeMutablePointer<lzma_filter>
  /// Decoding a block needs the dictionary and a few hundred KiB.
  private let memoryLimit: UInt64

  init(_ preset: UInt32, dictionaryBytes: Int) {
    encoder = .allocate(capacity: 1)
    encoder.initialize(to: lzma_stream())
    options = .allocate(capacity: 1)
    options.initialize(to: lzma_options_lzma())
    guard lzma_lzma_preset(options, preset) == 0 else {
      fatalError("liblzma has no preset \(preset)")
    }
    options.pointee.dict_size = UInt32(clamping: max(dictionaryBytes, 4096))
    filters = .allocate(capacity: 2)
    filters[0] = lzma_filter(id: 0x21, options: options)  // LZMA2
    filters[1] = lzma_filter(id: UInt64.max, options: nil)  // the end of the chain
    memoryLimit = UInt64(options.pointee.dict_size) + (4 << 20)
  }

  deinit {
    lzma_end(encoder)
    encoder.deallocate()
    options.deallocate()
    filters.deallocate()
  }

  func compress(
    _ source: UnsafeRawBufferPointer, into target: UnsafeMutableRawBufferPointer
  ) throws(CodecError) -> Int? {
    // Reinitializing the same stream keeps its tables.
    let started = lzma_stream_encoder(encoder, filters, LZMA_CHECK_CRC32)
    guard started == LZMA_OK else { throw .corrupt("xz: liblzma returned \(started.rawValue)") }
    encoder.pointee.next_in = source.baseAddress?.assumingMemoryBound(to: UInt8.self)
    encoder.pointee.avail_in = source.count
    encoder.pointee.next_out = target.baseAddress?.assumingMemoryBound(to: UInt8.self)
    encoder.pointee.avail_out = target.count
    while true {
      let result = lzma_code(encoder, LZMA_FINISH)
      if result == LZMA_STREAM_END { return target.count - encoder.pointee.avail_out }
      if result == LZMA_OK, encoder.pointee.avail_out > 0 { continue }
      if result == LZMA_OK || result == LZMA_BUF_ERROR { return nil }
      throw .corrupt("xz: liblzma returned \(result.rawValue)")
    }
  }

  func decompress(
    _ source: UnsafeRawBufferPointer, into target: UnsafeMutableRawBufferPointer
  ) throws(CodecError) {
    var limit = memoryLimit
    var consumed = 0
    var produced = 0
    let result = lzma_stream_buffer_decode(
      &limit, 0, nil, source.baseAddress?.assumingMemoryBound(to: UInt8.self), &consumed,
      source.count, target.baseAddress?.assumingMemoryBound(to: UInt8.self), &produced, target.count
    )
    guard result == LZMA_OK, produced == target.count, consumed == source.count else {
      throw .corrupt("xz: the block does not decode to \(target.count) bytes")
    }
  }
}
