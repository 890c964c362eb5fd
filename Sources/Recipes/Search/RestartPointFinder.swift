// Finds the points of a deflate stream where re-encoding can restart.
//
// 1. The block boundaries of pigz and the segments of imgstore are always restart points.
// 2. A zlib stream has none by design, but an encoder can restart at most of its blocks with the
//    preceding history. The same holds for pigz with one thread. Each candidate is tested on one
//    block, and `RecipeFinder` verifies the whole later.

import Codec
import Platform

/// A stream with its presumed layout.
struct RestartPointFinder {
  let source: RandomAccessSource
  /// The start of the stream in the source.
  let offset: UInt64
  let boundaries: [InflateBlockScanner.Boundary]
  /// Fills a buffer with plain bytes from an offset.
  let plain: @Sendable (UInt64, UnsafeMutableRawBufferPointer) throws -> Void

  /// The distance between restart points of a zlib stream, in plain bytes.
  private static let spacing: UInt64 = 1 << 20

  private var last: InflateBlockScanner.Boundary { boundaries[boundaries.count - 1] }

  /// Returns the runs with their checksums, or nil if the stream has another layout.
  /// - Parameter failedRestarts: the plain offsets of restart points that failed before.
  func runs(
    _ layout: StreamLayout, leavingOut failedRestarts: Set<UInt64>
  ) throws -> (methods: [StreamMethod], runs: [StreamPlan.Run])? {
    switch layout {
    case .joined(let method):
      guard let blockStarts = blockStarts(method) else { return nil }
      let restartPoints =
        layout.mayFailAtRestarts
        ? try restartPoints(method, among: blockStarts, failedRestarts) : blockStarts.dropLast()
      return try runs(at: Array(restartPoints), [method]).map { ([method], $0) }
    case .continuous(let method):
      return try runs(at: restartPoints(method, among: boundaries, failedRestarts), [method]).map {
        ([method], $0)
      }
    case .segments(let method): return try segments(method)
    case .jobs: return nil
    }
  }

  // MARK: Joints

  /// Returns the starts of pigz's blocks and the end, or nil if one does not start at a byte boundary.
  private func blockStarts(_ method: StreamMethod) -> [InflateBlockScanner.Boundary]? {
    let block = UInt64(method.blockBytes)
    var blockStarts = [boundaries[0]]
    for (boundary, next) in zip(boundaries, boundaries.dropFirst())
    where boundary.plainOffset > 0 && boundary.plainOffset % block == 0
      && next.plainOffset != boundary.plainOffset
    {
      guard boundary.bitOffset % 8 == 0 else { return nil }
      blockStarts.append(boundary)
    }
    guard UInt64(blockStarts.count) == max(1, (last.plainOffset + block - 1) / block) else {
      return nil
    }
    return blockStarts + [last]
  }

  private func segments(
    _ method: StreamMethod
  ) throws -> (methods: [StreamMethod], runs: [StreamPlan.Run])? {
    // The stream ends with an empty block of fixed codes, which zlib produces for empty input.
    let methods = [method, StreamMethod(.stored, level: 0), StreamMethod(.zlib, level: 6)]
    var restartPoints: [(at: InflateBlockScanner.Boundary, method: Int)] = []
    var start = 0
    var ends = Array(SegmentEnds(boundaries))
    if ends.last != boundaries.count - 1 { ends.append(boundaries.count - 1) }
    var reencoder = RunEncoder(method)
    for end in ends {
      if boundaries[start].plainOffset == last.plainOffset {
        restartPoints.append((boundaries[start], 2))
        break
      }
      // libdeflate itself stores incompressible data. Only stored blocks that it would not write
      // come from imgstore.
      if try !isStored(start) || isReproducible(boundaries[start], boundaries[end], &reencoder) {
        restartPoints.append((boundaries[start], 0))
        start = end
        continue
      }
      start = try addStored(from: start, to: end, &restartPoints)
      if start < end { restartPoints.append((boundaries[start], 0)) }
      start = end
    }
    guard
      let runs = try runs(at: restartPoints.map(\.at), methods, which: restartPoints.map(\.method))
    else {
      return nil
    }
    return (methods, runs)
  }

  private func isStored(_ index: Int) throws -> Bool {
    let at = boundaries[index].bitOffset
    guard at % 8 == 0 else { return false }
    return try source.bytes(offset + at / 8..<offset + at / 8 + 1) == [0]
  }

  /// Adds the stored blocks at the start of a segment, which contain already compressed data, as
  /// separate runs.
  /// - Returns: the index where the rest starts.
  private func addStored(
    from start: Int, to end: Int,
    _ restartPoints: inout [(at: InflateBlockScanner.Boundary, method: Int)]
  ) throws -> Int {
    var index = start
    while index < end, boundaries[index].bitOffset % 8 == 0 {
      let at = boundaries[index]
      let next = boundaries[index + 1]
      let count = next.plainOffset - at.plainOffset
      guard count > 0, next.bitOffset - at.bitOffset == (count + 5) * 8 else { break }
      let head = try source.bytes(offset + at.bitOffset / 8..<offset + at.bitOffset / 8 + 1)
      guard head == [0] else { break }
      // Full blocks are joined, up to the spacing of restart points.
      if let before = restartPoints.last, before.method == 1, index > start,
        at.plainOffset - before.at.plainOffset < RestartPointFinder.spacing,
        boundaries[index].plainOffset - boundaries[index - 1].plainOffset
          == UInt64(StoredBlocks.maxBytes)
      {
        index += 1
        continue
      }
      restartPoints.append((at, 1))
      index += 1
    }
    return index
  }

