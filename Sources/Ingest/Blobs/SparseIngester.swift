// Stores a file with huge holes as a sparse blob. Its data is read, chunked and stored like that of
// any file. Its holes become runs of chunks of zeros, which are neither read nor hashed.

import Codec
import Store

/// Ingests one sparse file after another. Belongs to one thread.
struct SparseIngester {
  private let worker: SessionWorker?
  /// Chunks of zeros that the session has stored, by their length.
  private var zeroChunks: [Int: Digest] = [:]

  /// Creates an ingester.
  /// - Parameter worker: stores the chunks; nil to hash only.
  init(worker: SessionWorker?) { self.worker = worker }

  /// Ingests `ranges` of a content in their order; all other bytes are zeros.
  /// - Parameters:
  ///   - ranges: start at multiples of `SparseBlobHasher.blockBytes`.
  ///   - window: memory for at least two chunks.
  ///   - read: fills a buffer from an offset; returns false if the content ends too early.
  /// - Returns: the blob's id; nil if `read` returned false.
  mutating func ingest(
    _ ranges: [Range<UInt64>], sizeBytes: UInt64, window: UnsafeMutableRawBufferPointer,
    from read: (UInt64, UnsafeMutableRawBufferPointer) throws -> Bool
  ) throws -> Digest? {
    var hash = SparseBlobHasher(sizeBytes: sizeBytes)
    var chunkList = ChunkList(isSparse: true)
    var at: UInt64 = 0
    for range in ranges {
      hash.update(zeros: range.lowerBound - at)
      try appendZeros(range.lowerBound - at, to: &chunkList)
      guard try self.read(read, range, window, &hash, &chunkList) else { return nil }
      at = range.upperBound
    }
    hash.update(zeros: sizeBytes - at)
    try appendZeros(sizeBytes - at, to: &chunkList)
    let id = hash.finish()
    try worker?.add(.recipe, id, chunkList.encode())
    return id
  }

  private func read(
    _ source: (UInt64, UnsafeMutableRawBufferPointer) throws -> Bool, _ range: Range<UInt64>,
    _ window: UnsafeMutableRawBufferPointer, _ hash: inout SparseBlobHasher,
    _ chunkList: inout ChunkList
  ) throws -> Bool {
    var offset = range.lowerBound
    var filled = 0
    while true {
      let count = Int(min(UInt64(window.count - filled), range.upperBound - offset))
      let target = UnsafeMutableRawBufferPointer(rebasing: window[filled..<filled + count])
      guard try source(offset, target) else { return false }
      hash.update(UnsafeRawBufferPointer(target))
      offset += UInt64(count)
      filled += count
      let isAtEnd = offset == range.upperBound
      var start = 0
      while filled - start >= Chunker.maxBytes || (isAtEnd && start < filled) {
        let rest = UnsafeRawBufferPointer(rebasing: window[start..<filled])
        let length = Chunker.firstCut(rest)
        if let worker {
          let id = try worker.addChunk(UnsafeRawBufferPointer(rebasing: rest[..<length]))
          chunkList.append(id, lengthBytes: length)
        }
        start += length
      }
      if isAtEnd { return true }
      if let base = window.baseAddress, start > 0 {
        base.copyMemory(from: base + start, byteCount: filled - start)
      }
      filled -= start
    }
  }

  private mutating func appendZeros(_ count: UInt64, to chunkList: inout ChunkList) throws {
    guard worker != nil, count > 0 else { return }
    let whole = count / UInt64(Chunker.maxBytes)
    if whole > 0 {
      chunkList.append(
        try zeroChunk(Chunker.maxBytes), lengthBytes: Chunker.maxBytes, count: whole)
    }
    let rest = Int(count % UInt64(Chunker.maxBytes))
    if rest > 0 { chunkList.append(try zeroChunk(rest), lengthBytes: rest) }
  }

  private mutating func zeroChunk(_ lengthBytes: Int) throws -> Digest {
    if let id = zeroChunks[lengthBytes] { return id }
    let zeros = [UInt8](repeating: 0, count: lengthBytes)
    let id = try zeros.withUnsafeBytes { try worker?.addChunk($0) } ?? .zero
    zeroChunks[lengthBytes] = id
    return id
  }
}
