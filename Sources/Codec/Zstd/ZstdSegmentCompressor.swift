// Runs of zstd blocks that may follow each other in one frame (RFC 8878, section 3.1.1), each made by
// itself: what the kernel needs, which takes a single frame for an initial ramdisk and no more.
//
// A block may lean on those before it in three ways: matches, the offsets used last, and entropy
// tables. libzstd's own threads make the pieces of one frame beside each other and so must not lean:
// a piece behind the first begins without tables and with offsets that nothing refers to. Such a
// piece is what is made here, behind a first piece that is thrown away.
//
// A libzstd without threads (Debian's static one) is asked for a piece directly (CZstdExperimental).
//
// 1. A run counts only after it was decoded behind blocks that leave other offsets and tables than a
//    frame begins with, and gave the plain bytes.
// 2. A frame of runs has no checksum: XXH64 cannot be put together from pieces.

import CZstd
import CZstdExperimental

/// Compresses runs. Belongs to one thread at a time.
public final class ZstdSegmentCompressor {
  /// log2 of the window, and of the most bytes that a run may have.
  public static let windowLog: Int32 = 23

  /// Begins a frame of runs: magic, no checksum and no content size, the window.
  public static let header: [UInt8] = [0x28, 0xb5, 0x2f, 0xfd, 0x00, UInt8((windowLog - 10) << 3)]
  /// Ends it: a last block, raw and empty.
  public static let end: [UInt8] = [0x01, 0x00, 0x00]

  private let context: OpaquePointer
  private let decoder: OpaquePointer
  private let isSupported: Bool
  /// Blocks that a run is proved behind, and what they decode to.
  private var prelude: (run: [UInt8], plain: [UInt8])?

  /// What of the library decides on the bytes.
  public static func fingerprint(level: Int32) -> String {
    "libzstd \(ZSTD_versionNumber()) level \(level) \(hasThreads ? "runs" : "pieces") of window "
      + "\(windowLog)"
  }

  private static let hasThreads = ZSTD_cParam_getBounds(ZSTD_c_nbWorkers).upperBound > 0
  private let level: Int32

  public init(level: Int32) {
    self.level = level
    guard let context = ZSTD_createCCtx(), let decoder = ZSTD_createDCtx() else {
      fatalError("libzstd: out of memory")
    }
    self.context = context
    self.decoder = decoder
    let settings: [(ZSTD_cParameter, Int32)] = [
      (ZSTD_c_compressionLevel, level), (ZSTD_c_windowLog, Self.windowLog),
      (ZSTD_c_checksumFlag, 0), (ZSTD_c_contentSizeFlag, 0),
      // Pieces of up to 8 MiB that know nothing of each other.
      (ZSTD_c_nbWorkers, 1), (ZSTD_c_jobSize, 1 << Self.windowLog), (ZSTD_c_overlapLog, 1),
    ]
    guard Self.hasThreads else {
      isSupported = czstd_can_begin_pieces() != 0
      return
    }
    isSupported = settings.allSatisfy {
      ZSTD_isError(ZSTD_CCtx_setParameter(context, $0.0, $0.1)) == 0
    }
  }

  deinit {
    ZSTD_freeCCtx(context)
    ZSTD_freeDCtx(decoder)
  }

  /// The blocks of `plain`, at most 8 MiB.
  public func compress(_ plain: UnsafeRawBufferPointer) throws(CodecError) -> [UInt8] {
    guard isSupported else {
      throw .corrupt("zstd: this libzstd is built without threads, which such frames need")
    }
    guard plain.count <= 1 << Self.windowLog else {
      throw .overLimit("zstd: a run of \(plain.count) bytes")
    }
    if plain.isEmpty { return [] }
    if prelude == nil {
      let plain = ZstdSegmentCompressor.preludeBytes
      var made: [UInt8] = []
      var failure: CodecError?
      plain.withUnsafeBytes { bytes in
        do throws(CodecError) { made = try run(bytes) } catch { failure = error }
      }
      if let failure { throw failure }
      prelude = (made, plain)
    }
    let made = try run(plain)
    try verify(made, plain)
    return made
  }

