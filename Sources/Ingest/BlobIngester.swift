// A stream of bytes becomes a blob: hashed whole, cut into chunks, stored. One window of 4 MiB, or two;
// nothing else grows with the stream but its recipe (34 bytes a chunk).

import Codec
import Platform
import Store

/// One thread's way from streams to blobs.
struct BlobIngester: ~Copyable {
  static let windowBytes = 4 << 20

  private(set) var window: UnsafeMutableRawBufferPointer
  /// Where large streams are hashed beside: while one window is cut here, the one before may still
  /// be under way there.
  private var otherWindow: UnsafeMutableRawBufferPointer
  private var hash = SHA256()
  /// Hashes large streams beside this thread; nil where all processors are busy with streams.
  private let side: SideHash?
  private var isSideDirty = false

  /// - Parameter hashesBeside: whether a large stream is hashed whole on a thread of its own.
  init(hashesBeside: Bool = false) {
    window = .allocate(byteCount: BlobIngester.windowBytes, alignment: 4096)
    side = hashesBeside ? SideHash() : nil
    otherWindow =
      hashesBeside
      ? .allocate(byteCount: BlobIngester.windowBytes, alignment: 4096) : window
  }

  deinit {
    side?.wait()
    if side != nil { otherWindow.deallocate() }
    window.deallocate()
  }

  /// Reads `source` to its end.
  /// - Parameters:
  ///   - worker: stores the chunks; nil to hash only.
  ///   - copy: is given every byte as well.
  ///   - source: fills a buffer and says how far; 0 at the end.
  mutating func ingest(
    _ worker: SessionWorker?, copyingTo copy: StagedFile? = nil,
    from source: (UnsafeMutableRawBufferPointer) throws -> Int
  ) throws -> (id: Digest, sizeBytes: UInt64) {
    // An earlier stream may have failed half way.
    hash.reset()
    if isSideDirty { _ = side?.finish() }
    isSideDirty = false
    var recipe = Recipe()
    var held = 0
    var total: UInt64 = 0
    var isAtEnd = false
    while true {
      let fresh = held
      while held < window.count, !isAtEnd {
        let n = try source(UnsafeMutableRawBufferPointer(rebasing: window[held...]))
        if n == 0 { isAtEnd = true }
        held += n
        total += UInt64(n)
      }
      copy?.write(UnsafeRawBufferPointer(rebasing: window[fresh..<held]))
      guard let worker else {
        hash.update(UnsafeRawBufferPointer(rebasing: window[..<held]))
        held = 0
        if isAtEnd { return (hash.finish(), total) }
        continue
      }
      // A small stream is one chunk, as a small file is.
      if isAtEnd, total <= UInt64(Chunker.wholeFileBytes) {
        return (try worker.addChunk(UnsafeRawBufferPointer(rebasing: window[..<held])), total)
      }
      side?.begin(UnsafeRawBufferPointer(rebasing: window[fresh..<held]))
      isSideDirty = side != nil
      var start = 0
      while held - start >= Chunker.mostBytes || (isAtEnd && start < held) {
        let rest = UnsafeRawBufferPointer(rebasing: window[start..<held])
        let length = Chunker.firstCut(rest)
        let chunk = UnsafeRawBufferPointer(rebasing: rest[..<length])
        let id = try worker.addChunk(chunk)
        recipe.append(id, lengthBytes: length)
        // One chunk that is the whole stream has named the blob already.
        if isAtEnd, UInt64(length) == total { return (id, total) }
        if side == nil { hash.update(chunk) }
        start += length
      }
      // `begin` has waited for the window before this one.
      if let from = window.baseAddress, let to = otherWindow.baseAddress, start > 0 || from != to {
        to.copyMemory(from: from + start, byteCount: held - start)
      }
      swap(&window, &otherWindow)
      held -= start
      if isAtEnd, held == 0 {
        let id = side?.finish() ?? hash.finish()
        isSideDirty = false
        if recipe.sizeBytes > 0 { try worker.add(.recipe, id, recipe.encode()) }
        return (id, total)
      }
    }
  }
}
