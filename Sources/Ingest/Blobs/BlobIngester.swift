// A stream of bytes becomes a blob: hashed whole, cut into chunks, stored. One window of 4 MiB, or three;
// nothing else grows with the stream but its recipe (34 bytes a chunk).
//
//     window   |....cut....|..not yet..|      the next one begins with what is not cut yet, at a
//              ^ block     ^ start     ^ held  boundary of blocks, as the stream has them
//
// 1. A byte of the stream lies in each window at an address that is congruent to its offset in the
//    stream, modulo a block: what is copied beside is written from here, past the page cache.
// 2. With threads beside, a window is filled again when `BufferPipeline` allows it; alone, there is one.

import Codec
import Platform
import Store

/// One thread's way from streams to blobs.
struct BlobIngester: ~Copyable {
  static let windowBytes = 4 << 20

  /// In turn; the first is the next to be filled.
  private var windows: [UnsafeMutableRawBufferPointer]
  private var hash = SHA256()
  /// Hashes large streams beside this thread; nil where all processors are busy with streams.
  private let side: BackgroundHasher?
  private var isSideDirty = false
  /// What large streams may resemble.
  private let forecast: ChunkPredictor

  /// - Parameters:
  ///   - isBeside: whether a large stream is hashed whole, and copied, on threads of their own.
  ///   - forecast: of what the streams may resemble.
  init(beside isBeside: Bool = false, forecast: ChunkPredictor = ChunkPredictor()) {
    self.forecast = forecast
    side = isBeside ? BackgroundHasher() : nil
    windows = (0..<(isBeside ? BufferPipeline.rangeCount : 1)).map { _ in
      .allocate(byteCount: BlobIngester.windowBytes, alignment: StagedFile.blockBytes)
    }
  }

  deinit {
    side?.wait()
    for window in windows { window.deallocate() }
  }

  /// Memory for anything between two streams.
  var window: UnsafeMutableRawBufferPointer { windows[0] }

  /// Reads `source` to its end and stores nothing.
  mutating func identify(
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

  /// Reads `source` to its end.
  /// - Parameters:
  ///   - worker: stores the chunks.
  ///   - copy: is given every byte as well, where this ingester has threads beside.
  ///   - source: fills a buffer and says how far; 0 at the end.
  mutating func ingest(
    _ worker: SessionWorker, copyingTo copy: StagedFile? = nil,
    from source: (UnsafeMutableRawBufferPointer) throws -> Int
  ) throws -> (id: Digest, sizeBytes: UInt64) {
    precondition(copy == nil || side != nil, "one window cannot be copied beside")
    defer { copy?.wait() }
    // An earlier stream may have failed half way.
    hash.reset()
    if isSideDirty { _ = side?.finish() }
    isSideDirty = false
    var recipe = Recipe()
    var total: UInt64 = 0
    var last: Digest?
    var (start, held, copied) = (0, 0, 0)
    var isAtEnd = false
    while true {
      let window = windows[0]
      let fresh = held
      while held < window.count, !isAtEnd {
        let n = try source(UnsafeMutableRawBufferPointer(rebasing: window[held...]))
        if n == 0 { isAtEnd = true }
        held += n
        total += UInt64(n)
      }
      let whole = isAtEnd ? BlobIngester.blocks(over: held) : BlobIngester.blocks(in: held)
      if whole > held {
        UnsafeMutableRawBufferPointer(rebasing: window[held..<whole])
          .initializeMemory(as: UInt8.self, repeating: 0)
      }
      copy?.begin(UnsafeRawBufferPointer(rebasing: window[copied..<whole]))
      // A small stream is one chunk, as a small file is.
      if isAtEnd, total <= UInt64(Chunker.wholeFileBytes) {
        return (try worker.addChunk(UnsafeRawBufferPointer(rebasing: window[start..<held])), total)
      }
      side?.begin(UnsafeRawBufferPointer(rebasing: window[fresh..<held]))
      isSideDirty = side != nil
      while held - start >= Chunker.maxBytes || (isAtEnd && start < held) {
        let rest = UnsafeRawBufferPointer(rebasing: window[start..<held])
        let (id, length) = try addFirstChunk(of: rest, after: last, worker)
        last = id
        recipe.append(id, lengthBytes: length)
        // One chunk that is the whole stream has named the blob already.
        if isAtEnd, UInt64(length) == total { return (id, total) }
        if side == nil { hash.update(UnsafeRawBufferPointer(rebasing: rest[..<length])) }
        start += length
      }
      if isAtEnd {
        let id = side?.finish() ?? hash.finish()
        isSideDirty = false
        if recipe.sizeBytes > 0 { try worker.add(.recipe, id, recipe.encode()) }
        return (id, total)
      }
      let kept = BlobIngester.blocks(in: start)
      windows.append(windows.removeFirst())
      if let from = window.baseAddress, let to = windows[0].baseAddress {
        to.copyMemory(from: from + kept, byteCount: held - kept)
      }
      (start, held, copied) = (start - kept, held - kept, whole - kept)
    }
  }

  /// The length of the whole blocks in so many bytes.
  private static func blocks(in bytes: Int) -> Int { bytes & ~(StagedFile.blockBytes - 1) }
  /// The length of the blocks that hold so many bytes.
  private static func blocks(over bytes: Int) -> Int {
    blocks(in: bytes + StagedFile.blockBytes - 1)
  }

  private func addFirstChunk(
    of bytes: UnsafeRawBufferPointer, after last: Digest?, _ worker: SessionWorker
  ) throws -> (id: Digest, lengthBytes: Int) {
    if let last, let next = forecast.next(after: last), next.lengthBytes <= bytes.count,
      try worker.addChunk(
        UnsafeRawBufferPointer(rebasing: bytes[..<next.lengthBytes]), ifItIs: next.chunk)
    {
      return (next.chunk, next.lengthBytes)
    }
    let length = Chunker.firstCut(bytes)
    return (try worker.addChunk(UnsafeRawBufferPointer(rebasing: bytes[..<length])), length)
  }
}
