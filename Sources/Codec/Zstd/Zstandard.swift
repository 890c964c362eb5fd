// Zstandard frames (RFC 8878) by libzstd. Each thread reuses one context.
//
// Every frame stores its content size. Unless the caller has its own checksums, it also stores libzstd's
// (XXH64, low 32 bits), so that decoding detects damage without another hash of the content.

import CZstd

/// Compresses whole buffers. Belongs to one thread at a time.
public struct ZstdCompressor: ~Copyable {
  private let context: OpaquePointer
  private let hashLog: Int32?

  /// Creates a compressor.
  /// - Parameters:
  ///   - level: 1 to 19; negative levels are faster and weaker.
  ///   - hashLog: log2 of the number of entries of the match table; nil for the level's default.
  ///   - hasChecksum: whether frames end with a checksum of their content.
  public init(level: Int32, hashLog: Int32? = nil, hasChecksum: Bool = true) {
    guard let context = ZSTD_createCCtx() else { fatalError("libzstd: out of memory") }
    self.context = context
    self.hashLog = hashLog
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

  /// Compresses `source` to one frame that only `ZstdDecompressor.decompress(_:prefix:into:)` with the same
  /// `prefix` decodes. Matches in `prefix` cost a few bytes each (`ZSTD_CCtx_refPrefix`).
  ///
  /// The window covers both buffers, and the match table grows with them: with the table of a small input,
  /// most of a large prefix would not be found.
  /// - Returns: the size of the frame in bytes.
  /// - Throws: `CodecError.corrupt` if libzstd fails.
  public func compress(
    _ source: UnsafeRawBufferPointer, prefix: UnsafeRawBufferPointer,
    into target: UnsafeMutableRawBufferPointer
  ) throws(CodecError) -> Int {
    let windowBytes = prefix.count + source.count
    let windowLog = Int32(max(10, Int.bitWidth - max(windowBytes, 1).leadingZeroBitCount))
    let tableLog = min(max(windowLog - 2, 15), 20)
    for (parameter, value) in [
      (ZSTD_c_windowLog, windowLog), (ZSTD_c_hashLog, tableLog),
      (ZSTD_c_chainLog, min(tableLog + 1, 21)),
    ] {
      ZSTD_CCtx_setParameter(context, parameter, value)
    }
    defer {
      for parameter in [ZSTD_c_windowLog, ZSTD_c_hashLog, ZSTD_c_chainLog] {
        ZSTD_CCtx_setParameter(context, parameter, 0)
      }
      if let hashLog { ZSTD_CCtx_setParameter(context, ZSTD_c_hashLog, hashLog) }
    }
    ZSTD_CCtx_refPrefix(context, prefix.baseAddress, prefix.count)
    return try compress(source, into: target)
  }

  /// Compresses `source` to one frame whose blocks end at the given offsets, and at others: each block can
  /// have statistics of its own. `target` must have `bound(source.count)` bytes and 16 for each offset.
  /// - Parameter blockEnds: ascending offsets; the last one is `source.count`.
  /// - Returns: the size of the frame in bytes.
  /// - Throws: `CodecError.corrupt` if libzstd fails.
  public func compress(
    _ source: UnsafeRawBufferPointer, blockEnds: [Int], into target: UnsafeMutableRawBufferPointer
  ) throws(CodecError) -> Int {
    ZSTD_CCtx_reset(context, ZSTD_reset_session_only)
    defer { ZSTD_CCtx_reset(context, ZSTD_reset_session_only) }
    ZSTD_CCtx_setPledgedSrcSize(context, UInt64(source.count))
    var output = ZSTD_outBuffer(dst: target.baseAddress, size: target.count, pos: 0)
    var input = ZSTD_inBuffer(src: source.baseAddress, size: 0, pos: 0)
    for end in blockEnds {
      input.size = end
      let directive = end == source.count ? ZSTD_e_end : ZSTD_e_flush
      let rest = ZSTD_compressStream2(context, &output, &input, directive)
      if ZSTD_isError(rest) != 0 {
        throw .corrupt("zstd: \(String(cString: ZSTD_getErrorName(rest)))")
      }
      guard rest == 0, input.pos == end else { throw .corrupt("zstd: the frame is too large") }
    }
    return output.pos
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
    let n = try decompress(source, intoStartOf: target).count
    guard n == target.count else {
      throw .corrupt("zstd: \(n) bytes were decoded instead of \(target.count)")
    }
  }

  /// Decodes one frame of at most the length of `target` into its beginning.
  /// - Returns: the part of `target` that the content fills.
  /// - Throws: `CodecError.corrupt`.
  public func decompress(
    _ source: UnsafeRawBufferPointer, intoStartOf target: UnsafeMutableRawBufferPointer
  ) throws(CodecError) -> UnsafeRawBufferPointer {
    let n = ZSTD_decompressDCtx(
      context, target.baseAddress, target.count, source.baseAddress, source.count)
    if ZSTD_isError(n) != 0 { throw .corrupt("zstd: \(String(cString: ZSTD_getErrorName(n)))") }
    return UnsafeRawBufferPointer(rebasing: target[..<n])
  }

  /// Decodes one frame that was compressed with `prefix`. It must fill `target` exactly.
  /// - Throws: `CodecError.corrupt`, also for another prefix: the frame's checksum covers the content.
  public func decompress(
    _ source: UnsafeRawBufferPointer, prefix: UnsafeRawBufferPointer,
    into target: UnsafeMutableRawBufferPointer
  ) throws(CodecError) {
    ZSTD_DCtx_refPrefix(context, prefix.baseAddress, prefix.count)
    // An error before the first block would leave the prefix for the next frame.
    defer { ZSTD_DCtx_reset(context, ZSTD_reset_session_only) }
    try decompress(source, into: target)
  }
}
