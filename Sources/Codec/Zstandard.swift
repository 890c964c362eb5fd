// Zstandard frames (RFC 8878) by libzstd: one context a thread, reused.
//
// Every frame carries its content size and libzstd's own checksum (XXH64, low 32 bits), so that
// decoding notices damage without hashing the content again.

import CZstd

/// Compresses whole buffers. Belongs to one thread at a time.
public struct ZstdCompressor: ~Copyable {
  private let context: OpaquePointer

  /// - Parameters:
  ///   - level: 1 ... 19; negative levels are faster and weaker.
  ///   - hashLog: log2 of the match table's entries; nil for the level's own.
  public init(level: Int32, hashLog: Int32? = nil) {
    guard let context = ZSTD_createCCtx() else { fatalError("libzstd: out of memory") }
    self.context = context
    ZSTD_CCtx_setParameter(context, ZSTD_c_compressionLevel, level)
    if let hashLog { ZSTD_CCtx_setParameter(context, ZSTD_c_hashLog, hashLog) }
    ZSTD_CCtx_setParameter(context, ZSTD_c_checksumFlag, 1)
  }

  deinit { ZSTD_freeCCtx(context) }

  /// What of the library decides on the bytes.
  public static func fingerprint(level: Int32) -> String {
    "libzstd \(ZSTD_versionNumber()) level \(level)"
  }

  /// The largest size that `count` bytes can compress to.
  public static func bound(_ count: Int) -> Int { ZSTD_compressBound(count) }

  /// Compresses `source` to one frame; `target` must have `bound(source.count)` bytes.
  /// - Returns: the frame's size in bytes.
  public func compress(
    _ source: UnsafeRawBufferPointer, into target: UnsafeMutableRawBufferPointer
  ) throws(CodecError) -> Int {
    let n = ZSTD_compress2(
      context, target.baseAddress, target.count, source.baseAddress, source.count)
    if ZSTD_isError(n) != 0 { throw .corrupt("zstd: \(String(cString: ZSTD_getErrorName(n)))") }
    return n
  }
}

/// Decompresses whole frames. Belongs to one thread at a time.
public struct ZstdDecompressor: ~Copyable {
  private let context: OpaquePointer

  public init() {
    guard let context = ZSTD_createDCtx() else { fatalError("libzstd: out of memory") }
    self.context = context
  }

  deinit { ZSTD_freeDCtx(context) }

  /// Decodes one frame that must fill `target` exactly.
  public func decompress(
    _ source: UnsafeRawBufferPointer, into target: UnsafeMutableRawBufferPointer
  ) throws(CodecError) {
    let n = ZSTD_decompressDCtx(
      context, target.baseAddress, target.count, source.baseAddress, source.count)
    if ZSTD_isError(n) != 0 { throw .corrupt("zstd: \(String(cString: ZSTD_getErrorName(n)))") }
    guard n == target.count else {
      throw .corrupt("zstd: \(n) bytes came out where \(target.count) were announced")
    }
  }
}
