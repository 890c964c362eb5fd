// Which encoder made a deflate stream: its first megabytes are encoded again in every way that is known,
// until one gives the same bytes.
//
// Writers that this finds: pigz (levels 1 to 9, any number of threads, -b, -i), whatever calls zlib
// once for a stream (Python, Perl, Java …), and our own segments. Not GNU gzip, whose deflate is older
// than zlib's and cuts its blocks elsewhere (docs/decisions, "Recipes").

import Codec
import Store

/// How a stream was cut, and what each piece was made with.
enum StreamLayout: Sendable, Equatable {
  /// Joints every so many plain bytes.
  case joined(DeflateMethod)
  /// One zlib stream.
  case continuous(DeflateMethod)
  /// Segments that end with an empty stored block; some are stored blocks.
  case segments(DeflateMethod)

  /// Runs of it are begun at places that were only found by trying.
  var mayFailInPlaces: Bool {
    switch self {
    case .joined(let method): method.history == .runUp
    case .continuous: true
    case .segments: false
    }
  }

  var name: String {
    switch self {
    case .joined(let method), .continuous(let method): method.name
    case .segments(let method): "segments, \(method.name)"
    }
  }
}

/// The beginning of a stream, both ways.
struct StreamSample {
  static let plainBytes = 3 << 20
  /// A block of zeros may have 4 MiB of plain bytes (8 MiB with zlib's memory level 9): the sample
  /// goes on until two blocks are whole, or so far.
  private static let maxPlainBytes = 16 << 20
  private static let minBoundaries = 3
  private static let packedBytes = 4 << 20

  private(set) var plain: [UInt8] = []
  private(set) var packed: [UInt8] = []
  private(set) var boundaries: [InflateBlockScanner.Boundary] = []
  /// The sample is the stream.
  private(set) var isWhole = false

  /// - Parameter offset: where the stream begins in the source.
  init(_ source: RandomAccessSource, at offset: UInt64) throws {
    let end = min(source.sizeBytes, offset + UInt64(StreamSample.packedBytes))
    guard offset < end else { return }
    packed = try source.bytes(offset..<end)
    let walk = InflateBlockScanner()
    var room = [UInt8](repeating: 0, count: StreamSample.plainBytes)
    var taken = 0
    var made = 0
    while true {
      try packed.withUnsafeBytes { packed in
        try room.withUnsafeMutableBytes { room in
          while made < room.count, taken < packed.count {
            let step = try walk.decode(
              UnsafeRawBufferPointer(rebasing: packed[taken...]),
              into: UnsafeMutableRawBufferPointer(rebasing: room[made...]))
            if step == (0, 0) { break }
            taken += step.taken
            made += step.made
          }
        }
      }
      guard made == room.count, walk.boundaries.count < StreamSample.minBoundaries,
        room.count < StreamSample.maxPlainBytes, !walk.isAtEnd
      else { break }
      room.append(
        contentsOf: repeatElement(
          0, count: min(StreamSample.plainBytes, StreamSample.maxPlainBytes - room.count)))
    }
    room.removeSubrange(made...)
    plain = room
    boundaries = walk.boundaries
    isWhole = walk.isAtEnd
  }
}

struct EncoderDetector {
  private let sample: StreamSample
  /// Where most candidates are seen to fail.
  private static let quickBytes = 96 << 10

  init(_ sample: StreamSample) { self.sample = sample }

  /// The ways that would have made the sample, the likelier first.
  func layouts() throws -> [StreamLayout] {
    guard let last = sample.boundaries.last, sample.boundaries.count > 1 else { return [] }
    var found: [StreamLayout] = []
    if let block = blockBytes() {
      for level in [6, 9, 1, 5, 7, 8, 4, 3, 2] as [UInt8] {
        for method in [
          DeflateMethod.pigz(level: level, blockBytes: block),
          .pigz(level: level, blockBytes: block, isSingle: true),
          .pigz(level: level, blockBytes: block, isIndependent: true),
        ] where method.isPossible {
          if try isJoined(method), !found.contains(.joined(method)) {
            found.append(.joined(method))
          }
        }
      }
    }
    if !found.isEmpty { return found }
    for strategy in [0, 1, 2, 3, 4] as [UInt8] {
      for memory in [8, 9] as [UInt8] {
        for level in [6, 9, 1, 5, 7, 8, 4, 3, 2] as [UInt8] {
          let method = DeflateMethod.zlib(level: level, memoryLevel: memory, strategy: strategy)
          if try isContinuous(method, last) { found.append(.continuous(method)) }
        }
      }
      if !found.isEmpty { return found }
    }
    for level in [5, 6, 4, 7, 8, 9, 3, 2, 1, 10, 11, 12] as [UInt8] {
      if try isSegmented(DeflateMethod(.libdeflate, level: level)) {
        return [.segments(DeflateMethod(.libdeflate, level: level))]
      }
    }
    return []
  }

