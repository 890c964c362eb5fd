// Where a deflate stream can be made again from the middle.
//
// 1. pigz's joints and our segments are such places by their nature.
// 2. A zlib stream has none, but most of its blocks can be begun afresh with what stood before them, and
//    so can pigz's where one thread made them: each candidate is tried on one block before it is
//    believed, and the whole is proved afterwards (`RecipeFinder`).

import Codec
import Platform
import Store

/// A stream whose layout is thought to be known.
struct RestartPointFinder {
  let source: RandomAccessSource
  /// Where the stream begins in the source.
  let offset: UInt64
  let boundaries: [InflateBlockScanner.Boundary]
  /// Fills with plain bytes from an offset on.
  let plain: @Sendable (UInt64, UnsafeMutableRawBufferPointer) throws -> Void

  /// Plain bytes from one place to the next in a zlib stream.
  private static let spacing: UInt64 = 1 << 20

  private var last: InflateBlockScanner.Boundary { boundaries[boundaries.count - 1] }

  /// The runs, with the sums of their bytes; nil where the stream is laid out otherwise.
  /// - Parameter leftOut: beginnings of runs, by their plain offsets, that have failed before.
  func runs(
    _ layout: StreamLayout, leavingOut leftOut: Set<UInt64>
  ) throws -> (methods: [DeflateMethod], runs: [DeflatePlan.Run])? {
    switch layout {
    case .joined(let method):
      guard let joints = joints(method) else { return nil }
      let places =
        layout.mayFailInPlaces ? try places(method, among: joints, leftOut) : joints.dropLast()
      return try runs(at: Array(places), [method]).map { ([method], $0) }
    case .continuous(let method):
      return try runs(at: places(method, among: boundaries, leftOut), [method]).map {
        ([method], $0)
      }
    case .segments(let method): return try segments(method)
    }
  }

  // MARK: Joints

  /// Where pigz's blocks begin, and the end; nil where one does not begin at a byte's end.
  private func joints(_ method: DeflateMethod) -> [InflateBlockScanner.Boundary]? {
    let block = UInt64(method.blockBytes)
    var joints = [boundaries[0]]
    for (boundary, next) in zip(boundaries, boundaries.dropFirst())
    where boundary.plainOffset > 0 && boundary.plainOffset % block == 0
      && next.plainOffset != boundary.plainOffset
    {
      guard boundary.bitOffset % 8 == 0 else { return nil }
      joints.append(boundary)
    }
    guard UInt64(joints.count) == max(1, (last.plainOffset + block - 1) / block) else { return nil }
    return joints + [last]
  }

  private func segments(
    _ method: DeflateMethod
  ) throws -> (methods: [DeflateMethod], runs: [DeflatePlan.Run])? {
    // The stream's end is an empty block of fixed codes: what zlib makes of nothing.
    let methods = [method, DeflateMethod(.stored, level: 0), DeflateMethod(.zlib, level: 6)]
    var places: [(at: InflateBlockScanner.Boundary, method: Int)] = []
    var start = 0
    var ends = Array(SegmentEnds(boundaries))
    if ends.last != boundaries.count - 1 { ends.append(boundaries.count - 1) }
    var replayer = DeflateReencoder(method)
    for end in ends {
      if boundaries[start].plainOffset == last.plainOffset {
        places.append((boundaries[start], 2))
        break
      }
      // libdeflate stores what does not compress: only what it would not make is ours.
      if try !isStored(start) || isMade(boundaries[start], boundaries[end], &replayer) {
        places.append((boundaries[start], 0))
        start = end
        continue
      }
      start = try addStored(from: start, to: end, &places)
      if start < end { places.append((boundaries[start], 0)) }
      start = end
    }
    guard let runs = try runs(at: places.map(\.at), methods, which: places.map(\.method)) else {
      return nil
    }
    return (methods, runs)
  }

  private func isStored(_ index: Int) throws -> Bool {
    let at = boundaries[index].bitOffset
    guard at % 8 == 0 else { return false }
    return try source.bytes(offset + at / 8..<offset + at / 8 + 1) == [0]
  }

  /// Stored blocks at the front of a segment are runs of their own: what was compressed already.
  /// - Returns: where the rest begins.
  private func addStored(
    from start: Int, to end: Int, _ places: inout [(at: InflateBlockScanner.Boundary, method: Int)]
  ) throws -> Int {
    var index = start
    while index < end, boundaries[index].bitOffset % 8 == 0 {
      let at = boundaries[index]
      let next = boundaries[index + 1]
      let count = next.plainOffset - at.plainOffset
      guard count > 0, next.bitOffset - at.bitOffset == (count + 5) * 8 else { break }
      let head = try source.bytes(offset + at.bitOffset / 8..<offset + at.bitOffset / 8 + 1)
      guard head == [0] else { break }
      // Full blocks go together, up to a size that is easy to make.
      if let before = places.last, before.method == 1, index > start,
        at.plainOffset - before.at.plainOffset < RestartPointFinder.spacing,
        boundaries[index].plainOffset - boundaries[index - 1].plainOffset
          == UInt64(StoredBlocks.maxBytes)
      {
        index += 1
        continue
      }
      places.append((at, 1))
      index += 1
    }
    return index
  }

