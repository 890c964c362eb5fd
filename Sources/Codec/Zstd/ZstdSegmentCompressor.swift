// Independently compressed segments of one zstd frame (RFC 8878, section 3.1.1). The kernel accepts
// only a single frame as an initial ramdisk.
//
// A block can depend on earlier blocks in three ways: matches, recent offsets and entropy tables.
// libzstd's own threads compress the jobs of a frame concurrently, so their output must not depend
// on each other. A job after the first starts without tables and never refers to earlier offsets. A
// segment is such a job, compressed after a first job whose output is discarded.
//
// A libzstd without threads (Debian's static library) compresses a segment directly (CZstdExperimental).
//
// 1. A segment is used only after it was decoded and compared. It is decoded after blocks that
//    leave other offsets and tables than the start of a frame does.
// 2. A frame of segments has no checksum: XXH64 values of parts cannot be combined.

import CZstd
import CZstdExperimental

/// Compresses segments. Belongs to one thread at a time.
public final class ZstdSegmentCompressor {
  /// log2 of the window size, and of the maximum size of a segment in bytes.
  public static let windowLog: Int32 = 23

  /// The frame header: magic number, no checksum, no content size, the window size.
  public static let header: [UInt8] = [0x28, 0xb5, 0x2f, 0xfd, 0x00, UInt8((windowLog - 10) << 3)]
  /// The end of a frame: a last block, raw and empty.
  public static let end: [UInt8] = [0x01, 0x00, 0x00]

  private let context: OpaquePointer
  private let decoder: OpaquePointer
  private let isSupported: Bool
  /// Blocks that precede a segment when it is verified, and their plain bytes.
  private var prelude: (blocks: [UInt8], plain: [UInt8])?

  /// Returns a text that changes whenever the library's output can change.
  public static func fingerprint(level: Int32) -> String {
    "libzstd \(ZSTD_versionNumber()) level \(level) \(hasThreads ? "runs" : "pieces") of window "
      + "\(windowLog)"
  }

  private static let hasThreads = ZSTD_cParam_getBounds(ZSTD_c_nbWorkers).upperBound > 0
  private let level: Int32

  /// Creates a compressor.
  /// - Parameter level: a level of libzstd.
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
      // Independent jobs of up to 8 MiB.
      (ZSTD_c_nbWorkers, 1), (ZSTD_c_jobSize, 1 << Self.windowLog), (ZSTD_c_overlapLog, 1),
    ]
    guard Self.hasThreads else {
      isSupported = czstd_can_begin_segments() != 0
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

  /// Returns the blocks of `plain`, which must not exceed 8 MiB.
  /// - Throws: `CodecError.corrupt` if libzstd fails, has no support, or its output does not decode
  ///   to `plain`; `CodecError.overLimit`.
  public func compress(_ plain: UnsafeRawBufferPointer) throws(CodecError) -> [UInt8] {
    guard isSupported else {
      throw .corrupt("zstd: this libzstd is built without threads, which such frames need")
    }
    guard plain.count <= 1 << Self.windowLog else {
      throw .overLimit("zstd: a segment of \(plain.count) bytes")
    }
    if plain.isEmpty { return [] }
    if prelude == nil {
      let plain = ZstdSegmentCompressor.preludeBytes
      let blocks = try plain.withUnsafeBufferPointer { (bytes) throws(CodecError) in
        try compressUnverified(UnsafeRawBufferPointer(bytes))
      }
      prelude = (blocks, plain)
    }
    let segment = try compressUnverified(plain)
    try verify(segment, plain)
    return segment
  }

  /// Noise, and parts of it repeated at distances that no frame starts with.
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

  private func compressUnverified(_ plain: UnsafeRawBufferPointer) throws(CodecError) -> [UInt8] {
    try Self.hasThreads ? compressAsSecondJob(plain) : compressDirectly(plain)
  }

  private func compressDirectly(_ plain: UnsafeRawBufferPointer) throws(CodecError) -> [UInt8] {
    var blocks = [UInt8](repeating: 0, count: ZSTD_compressBound(plain.count) + 1024)
    let count = blocks.withUnsafeMutableBytes {
      czstd_segment(
        UnsafeMutableRawPointer(context), level, Self.windowLog, $0.baseAddress, $0.count,
        plain.baseAddress, plain.count)
    }
    if ZSTD_isError(count) != 0 {
      throw .corrupt("zstd: \(String(cString: ZSTD_getErrorName(count)))")
    }
    return Array(blocks[..<count])
  }

  /// Compresses `plain` as the second job of a frame that libzstd's threads compress.
  private func compressAsSecondJob(_ plain: UnsafeRawBufferPointer) throws(CodecError) -> [UInt8] {
    ZSTD_CCtx_reset(context, ZSTD_reset_session_only)
    // The first job takes the frame header and everything that only a first job may do.
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
    // The frame is abandoned.
    ZSTD_CCtx_reset(context, ZSTD_reset_session_only)
    if ZSTD_isError(result) != 0 {
      throw .corrupt("zstd: \(String(cString: ZSTD_getErrorName(result)))")
    }
    return Array(blocks[start..<end])
  }

  /// Compresses `source` as one job.
  private func flush(_ source: UnsafeRawBufferPointer, _ output: inout ZSTD_outBuffer) -> Int {
    var input = ZSTD_inBuffer(src: source.baseAddress, size: source.count, pos: 0)
    while true {
      let left = ZSTD_compressStream2(context, &output, &input, ZSTD_e_flush)
      if left == 0 && input.pos == input.size || ZSTD_isError(left) != 0 { return left }
    }
  }

  private func verify(_ segment: [UInt8], _ plain: UnsafeRawBufferPointer) throws(CodecError) {
    guard let prelude else { return }
    let frame = Self.header + prelude.blocks + segment + Self.end
    let count = prelude.plain.count + plain.count
    let copy = UnsafeMutableRawBufferPointer.allocate(byteCount: count, alignment: 64)
    defer { copy.deallocate() }
    let decodedBytes = frame.withUnsafeBytes {
      ZSTD_decompressDCtx(decoder, copy.baseAddress, copy.count, $0.baseAddress, $0.count)
    }
    guard ZSTD_isError(decodedBytes) == 0, decodedBytes == count, copy.starts(with: prelude.plain),
      plain.elementsEqual(UnsafeRawBufferPointer(rebasing: copy[prelude.plain.count...]))
    else { throw .corrupt("zstd: a segment decodes to other bytes than its source") }
  }
}