  /// Noise, and pieces of it again at distances that no frame begins with.
  private static let preludeBytes: [UInt8] = {
    var state: UInt32 = 20_261_123
    var bytes: [UInt8] = (0..<3000).map { _ in
      state = state &* 1_664_525 &+ 1_013_904_223
      return UInt8(truncatingIfNeeded: state >> 24) & 0x3f
    }
    for distance in [2000, 1300, 700, 1900, 1100] {
      bytes += bytes[(bytes.count - distance)...].prefix(90)
    }
    return bytes
  }()

  private func run(_ plain: UnsafeRawBufferPointer) throws(CodecError) -> [UInt8] {
    try Self.hasThreads ? secondPiece(plain) : piece(plain)
  }

  private func piece(_ plain: UnsafeRawBufferPointer) throws(CodecError) -> [UInt8] {
    var blocks = [UInt8](repeating: 0, count: ZSTD_compressBound(plain.count) + 1024)
    let count = blocks.withUnsafeMutableBytes {
      czstd_piece(
        UnsafeMutableRawPointer(context), level, Self.windowLog, $0.baseAddress, $0.count,
        plain.baseAddress, plain.count)
    }
    if ZSTD_isError(count) != 0 {
      throw .corrupt("zstd: \(String(cString: ZSTD_getErrorName(count)))")
    }
    return Array(blocks[..<count])
  }

  /// Of a frame whose pieces libzstd's threads make.
  private func secondPiece(_ plain: UnsafeRawBufferPointer) throws(CodecError) -> [UInt8] {
    ZSTD_CCtx_reset(context, ZSTD_reset_session_only)
    // The first piece: it takes the frame's header, and what only a first piece may do.
    let first: [UInt8] = [0]
    var blocks = [UInt8](repeating: 0, count: ZSTD_compressBound(plain.count) + 1024)
    var start = 0
    var end = 0
    let result = blocks.withUnsafeMutableBytes { target -> Int in
      var output = ZSTD_outBuffer(dst: target.baseAddress, size: target.count, pos: 0)
      let status = first.withUnsafeBytes { flush($0, &output) }
      if ZSTD_isError(status) != 0 { return status }
      start = output.pos
      let last = flush(plain, &output)
      end = output.pos
      return last
    }
    // The frame is never ended.
    ZSTD_CCtx_reset(context, ZSTD_reset_session_only)
    if ZSTD_isError(result) != 0 {
      throw .corrupt("zstd: \(String(cString: ZSTD_getErrorName(result)))")
    }
    return Array(blocks[start..<end])
  }

  /// Compresses all of `source` as a piece of its own.
  private func flush(_ source: UnsafeRawBufferPointer, _ output: inout ZSTD_outBuffer) -> Int {
    var input = ZSTD_inBuffer(src: source.baseAddress, size: source.count, pos: 0)
    while true {
      let left = ZSTD_compressStream2(context, &output, &input, ZSTD_e_flush)
      if left == 0 && input.pos == input.size || ZSTD_isError(left) != 0 { return left }
    }
  }

  private func verify(_ run: [UInt8], _ plain: UnsafeRawBufferPointer) throws(CodecError) {
    guard let prelude else { return }
    let frame = Self.header + prelude.run + run + Self.end
    let count = prelude.plain.count + plain.count
    let copy = UnsafeMutableRawBufferPointer.allocate(byteCount: count, alignment: 64)
    defer { copy.deallocate() }
    let made = frame.withUnsafeBytes {
      ZSTD_decompressDCtx(decoder, copy.baseAddress, copy.count, $0.baseAddress, $0.count)
    }
    guard ZSTD_isError(made) == 0, made == count, copy.starts(with: prelude.plain),
      plain.elementsEqual(UnsafeRawBufferPointer(rebasing: copy[prelude.plain.count...]))
    else { throw .corrupt("zstd: a run decodes to other bytes than went in") }
  }
}
