// Zstandard frames (RFC 8878) by libzstd. Each thread reuses one context.
//
// Every frame stores its content size. Unless the caller has its own checksums, it also stores libzstd's
// (XXH64, low 32 bits), so that decoding detects damage without another hash of the content.

import CZstd

/// Compresses whole buffers. Belongs to one thread at a time.
public struct ZstdCompressor: ~Copyable {
  private let context: OpaquePointer

  /// Creates a compressor.
  /// - Parameters:
  ///   - level: 1 to 19; negative levels are faster and weaker.
  ///   - hashLog: log2 of the number of entries of the match table; nil for the level's default.
  ///   - hasChecksum: whether frames end with a checksum of their content.
  public init(level: Int32, hashLog: Int32? = nil, hasChecksum: Bool = true) {
    guard let context = ZSTD_createCCtx() else { fatalError("libzstd: out of memory") }
    self.context = context
    ZSTD_CCtx_setParameter(context, ZSTD_c_compressionLevel, level)
    if let hashLog { ZSTD_CCtx_setParameter(context, ZSTD_c_hashLog, hashLog) }
    ZSTD_CCtx_setParameter(context, ZSTD_c_checksumFlag, hasChecksum ? 1 : 0)
  }

  deinit { ZSTD_freeCCtx(context) }

  /// Returns a text that changes whenever the library's output can change.
  public static func fingerprint(level: Int32) -> String {
    "libzstd \(ZSTD_versionNumber()) level \(level)"
  }

  /// Returns the maximum compressed size of `count` bytes.
  public static func bound(_ count: Int) -> Int { ZSTD_compressBound(count) }

  /// Compresses `source` to one frame. `target` must have `bound(source.count)` bytes.
  /// - Returns: the size of the frame in bytes.
  /// - Throws: `CodecError.corrupt` if libzstd fails.
  public func compress(
    _ source: UnsafeRawBufferPointer, into target: UnsafeMutableRawBufferPointer
  ) throws(CodecError) -> Int {
    let n = ZSTD_compress2(
      context, target.baseAddress, target.count, source.baseAddress, source.count)
    if ZSTD_isError(n) != 0 { throw .corrupt("zstd: \(String(cString: ZSTD_getErrorName(n)))") }
    return n
  }

  /// Compresses `source` to one frame if the frame fits into `target`.
  /// - Returns: the size of the frame in bytes; nil if it is larger than `target`.
  /// - Throws: `CodecError.corrupt` if libzstd fails.
  public func compressIfSmaller(
    _ source: UnsafeRawBufferPointer, into target: UnsafeMutableRawBufferPointer
  ) throws(CodecError) -> Int? {
    let n = ZSTD_compress2(
      context, target.baseAddress, target.count, source.baseAddress, source.count)
    guard ZSTD_isError(n) != 0 else { return n }
    if ZSTD_getErrorCode(n) == ZSTD_error_dstSize_tooSmall { return nil }
    throw .corrupt("zstd: \(String(cString: ZSTD_getErrorName(n)))")
  }
}

/// Decompresses whole frames. Belongs to one thread at a time.
public struct ZstdDecompressor: ~Copyable {
  private let context: OpaquePointer

  /// Creates a decompressor.
  public init() {
    guard let context = ZSTD_createDCtx() else { fatalError("libzstd: out of memory") }
    self.context = context
  }

  deinit { ZSTD_freeDCtx(context) }

  /// Decodes one frame that must fill `target` exactly.
  /// - Throws: `CodecError.corrupt`.
  public func decompress(
    _ source: UnsafeRawBufferPointer, into target: UnsafeMutableRawBufferPointer
  ) throws(CodecError) {
    let n = ZSTD_decompressDCtx(
      context, target.baseAddress, target.count, source.baseAddress, source.count)
    if ZSTD_isError(n) != 0 { throw .corrupt("zstd: \(String(cString: ZSTD_getErrorName(n)))") }
    guard n == target.count else {
      throw .corrupt("zstd: \(n) bytes were decoded instead of \(target.count)")
    }
  }
}
