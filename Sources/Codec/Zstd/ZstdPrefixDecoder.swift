// Decodes the beginning of a Zstandard frame (RFC 8878) up to a requested size.
//
// The caller feeds the frame in parts, and its content is decoded directly into the final buffer. libzstd is
// configured for a stable output buffer (ZSTD_d_stableOutBuffer), so it keeps no window and copies nothing.

import CZstd
import CZstdExperimental

/// Decodes the beginnings of frames, one after another. Belongs to one thread at a time.
public final class ZstdPrefixDecoder {
  private let context: OpaquePointer
  private var decodedBytes = 0

  /// Creates a decoder.
  public init() {
    guard let context = ZSTD_createDCtx() else { fatalError("libzstd: out of memory") }
    self.context = context
    czstd_decode_in_place(UnsafeMutableRawPointer(context))
  }

  deinit { ZSTD_freeDCtx(context) }

  /// Discards the current frame; the next part starts another.
  /// - Parameter base: the bytes that the frame was compressed with
  ///   (`ZstdCompressor.compress(_:prefix:into:)`), which must stay valid until the next `reset`; empty for
  ///   none.
  public func reset(base: UnsafeRawBufferPointer = UnsafeRawBufferPointer(start: nil, count: 0)) {
    ZSTD_DCtx_reset(context, ZSTD_reset_session_only)
    ZSTD_DCtx_refPrefix(context, base.baseAddress, base.count)
    decodedBytes = 0
  }

  /// Decodes the next bytes of the frame and appends their content to the decoded content.
  ///
  /// No checksum covers the result.
  /// - Parameters:
  ///   - source: the next bytes of the frame.
  ///   - target: a buffer with capacity for the whole content of the frame; the same in each call.
  /// - Returns: the total number of decoded bytes in `target`.
  /// - Throws: `CodecError.corrupt`; `CodecError.truncated` if the frame has ended. Call `reset`
  ///   after an error.
  public func decode(
    _ source: UnsafeRawBufferPointer, into target: UnsafeMutableRawBufferPointer
  ) throws(CodecError) -> Int {
    var input = ZSTD_inBuffer(src: source.baseAddress, size: source.count, pos: 0)
    var output = ZSTD_outBuffer(dst: target.baseAddress, size: target.count, pos: decodedBytes)
    while input.pos < input.size {
      let before = (input.pos, output.pos)
      let n = ZSTD_decompressStream(context, &output, &input)
      if ZSTD_isError(n) != 0 { throw .corrupt("zstd: \(String(cString: ZSTD_getErrorName(n)))") }
      if n == 0 || before == (input.pos, output.pos) { break }
    }
    guard output.pos > decodedBytes || input.pos == input.size else { throw .truncated }
    decodedBytes = output.pos
    return output.pos
  }
}
