// Finds the runs of a zstd frame: the jobs of the zstd tool. A job has a fixed number of plain bytes, so
// encoding it again tells where the next one starts in the frame.
//
// 1. Jobs are encoded on two threads at most. Memory: for each of them a job, its history, its output and the
//    encoder's tables, up to 150 MiB.

import Archive
import Codec
import Platform

/// A frame with its plain bytes.
struct JobRunFinder {
  let source: RandomAccessSource
  /// The range of the frame's blocks in the source.
  let blocks: Range<UInt64>
  let plainBytes: UInt64
  /// Fills a buffer with plain bytes from an offset.
  let plain: @Sendable (UInt64, UnsafeMutableRawBufferPointer) throws -> Void

  /// The number of plain bytes that most wrong methods fail on.
  private static let sampleBytes: UInt64 = 1 << 20

  // MARK: Detection

  /// Returns the methods that repeat the start of a frame, the most likely first.
  /// - Parameter open: opens the content of the frame.
  static func methods(
    _ source: RandomAccessSource, _ blocks: Range<UInt64>, _ layout: ZstdFrameLayout,
    _ open: () -> ByteSource
  ) throws -> [StreamMethod] {
    guard ZstdJobCompressor.windowLogs.contains(layout.windowLog) else { return [] }
    var sample = [UInt8](repeating: 0, count: Int(sampleBytes) + 1)
    let content = open()
    var count = 0
    try sample.withUnsafeMutableBytes { sample in
      while count < sample.count {
        let n = try content(UnsafeMutableRawBufferPointer(rebasing: sample[count...]))
        if n == 0 { break }
        count += n
      }
    }
    let isWhole = count <= Int(sampleBytes)
    let size = min(count, Int(sampleBytes))
    let window = UInt64(1) << UInt64(layout.windowLog)
    var methods: [StreamMethod] = []
    for level in [3, 1, 9, 19, 15, 6, 5, 12, 18] + ZstdJobCompressor.levels.map(Int.init) {
      let usual = ZstdJobCompressor.windowLog(level: UInt8(level))
      // A content that is smaller than the window is the window.
      guard
        usual == layout.windowLog
          || usual > layout.windowLog && layout.contentBytes.map({ $0 <= window }) == true
      else { continue }
      let method = StreamMethod.zstd(level: UInt8(level), windowLog: layout.windowLog)
      if methods.contains(method) { continue }
      let isEqual = try sample.withUnsafeBytes { sample in
        var encoder = RunEncoder(method)
        return try encoder.replay(
          UnsafeRawBufferPointer(rebasing: sample[..<size]), history: 0, plainBytes: size,
          carry: .none, isLast: isWhole
        ) { produced in
          guard UInt64(produced.count) <= UInt64(blocks.count) else { return false }
          let expected = try source.bytes(
            blocks.lowerBound..<blocks.lowerBound + UInt64(produced.count))
          return produced.elementsEqual(expected)
        }
      }
      if isEqual { methods.append(method) }
    }
    return methods
  }

  // MARK: Runs

  private struct Output: Sendable {
    var sizeBytes = 0
    var crc: UInt32 = 0
  }

  /// Returns the runs with their checksums, or nil if a job differs from the frame.
  func runs(_ method: StreamMethod) throws -> [StreamPlan.Run]? {
    let job = UInt64(method.blockBytes)
    var count = Int(max(1, (plainBytes + job - 1) / job))
    let hasEmptyEnd = try endsWithEmptyBlock(job)
    let outputs = Monitor<[Output]>(Array(repeating: Output(), count: count))
    let indices = SharedIndices(1..<count)
    let jobCount = count
    // The first job decides for most frames of another encoder whether the others are worth their time.
    let first = try encodeFirst(method, range(0, job), isLast: count == 1 && !hasEmptyEnd)
    guard try isEqual(first, at: 0) else { return nil }
    outputs.withLock { $0[0] = first }
    try runThreads(min(processorCount, count, RunEncoderPool.maxLarge)) { [self] _ in
      var encoder = RunEncoder(method)
      while let index = indices.take() {
        let output = try encode(
          &encoder, range(index, job), isLast: index == jobCount - 1 && !hasEmptyEnd)
        outputs.withLock { $0[index] = output }
      }
    }
    var sizes = outputs.withLock { $0 }
    if hasEmptyEnd {
      let end = ZstdSegmentCompressor.end
      sizes.append(Output(sizeBytes: end.count, crc: CRC32.of(end)))
      count += 1
    }
    var runs: [StreamPlan.Run] = []
    var offset: UInt64 = 0
    for (index, output) in sizes.enumerated() {
      let end = offset + UInt64(output.sizeBytes)
      guard try isEqual(output, at: offset) else { return nil }
      runs.append(
        StreamPlan.Run(
          plain: range(index, job), encoded: offset..<end, carry: .none, crc: output.crc, method: 0)
      )
      offset = end
    }
    return offset == UInt64(blocks.count) ? runs : nil
  }

  /// Encodes a job with an encoder whose memory is free afterwards.
  private func encodeFirst(
    _ method: StreamMethod, _ plain: Range<UInt64>, isLast: Bool
  ) throws -> Output {
    var encoder = RunEncoder(method)
    return try encode(&encoder, plain, isLast: isLast)
  }

  /// Returns whether the frame has this output.
  private func isEqual(_ output: Output, at offset: UInt64) throws -> Bool {
    let end = offset + UInt64(output.sizeBytes)
    guard end <= UInt64(blocks.count), output.sizeBytes <= 2 * StreamPlan.maxRunBytes else {
      return false
    }
    let bytes = try source.bytes(blocks.lowerBound + offset..<blocks.lowerBound + end)
    return CRC32.of(bytes) == output.crc
  }

  private func range(_ index: Int, _ job: UInt64) -> Range<UInt64> {
    let start = min(UInt64(index) * job, plainBytes)
    return start..<min(start + job, plainBytes)
  }

  /// The zstd tool does not know the end of a pipe in advance. If the content is a multiple of a job, it adds
  /// an empty block.
  private func endsWithEmptyBlock(_ job: UInt64) throws -> Bool {
    let end = ZstdSegmentCompressor.end
    guard plainBytes > 0, plainBytes % job == 0, blocks.count > end.count else { return false }
    return try source.bytes(blocks.upperBound - UInt64(end.count)..<blocks.upperBound) == end
  }

  private func encode(
    _ encoder: inout RunEncoder, _ range: Range<UInt64>, isLast: Bool
  ) throws -> Output {
    let history = encoder.method.historyBytes(before: range.lowerBound)
    let bytes = UnsafeMutableRawBufferPointer.allocate(
      byteCount: max(Int(history) + range.count, 1), alignment: 64)
    defer { bytes.deallocate() }
    let input = UnsafeMutableRawBufferPointer(rebasing: bytes[..<(Int(history) + range.count)])
    try plain(range.lowerBound - history, input)
    return try encoder.replay(
      UnsafeRawBufferPointer(input), history: Int(history), plainBytes: range.count, carry: .none,
      isLast: isLast
    ) { Output(sizeBytes: $0.count, crc: CRC32.of($0)) }
  }
}
