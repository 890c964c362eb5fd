// Detects the encoder of a deflate stream: re-encodes its first megabytes with every known method
// until one gives the same bytes.
//
// It recognizes four kinds of encoders: pigz (levels 1 to 9, any number of threads, -b, -i),
// programs that call zlib once per stream (Python, Perl, Java …), GNU gzip, whose deflate is older
// than zlib's and splits blocks differently, and imgstore's own segments.

import Codec

/// The structure of a stream, and the method of each part.
enum StreamLayout: Sendable, Equatable {
  /// pigz's output: block boundaries at regular plain offsets.
  case joined(StreamMethod)
  /// One stream of zlib or GNU gzip.
  case continuous(StreamMethod)
  /// Segments that end with an empty stored block; some are stored blocks.
  case segments(StreamMethod)
  /// Jobs of the zstd tool.
  case jobs(StreamMethod)

  /// Whether runs start at points that were found by trial and may fail later.
  var mayFailAtRestarts: Bool {
    switch self {
    case .joined(let method): method.history == .runUp
    case .continuous: true
    case .segments, .jobs: false
    }
  }

  var name: String {
    switch self {
    case .joined(let method), .continuous(let method), .jobs(let method): method.name
    case .segments(let method): "segments, \(method.name)"
    }
  }
}

/// The start of a stream, compressed and decompressed.
struct StreamSample {
  static let plainBytes = 3 << 20
  /// A block of zeros may have 4 MiB of plain bytes (8 MiB with zlib's memLevel 9). The sample is
  /// extended to this size until it contains two complete blocks.
  private static let maxPlainBytes = 16 << 20
  private static let minBoundaries = 3
  private static let packedBytes = 4 << 20

  private(set) var plain: [UInt8] = []
  private(set) var packed: [UInt8] = []
  private(set) var boundaries: [InflateBlockScanner.Boundary] = []
  /// Whether the sample is the whole stream.
  private(set) var isWhole = false

  /// Reads a sample.
  /// - Parameter offset: the start of the stream in the source.
  init(_ source: RandomAccessSource, at offset: UInt64) throws {
    let end = min(source.sizeBytes, offset + UInt64(StreamSample.packedBytes))
    guard offset < end else { return }
    packed = try source.bytes(offset..<end)
    let scanner = InflateBlockScanner()
    var output = [UInt8](repeating: 0, count: StreamSample.plainBytes)
    var consumed = 0
    var produced = 0
    while true {
      try packed.withUnsafeBytes { packed in
        try output.withUnsafeMutableBytes { output in
          while produced < output.count, consumed < packed.count {
            let step = try scanner.decode(
              UnsafeRawBufferPointer(rebasing: packed[consumed...]),
              into: UnsafeMutableRawBufferPointer(rebasing: output[produced...]))
            if step == (0, 0) { break }
            consumed += step.consumed
            produced += step.produced
          }
        }
      }
      guard produced == output.count, scanner.boundaries.count < StreamSample.minBoundaries,
        output.count < StreamSample.maxPlainBytes, !scanner.isAtEnd
      else { break }
      output.append(
        contentsOf: repeatElement(
          0, count: min(StreamSample.plainBytes, StreamSample.maxPlainBytes - output.count)))
    }
    output.removeSubrange(produced...)
    plain = output
    boundaries = scanner.boundaries
    isWhole = scanner.isAtEnd
  }
}

/// Detects the encoder of a sample.
struct EncoderDetector {
  private let sample: StreamSample
  /// The plain bytes after which most wrong candidates have failed.
  private static let quickBytes = 96 << 10

  init(_ sample: StreamSample) { self.sample = sample }

  /// Returns the layouts that reproduce the sample, the most likely first.
  func layouts() throws -> [StreamLayout] {
    guard let last = sample.boundaries.last, sample.boundaries.count > 1 else { return [] }
    var matches: [StreamLayout] = []
    if let block = blockBytes() {
      for level in [6, 9, 1, 5, 7, 8, 4, 3, 2] as [UInt8] {
        for method in [
          StreamMethod.pigz(level: level, blockBytes: block),
          .pigz(level: level, blockBytes: block, isSingle: true),
          .pigz(level: level, blockBytes: block, isIndependent: true),
        ] where method.isPossible {
          if try isJoined(method), !matches.contains(.joined(method)) {
            matches.append(.joined(method))
          }
        }
      }
    }
    if !matches.isEmpty { return matches }
    for strategy in [0, 1, 2, 3, 4] as [UInt8] {
      for memory in [8, 9] as [UInt8] {
        // Both end the stored blocks of incompressible data at the same symbols, so a file that starts with
        // such data needs both.
        if strategy == 0, memory == 9 {
          for level in [6, 9, 1, 5, 7, 8, 4, 3, 2] as [UInt8] {
            let method = StreamMethod.gnuGzip(level: level)
            if try isContinuous(method, last) { matches.append(.continuous(method)) }
          }
        }
        for level in [6, 9, 1, 5, 7, 8, 4, 3, 2] as [UInt8] {
          let method = StreamMethod.zlib(level: level, memoryLevel: memory, strategy: strategy)
          if try isContinuous(method, last) { matches.append(.continuous(method)) }
        }
      }
      if !matches.isEmpty { return matches }
    }
    for level in [5, 6, 4, 7, 8, 9, 3, 2, 1, 10, 11, 12] as [UInt8] {
      if try isSegmented(StreamMethod(.libdeflate, level: level)) {
        return [.segments(StreamMethod(.libdeflate, level: level))]
      }
    }
    return []
  }

