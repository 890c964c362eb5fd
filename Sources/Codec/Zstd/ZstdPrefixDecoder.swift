// The beginning of a Zstandard frame (RFC 8878), decoded as far as is asked and no further.
//
// The frame is fed in pieces, and its content made where it is to stay: libzstd is told that the place
// stays the same (ZSTD_d_stableOutBuffer), and so has no window of its own to copy from.

import CZstd
import CZstdExperimental

/// Decodes beginnings of frames, one after another. Belongs to one thread at a time.
public final class ZstdPrefixDecoder {
  private let context: OpaquePointer
  private var decodedBytes = 0

  public init() {
    guard let context = ZSTD_createDCtx() else { fatalError("libzstd: out of memory") }
    self.context = context
    czstd_decode_in_place(UnsafeMutableRawPointer(context))
  }

  deinit { ZSTD_freeDCtx(context) }

  /// Forgets the frame so far; the next piece begins another.
  public func reset() {
    ZSTD_DCtx_reset(context, ZSTD_reset_session_only)
    decodedBytes = 0
  }

  /// Decodes the frame's next bytes, `piece`, behind what is decoded already. No checksum vouches for it.
  ///
  /// - Parameter target: where the frame's content goes, with room for all of it; the same in each call.
  /// - Returns: how many bytes of `target` are decoded now.
  /// - Throws: `truncated`, `corrupt` where there is no more of the frame; after that, `reset` comes first.
  public func decode(
    _ piece: UnsafeRawBufferPointer, into target: UnsafeMutableRawBufferPointer
  ) throws(CodecError) -> Int {
    var input = ZSTD_inBuffer(src: piece.baseAddress, size: piece.count, pos: 0)
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
