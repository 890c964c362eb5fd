// Streams of zstd frames (RFC 8878) of unknown size, as the tool zstd writes them.

import CZstd

/// Decompresses frames, one after another as zstd itself does; skippable frames are skipped, and
/// anything else behind a frame is an error.
public final class ZstdStreamDecoder: StreamDecoder {
  private let context: OpaquePointer
  public private(set) var mayEnd = false

  public init(memoryLimitBytes: Int = decoderMemoryLimitBytes) {
    guard let context = ZSTD_createDCtx() else { fatalError("libzstd: out of memory") }
    self.context = context
    ZSTD_DCtx_setParameter(
      context, ZSTD_d_windowLogMax,
      Int32(Int.bitWidth - 1 - memoryLimitBytes.leadingZeroBitCount))
  }

  deinit { ZSTD_freeDCtx(context) }

  public func decode(
    _ source: UnsafeRawBufferPointer, into target: UnsafeMutableRawBufferPointer, isLast: Bool
  ) throws(CodecError) -> (taken: Int, made: Int) {
    if source.isEmpty, mayEnd { return (0, 0) }
    var input = ZSTD_inBuffer(src: source.baseAddress, size: source.count, pos: 0)
    var output = ZSTD_outBuffer(dst: target.baseAddress, size: target.count, pos: 0)
    let left = ZSTD_decompressStream(context, &output, &input)
    if ZSTD_isError(left) != 0 {
      throw .corrupt("zstd: \(String(cString: ZSTD_getErrorName(left)))")
    }
    // 0: a frame is complete and all of it was handed out.
    mayEnd = left == 0
    return (input.pos, output.pos)
  }
}