  // MARK: One way

  /// Returns pigz's block size. Blocks end at a byte boundary after 128 KiB of plain bytes, or the
  /// size of `-b`.
  private func blockBytes() -> Int? {
    sample.boundaries.first {
      $0.plainOffset >= 32 << 10 && $0.plainOffset % 1024 == 0 && $0.bitOffset % 8 == 0
        && StreamMethod.blockSizes.contains(Int(clamping: $0.plainOffset))
    }.flatMap { first in
      // A stream of one block has no boundary; its end does not count.
      sample.isWhole && first == sample.boundaries.last ? nil : Int(first.plainOffset)
    }
  }

  private func isJoined(_ method: StreamMethod) throws -> Bool {
    var reencoder = RunEncoder(method)
    var start = sample.boundaries[0]
    var end = start
    while let next = sample.boundaries.last(where: {
      $0.plainOffset == end.plainOffset + UInt64(method.blockBytes)
    }), next.bitOffset % 8 == 0 {
      let isLast = sample.isWhole && next == sample.boundaries.last
      end = next
      // Blocks of a single thread depend on all earlier input, so they are encoded together at the end.
      if method.history == .runUp, !isLast { continue }
      guard try reproduces(&reencoder, start, end, isLast: isLast) else { return false }
      start = end
    }
    if sample.isWhole, let last = sample.boundaries.last, end != last {
      return try reproduces(&reencoder, start, last, isLast: true)
    }
    return start == end
      ? end.plainOffset > 0 : try reproduces(&reencoder, start, end, isLast: false)
  }

  private func isContinuous(
    _ method: StreamMethod, _ last: InflateBlockScanner.Boundary
  ) throws -> Bool {
    var reencoder = RunEncoder(method)
    let first = sample.boundaries[0]
    if let early = sample.boundaries.first(where: {
      $0.plainOffset >= UInt64(EncoderDetector.quickBytes)
    }), early.plainOffset + 4096 < last.plainOffset,
      try !reproduces(&reencoder, first, early, isLast: false)
    {
      return false
    }
    if sample.isWhole { return try reproduces(&reencoder, first, last, isLast: true) }
    guard
      let end = sample.boundaries.last(where: {
        $0.plainOffset > 0 && $0.plainOffset + 4096 <= UInt64(sample.plain.count)
      })
    else { return false }
    return try reproduces(&reencoder, first, end, isLast: false)
  }

  private func isSegmented(_ method: StreamMethod) throws -> Bool {
    let ends = SegmentEnds(sample.boundaries)
    guard let end = ends.first(where: { $0 > 0 }) else { return false }
    var reencoder = RunEncoder(method)
    return try reproduces(&reencoder, sample.boundaries[0], sample.boundaries[end], isLast: false)
  }

  /// Returns whether the encoder reproduces the bytes between two boundaries.
  private func reproduces(
    _ reencoder: inout RunEncoder, _ start: InflateBlockScanner.Boundary,
    _ end: InflateBlockScanner.Boundary,
    isLast: Bool
  ) throws -> Bool {
    let method = reencoder.method
    let from = Int(start.plainOffset - method.historyBytes(before: start.plainOffset))
    let to = min(sample.plain.count, Int(end.plainOffset) + method.lookaheadBytes)
    let expected = Int(start.bitOffset / 8)..<Int((end.bitOffset + (isLast ? 7 : 0)) / 8)
    let bits = UInt8(start.bitOffset % 8)
    return try sample.packed.withUnsafeBytes { packed in
      try sample.plain.withUnsafeBytes { plain in
        try reencoder.replay(
          UnsafeRawBufferPointer(rebasing: plain[from..<to]),
          history: Int(start.plainOffset) - from,
          plainBytes: Int(end.plainOffset - start.plainOffset),
          carry: .init(bits: bits, value: packed[expected.lowerBound]), isLast: isLast
        ) { produced in
          produced.count >= expected.count && (!isLast || produced.count == expected.count)
            && equalBytes(
              UnsafeRawBufferPointer(rebasing: produced[..<expected.count]),
              UnsafeRawBufferPointer(rebasing: packed[expected]))
        }
      }
    }
  }
}

/// Returns whether two buffers are equal.
func equalBytes(_ a: UnsafeRawBufferPointer, _ b: UnsafeRawBufferPointer) -> Bool {
  a.count == b.count && a.elementsEqual(b)
}