  // MARK: Streams without joints

  /// One block in each MiB that can be begun afresh, where there is one.
  private func places(
    _ method: DeflateMethod, among blocks: [InflateBlockScanner.Boundary], _ leftOut: Set<UInt64>
  ) throws -> [InflateBlockScanner.Boundary] {
    let cells = Int(last.plainOffset / RestartPointFinder.spacing)
    if cells < 2 { return [boundaries[0]] }
    let found = Monitor<[Int: InflateBlockScanner.Boundary]>([:])
    let next = Monitor(1)
    try runThreads(processorCount) { [self] _ in
      var replayer = DeflateReencoder(method)
      while true {
        let cell = next.withLock { next in
          defer { next += 1 }
          return next
        }
        guard cell < cells else { return }
        if let place = try place(in: cell, among: blocks, &replayer, leftOut) {
          found.withLock { $0[cell] = place }
        }
      }
    }
    return [boundaries[0]] + found.withLock { $0 }.sorted { $0.key < $1.key }.map(\.value)
  }

  private func place(
    in cell: Int, among blocks: [InflateBlockScanner.Boundary], _ replayer: inout DeflateReencoder,
    _ leftOut: Set<UInt64>
  ) throws -> InflateBlockScanner.Boundary? {
    let target = UInt64(cell) * RestartPointFinder.spacing
    var index = firstIndex(of: blocks, from: target)
    while index + 1 < blocks.count, blocks[index].plainOffset < target + RestartPointFinder.spacing
    {
      let (at, end) = (blocks[index], blocks[index + 1])
      index += 1
      guard end.plainOffset > at.plainOffset, !leftOut.contains(at.plainOffset),
        end.plainOffset + 4096 <= last.plainOffset
      else { continue }
      if try isMade(at, end, &replayer) { return at }
    }
    return nil
  }

  private func firstIndex(
    of blocks: [InflateBlockScanner.Boundary], from plainOffset: UInt64
  ) -> Int {
    var low = 0
    var high = blocks.count
    while low < high {
      let middle = (low + high) / 2
      if blocks[middle].plainOffset < plainOffset { low = middle + 1 } else { high = middle }
    }
    return low
  }

  /// Whether the encoder, begun at `at`, makes the stream up to `end`.
  private func isMade(
    _ at: InflateBlockScanner.Boundary, _ end: InflateBlockScanner.Boundary,
    _ replayer: inout DeflateReencoder
  ) throws -> Bool {
    let method = replayer.method
    let history = min(at.plainOffset, UInt64(method.historyBytes))
    let plainBytes = end.plainOffset - at.plainOffset
    guard plainBytes <= UInt64(DeflatePlan.maxRunBytes) else { return false }
    let to = min(last.plainOffset, end.plainOffset + UInt64(method.lookaheadBytes))
    var bytes = [UInt8](repeating: 0, count: Int(to - at.plainOffset + history))
    try bytes.withUnsafeMutableBytes { try plain(at.plainOffset - history, $0) }
    let wanted = try source.bytes(offset + at.bitOffset / 8..<offset + end.bitOffset / 8)
    guard let first = wanted.first else { return false }
    return try bytes.withUnsafeBytes { bytes in
      try replayer.replay(
        bytes, history: Int(history), plainBytes: Int(plainBytes),
        carry: .init(bits: UInt8(at.bitOffset % 8), value: first), isLast: false
      ) { made in made.prefix(wanted.count).elementsEqual(wanted) }
    }
  }

  // MARK: Runs

  /// - Parameter which: of the methods, for each run; the first where it is nil.
  private func runs(
    at places: [InflateBlockScanner.Boundary], _ methods: [DeflateMethod], which: [Int]? = nil
  ) throws -> [DeflatePlan.Run]? {
    let end = InflateBlockScanner.Boundary(
      plainOffset: last.plainOffset, bitOffset: (last.bitOffset + 7) / 8 * 8)
    var runs: [DeflatePlan.Run] = []
    for (index, at) in places.enumerated() {
      let next = index + 1 < places.count ? places[index + 1] : end
      let plainBytes = next.plainOffset - at.plainOffset
      let size = next.bitOffset / 8 - at.bitOffset / 8
      guard plainBytes <= UInt64(DeflatePlan.maxRunBytes),
        size <= 2 * UInt64(DeflatePlan.maxRunBytes), size > 0
      else { return nil }
      let bytes = try source.bytes(offset + at.bitOffset / 8..<offset + next.bitOffset / 8)
      runs.append(
        DeflatePlan.Run(
          plainOffset: at.plainOffset, plainBytes: Int(plainBytes), offset: at.bitOffset / 8,
          sizeBytes: Int(size),
          carry: .init(bits: UInt8(at.bitOffset % 8), value: bytes.first ?? 0),
          crc: CRC32.of(bytes), method: which?[index] ?? 0))
    }
    return runs
  }
}
