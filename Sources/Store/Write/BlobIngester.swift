// Stores a stream of bytes as a blob: hashes it as a whole, splits it into chunks and stores them. It uses
// one window of 4 MiB, or three. Only the chunk list grows with the stream (34 bytes per chunk).
//
//     window   |...chunked...|.pending.|      the next window starts with the pending bytes,
//              ^ block       ^ start   ^ end   at a block boundary of the stream
//
// 1. A byte's address in each window is congruent, modulo a block, to its offset in the stream.
//    Copies are written from the window past the page cache, which requires this alignment.
// 2. With concurrent threads, a window is reused when `BufferPipeline` allows it. Without them
//    there is one window.

import Codec
import Platform

/// Ingests one stream after another. Belongs to one thread at a time.
public struct BlobIngester: ~Copyable {
  static let windowBytes = 4 << 20

  /// The windows in rotation; the first is filled next.
  private var windows: [UnsafeMutableRawBufferPointer]
  private var hash = SHA256()
  /// Hashes large streams concurrently; nil if all processors are busy with other streams.
  private let background: BackgroundHasher?
  private var isBackgroundDirty = false
  /// Predicts chunks of large streams from earlier versions.
  private let forecast: ChunkPredictor

  /// Creates an ingester.
  /// - Parameters:
  ///   - hashesConcurrently: whether separate threads hash and copy large streams.
  ///   - forecast: predicts chunks of the streams.
  public init(hashesConcurrently: Bool = false, forecast: ChunkPredictor = ChunkPredictor()) {
    self.forecast = forecast
    background = hashesConcurrently ? BackgroundHasher() : nil
    windows = (0..<(hashesConcurrently ? BufferPipeline.rangeCount : 1)).map { _ in
      .allocate(byteCount: BlobIngester.windowBytes, alignment: StagedFile.blockBytes)
    }
  }

  deinit {
    background?.wait()
    for window in windows { window.deallocate() }
  }

  /// Memory that callers may use between two streams.
  public var window: UnsafeMutableRawBufferPointer { windows[0] }

  /// Hashes `source` to its end and stores nothing.
  public mutating func identify(
    _ source: (UnsafeMutableRawBufferPointer) throws -> Int
  ) throws -> (id: Digest, sizeBytes: UInt64) {
    hash.reset()
    var total: UInt64 = 0
    while case let n = try source(windows[0]), n > 0 {
      hash.update(UnsafeRawBufferPointer(rebasing: windows[0][..<n]))
      total += UInt64(n)
    }
    return (hash.finish(), total)
  }

  /// Stores `source` to its end.
  /// - Parameters:
  ///   - worker: stores the chunks.
  ///   - copy: also receives every byte; requires concurrent threads.
  ///   - predecessor: an earlier version of the blob; nil if none is known.
  ///   - source: fills a buffer and returns the number of bytes; 0 at the end.
  /// - Returns: the id and the size of the blob.
  public mutating func ingest(
    _ worker: SessionWorker, copyingTo copy: StagedFile? = nil,
    following predecessor: BlobPredecessor? = nil,
    from source: (UnsafeMutableRawBufferPointer) throws -> Int
  ) throws -> (id: Digest, sizeBytes: UInt64) {
    precondition(copy == nil || background != nil, "copying requires concurrent threads")
    defer { copy?.wait() }
    discardEarlierStream()
    predecessor?.rewind()
    var chunkList = ChunkList()
    var total: UInt64 = 0
    var last: Digest?
    var (start, filled, copied) = (0, 0, 0)
    var isAtEnd = false
    while true {
      let window = windows[0]
      let fresh = filled
      while filled < window.count, !isAtEnd {
        let n = try source(UnsafeMutableRawBufferPointer(rebasing: window[filled...]))
        if n == 0 { isAtEnd = true }
        filled += n
        total += UInt64(n)
      }
      let whole = isAtEnd ? BlobIngester.blocks(over: filled) : BlobIngester.blocks(in: filled)
      BlobIngester.clear(window, from: filled, to: whole)
      copy?.begin(UnsafeRawBufferPointer(rebasing: window[copied..<whole]))
      // A small stream is one chunk, like a small file.
      if isAtEnd, total <= UInt64(Chunker.wholeFileBytes) {
        return (
          try worker.addChunk(
            UnsafeRawBufferPointer(rebasing: window[start..<filled]), following: predecessor), total
        )
      }
      background?.begin(UnsafeRawBufferPointer(rebasing: window[fresh..<filled]))
      isBackgroundDirty = background != nil
      while filled - start >= Chunker.maxBytes || (isAtEnd && start < filled) {
        let rest = UnsafeRawBufferPointer(rebasing: window[start..<filled])
        let (id, length) = try addFirstChunk(
          of: rest, after: last, following: predecessor, worker)
        last = id
        chunkList.append(id, lengthBytes: length)
        // A chunk that is the whole stream has the id of the blob.
        if isAtEnd, UInt64(length) == total { return (id, total) }
        if background == nil { hash.update(UnsafeRawBufferPointer(rebasing: rest[..<length])) }
        start += length
      }
      if isAtEnd {
        let id = background?.finish() ?? hash.finish()
        isBackgroundDirty = false
        if chunkList.sizeBytes > 0 { try worker.add(.recipe, id, chunkList.encode()) }
        return (id, total)
      }
      let alignedStart = BlobIngester.blocks(in: start)
      rotateWindows(keeping: alignedStart..<filled)
      (start, filled, copied) = (start - alignedStart, filled - alignedStart, whole - alignedStart)
    }
  }

  /// Discards what an earlier stream has left that failed midway.
  private mutating func discardEarlierStream() {
    hash.reset()
    if isBackgroundDirty { _ = background?.finish() }
    isBackgroundDirty = false
  }

  private static func clear(_ window: UnsafeMutableRawBufferPointer, from start: Int, to end: Int) {
    if start >= end { return }
    UnsafeMutableRawBufferPointer(rebasing: window[start..<end])
      .initializeMemory(as: UInt8.self, repeating: 0)
  }

  /// Moves a range of the first window to the beginning of the next one.
  private mutating func rotateWindows(keeping range: Range<Int>) {
    windows.append(windows.removeFirst())
    if let from = windows.last?.baseAddress, let to = windows[0].baseAddress {
      to.copyMemory(from: from + range.lowerBound, byteCount: range.count)
    }
  }

  /// Returns the length of the whole blocks within a number of bytes.
  private static func blocks(in bytes: Int) -> Int { bytes & ~(StagedFile.blockBytes - 1) }
  /// Returns the length of the blocks that cover a number of bytes.
  private static func blocks(over bytes: Int) -> Int {
    blocks(in: bytes + StagedFile.blockBytes - 1)
  }

  private func addFirstChunk(
    of bytes: UnsafeRawBufferPointer, after last: Digest?, following predecessor: BlobPredecessor?,
    _ worker: SessionWorker
  ) throws -> (id: Digest, lengthBytes: Int) {
    if let last, let next = forecast.next(after: last), next.lengthBytes <= bytes.count,
      try worker.addChunk(
        UnsafeRawBufferPointer(rebasing: bytes[..<next.lengthBytes]), ifItIs: next.chunk,
        following: predecessor)
    {
      return (next.chunk, next.lengthBytes)
    }
    let length = Chunker.firstCut(bytes)
    let id = try worker.addChunk(
      UnsafeRawBufferPointer(rebasing: bytes[..<length]), following: predecessor)
    return (id, length)
  }
}