  // MARK: Streams without joints

  /// Returns the first restart point in each MiB that has one.
  private func restartPoints(
    _ method: StreamMethod, among blocks: [InflateBlockScanner.Boundary],
    _ failedRestarts: Set<UInt64>
  ) throws -> [InflateBlockScanner.Boundary] {
    let cells = Int(last.plainOffset / RestartPointFinder.spacing)
    if cells < 2 { return [boundaries[0]] }
    let points = Monitor<[Int: InflateBlockScanner.Boundary]>([:])
    let indices = SharedIndices(1..<cells)
    try runThreads(processorCount) { [self] _ in
      var reencoder = RunEncoder(method)
      while let cell = indices.take() {
        if let restartPoint = try restartPoint(in: cell, among: blocks, &reencoder, failedRestarts)
        {
          points.withLock { $0[cell] = restartPoint }
        }
      }
    }
    return [boundaries[0]] + points.withLock { $0 }.sorted { $0.key < $1.key }.map(\.value)
  }

  private func restartPoint(
    in cell: Int, among blocks: [InflateBlockScanner.Boundary], _ reencoder: inout RunEncoder,
    _ failedRestarts: Set<UInt64>
  ) throws -> InflateBlockScanner.Boundary? {
    let target = UInt64(cell) * RestartPointFinder.spacing
    var index = blocks.partitioningIndex { $0.plainOffset >= target }
    while index + 1 < blocks.count, blocks[index].plainOffset < target + RestartPointFinder.spacing
    {
      let (at, end) = (blocks[index], blocks[index + 1])
      index += 1
      guard end.plainOffset > at.plainOffset, !failedRestarts.contains(at.plainOffset),
        end.plainOffset + 4096 <= last.plainOffset
      else { continue }
      if try isReproducible(at, end, &reencoder) { return at }
    }
    return nil
  }

  /// Returns whether the encoder, restarted at `at`, reproduces the stream up to `end`.
  private func isReproducible(
    _ at: InflateBlockScanner.Boundary, _ end: InflateBlockScanner.Boundary,
    _ reencoder: inout RunEncoder
  ) throws -> Bool {
    let method = reencoder.method
    let history = method.historyBytes(before: at.plainOffset)
    let plainBytes = end.plainOffset - at.plainOffset
    guard plainBytes <= UInt64(StreamPlan.maxRunBytes) else { return false }
    let to = min(last.plainOffset, end.plainOffset + UInt64(method.lookaheadBytes))
    var bytes = [UInt8](repeating: 0, count: Int(to - at.plainOffset + history))
    try bytes.withUnsafeMutableBytes { try plain(at.plainOffset - history, $0) }
    let expected = try source.bytes(offset + at.bitOffset / 8..<offset + end.bitOffset / 8)
    guard let first = expected.first else { return false }
    return try bytes.withUnsafeBytes { bytes in
      try reencoder.replay(
        bytes, history: Int(history), plainBytes: Int(plainBytes),
        carry: .init(bits: UInt8(at.bitOffset % 8), value: first), isLast: false
      ) { output in output.prefix(expected.count).elementsEqual(expected) }
    }
  }

  // MARK: Runs

  /// Returns the runs between restart points.
  /// - Parameter which: the index of each run's method; nil if all use the first.
  private func runs(
    at restartPoints: [InflateBlockScanner.Boundary], _ methods: [StreamMethod],
    which: [Int]? = nil
  ) throws -> [StreamPlan.Run]? {
    let end = InflateBlockScanner.Boundary(
      plainOffset: last.plainOffset, bitOffset: (last.bitOffset + 7) / 8 * 8)
    var runs: [StreamPlan.Run] = []
    for (index, at) in restartPoints.enumerated() {
      let next = index + 1 < restartPoints.count ? restartPoints[index + 1] : end
      let plainBytes = next.plainOffset - at.plainOffset
      let size = next.bitOffset / 8 - at.bitOffset / 8
      guard plainBytes <= UInt64(StreamPlan.maxRunBytes),
        size <= 2 * UInt64(StreamPlan.maxRunBytes), size > 0
      else { return nil }
      let bytes = try source.bytes(offset + at.bitOffset / 8..<offset + next.bitOffset / 8)
      runs.append(
        StreamPlan.Run(
          plain: at.plainOffset..<next.plainOffset, encoded: at.bitOffset / 8..<next.bitOffset / 8,
          carry: .init(bits: UInt8(at.bitOffset % 8), value: bytes.first ?? 0),
          crc: CRC32.of(bytes), method: which?[index] ?? 0))
    }
    return runs
  }
}
