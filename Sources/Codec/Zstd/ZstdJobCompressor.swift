// Repeats the output of the zstd tool, which compresses jobs: parts of a frame that depend on the end of the
// previous part only. The tool works so with any number of threads, also with one, unless it is called with
// --single-thread (zstdmt_compress.c; docs/decisions/0080-zstd-jobs.md).
//
// 1. The output depends on the version of libzstd. The caller compares it with the original or verifies a
//    checksum.
// 2. A libzstd without threads compresses a job directly (CZstdExperimental). Both ways give the same bytes.

import CZstd
import CZstdExperimental

/// Compresses jobs of frames. Belongs to one thread at a time.
public final class ZstdJobCompressor {
  /// The levels whose jobs are not larger than `maxJobBytes`.
  public static let levels: ClosedRange<UInt8> = 1...19
  /// The windows of these levels, as powers of two.
  public static let windowLogs: ClosedRange<UInt8> = 10...23
  /// The sizes of jobs of these levels.
  public static let jobSizes = (1 << 20)...(32 << 20)

  private let context: OpaquePointer
  private let method: StreamMethod

  /// Returns the number of plain bytes of a job.
  public static func jobBytes(level: UInt8, windowLog: UInt8) -> Int {
    Int(czstd_sizes_of_jobs(Int32(level), Int32(windowLog)).job_bytes)
  }

  /// Returns the number of bytes before a job that it refers to.
  static func overlapBytes(_ method: StreamMethod) -> Int {
    min(
      Int(czstd_sizes_of_jobs(Int32(method.level), Int32(method.memoryLevel)).overlap_bytes),
      method.blockBytes)
  }

  /// Returns the window that a level uses for large contents, as a power of two.
  public static func windowLog(level: UInt8) -> UInt8 {
    UInt8(clamping: czstd_window_log(Int32(level)))
  }

  /// Returns the size of memory that is enough for the output of `plainBytes`.
  static func bound(_ plainBytes: Int) -> Int { ZSTD_compressBound(plainBytes) + 1024 }

  /// Creates a compressor.
  /// - Parameter method: a method of the encoder `zstd`.
  init(_ method: StreamMethod) {
    guard let context = ZSTD_createCCtx() else { fatalError("libzstd: out of memory") }
    self.context = context
    self.method = method
  }

  deinit { ZSTD_freeCCtx(context) }

  /// Compresses one job.
  /// - Parameters:
  ///   - bytes: `history` bytes before the job, none if it is the first; then the job's own bytes.
  ///   - isLast: whether the frame ends with the job.
  ///   - target: memory for `bound(bytes.count)` bytes.
  /// - Returns: the number of bytes written.
  /// - Throws: `CodecError.corrupt` if libzstd fails.
  func compress(
    _ bytes: UnsafeRawBufferPointer, history: Int, isLast: Bool,
    into target: UnsafeMutableRawBufferPointer
  ) throws(CodecError) -> Int {
    if bytes.count == history, history > 0 {
      // The tool ends a content that is a multiple of a job with an empty block.
      let block = isLast ? ZstdSegmentCompressor.end : []
      target.copyBytes(from: block)
      return block.count
    }
    var job = czstd_job(
      level: Int32(method.level), window_log: Int32(method.memoryLevel),
      job_bytes: method.blockBytes, history: history, count: bytes.count - history,
      last: isLast ? 1 : 0)
    let count = czstd_compress_job(
      UnsafeMutableRawPointer(context), &job, bytes.baseAddress, target.baseAddress, target.count)
    guard ZSTD_isError(count) == 0 else {
      throw .corrupt("zstd: \(String(cString: ZSTD_getErrorName(count)))")
    }
    return count
  }
}