  // MARK: One way

  /// pigz ends its blocks at a byte's end after so many plain bytes: 128 KiB, or what `-b` said.
  private func blockBytes() -> Int? {
    sample.boundaries.first {
      $0.plainOffset >= 32 << 10 && $0.plainOffset % 1024 == 0 && $0.bitOffset % 8 == 0
        && DeflateMethod.blockSizes.contains(Int(clamping: $0.plainOffset))
    }.flatMap { first in
      // What is no more than one block has no joint; a stream's end is none.
      sample.isWhole && first == sample.boundaries.last ? nil : Int(first.plainOffset)
    }
  }

  private func isJoined(_ method: DeflateMethod) throws -> Bool {
    var replayer = DeflateReencoder(method)
    var start = sample.boundaries[0]
    var end = start
    while let next = sample.boundaries.last(where: {
      $0.plainOffset == end.plainOffset + UInt64(method.blockBytes)
    }), next.bitOffset % 8 == 0 {
      let isLast = sample.isWhole && next == sample.boundaries.last
      end = next
      // One thread's blocks follow from all before: they are made in one go, at the end.
      if method.history == .runUp, !isLast { continue }
      guard try makes(&replayer, start, end, isLast: isLast) else { return false }
      start = end
    }
    if sample.isWhole, let last = sample.boundaries.last, end != last {
      return try makes(&replayer, start, last, isLast: true)
    }
    return start == end ? end.plainOffset > 0 : try makes(&replayer, start, end, isLast: false)
  }

  private func isContinuous(
    _ method: DeflateMethod, _ last: InflateBlockScanner.Boundary
  ) throws -> Bool {
    var replayer = DeflateReencoder(method)
    let first = sample.boundaries[0]
    if let early = sample.boundaries.first(where: {
      $0.plainOffset >= UInt64(EncoderDetector.quickBytes)
    }), early.plainOffset + 4096 < last.plainOffset,
      try !makes(&replayer, first, early, isLast: false)
    {
      return false
    }
    if sample.isWhole { return try makes(&replayer, first, last, isLast: true) }
    guard
      let end = sample.boundaries.last(where: {
        $0.plainOffset > 0 && $0.plainOffset + 4096 <= UInt64(sample.plain.count)
      })
    else { return false }
    return try makes(&replayer, first, end, isLast: false)
  }

  private func isSegmented(_ method: DeflateMethod) throws -> Bool {
    let ends = SegmentEnds(sample.boundaries)
    guard let end = ends.first(where: { $0 > 0 }) else { return false }
    var replayer = DeflateReencoder(method)
    return try makes(&replayer, sample.boundaries[0], sample.boundaries[end], isLast: false)
  }

  /// Whether the encoder makes the bytes from one boundary to another.
  private func makes(
    _ replayer: inout DeflateReencoder, _ start: InflateBlockScanner.Boundary,
    _ end: InflateBlockScanner.Boundary,
    isLast: Bool
  ) throws -> Bool {
    let method = replayer.method
    let from = Int(start.plainOffset) - min(Int(start.plainOffset), method.historyBytes)
    let to = min(sample.plain.count, Int(end.plainOffset) + method.lookaheadBytes)
    let wanted = Int(start.bitOffset / 8)..<Int((end.bitOffset + (isLast ? 7 : 0)) / 8)
    let bits = UInt8(start.bitOffset % 8)
    return try sample.packed.withUnsafeBytes { packed in
      try sample.plain.withUnsafeBytes { plain in
        try replayer.replay(
          UnsafeRawBufferPointer(rebasing: plain[from..<to]),
          history: Int(start.plainOffset) - from,
          plainBytes: Int(end.plainOffset - start.plainOffset),
          carry: .init(bits: bits, value: packed[wanted.lowerBound]), isLast: isLast
        ) { made in
          made.count >= wanted.count && (!isLast || made.count == wanted.count)
            && equalBytes(
              UnsafeRawBufferPointer(rebasing: made[..<wanted.count]),
              UnsafeRawBufferPointer(rebasing: packed[wanted]))
        }
      }
    }
  }
}

/// Compares at the speed of memory.
func equalBytes(_ a: UnsafeRawBufferPointer, _ b: UnsafeRawBufferPointer) -> Bool {
  a.count == b.count && a.elementsEqual(b)
}
