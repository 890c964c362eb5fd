// Streams of zstd frames (RFC 8878) of unknown size, as the zstd tool writes them.

import CZstd

/// Decompresses concatenated frames, as the zstd tool does. Skippable frames are skipped, and other
/// bytes after a frame are an error.
public final class ZstdStreamDecoder: StreamDecoder {
  private let context: OpaquePointer
  /// Whether the input may end here: no frame is incomplete.
  public private(set) var mayEnd = false

  /// Creates a decoder.
  /// - Parameter memoryLimitBytes: the maximum size of a window.
  public init(memoryLimitBytes: Int = decoderMemoryLimitBytes) {
    guard let context = ZSTD_createDCtx() else { fatalError("libzstd: out of memory") }
    self.context = context
    ZSTD_DCtx_setParameter(
      context, ZSTD_d_windowLogMax,
      Int32(Int.bitWidth - 1 - memoryLimitBytes.leadingZeroBitCount))
  }

  deinit { ZSTD_freeDCtx(context) }

  /// Decodes as much of `source` as fills `target`. See `StreamDecoder.decode`.
  public func decode(
    _ source: UnsafeRawBufferPointer, into target: UnsafeMutableRawBufferPointer, isLast: Bool
  ) throws(CodecError) -> (consumed: Int, produced: Int) {
    if source.isEmpty, mayEnd { return (0, 0) }
    var input = ZSTD_inBuffer(src: source.baseAddress, size: source.count, pos: 0)
    var output = ZSTD_outBuffer(dst: target.baseAddress, size: target.count, pos: 0)
    let left = ZSTD_decompressStream(context, &output, &input)
    if ZSTD_isError(left) != 0 {
      throw .corrupt("zstd: \(String(cString: ZSTD_getErrorName(left)))")
    }
    // 0: a frame is complete and all of its content was returned.
    mayEnd = left == 0
    return (input.pos, output.pos)
  }
}
