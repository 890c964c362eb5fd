// The chunks that new frames are compressed against: where they are, and their bytes.
//
// 1. Only chunks in packs that are not doomed, and whose own bases are there, become bases. The lease of the
//    session keeps them until it ends; from the ref on, gc does.
// 2. A chunk that cannot be read is not used. `verify` reports it; a snapshot does not fail because of it.
// 3. A chunk that is too deep is replaced by one that it is based on itself, and so on. So any number of
//    versions has chains of a limited depth (docs/decisions/0096-one-frame-for-a-base.md).
// 4. Memory: the cached frames of the store (PackReader), some directories of frames, and the chunk list of one
//    blob a thread.

import Codec
import Platform

/// Finds and reads bases. All methods may be called from any thread.
final class BaseReader: Sendable {
  /// A chunk of an earlier version, with its location.
  struct Chunk: Sendable {
    let id: Digest
    let location: ObjectLocation
  }

  /// How far before and behind the assumed place a chunk's base reaches.
  private static let slackBytes: UInt64 = 256 << 10
  /// The largest recipe of an earlier version that is read: a file of 4 GiB.
  private static let maxRecipeBytes = 1 << 20

  private let index: Index
  private let maxDepth: UInt8
  private let alignments = Monitor<[FrameAddress: BaseAlignment]>([:])
  private static let maxAlignments = 256

  /// Creates a reader.
  /// - Parameter maxDepth: the greatest depth of the new frames.
  init(_ index: Index, maxDepth: UInt8) {
    self.index = index
    self.maxDepth = maxDepth
  }

  /// Returns the chunks of an earlier version, or of versions before it, that a part of the new one may
  /// resemble, in their order.
  /// - Parameter range: the range of the earlier version.
  func chunks(
    of predecessor: BlobPredecessor, for range: Range<UInt64>
  ) throws(StoreError) -> [Chunk] {
    if predecessor.chunks == nil { predecessor.chunks = try chunkList(of: predecessor) }
    let all = predecessor.chunks ?? []
    let low = range.lowerBound - min(range.lowerBound, BaseReader.slackBytes)
    let high = range.upperBound &+ BaseReader.slackBytes
    let first = all.partitioningIndex { $0.offset &+ UInt64($0.length) > low }
    var chunks: [Chunk] = []
    var sizeBytes = 0
    for chunk in all[first...] {
      guard chunk.offset < high, sizeBytes < FrameBuilder.maxBaseBytes else { break }
      guard let base = try base(like: chunk.id, chunk.length),
        try index.missingBase(of: base.location) == nil
      else { continue }
      chunks.append(base)
      sizeBytes += base.location.length
    }
    return chunks
  }

  /// Returns the chunk, or one that it rests on if it is too deep itself.
  private func base(like id: Digest, _ length: Int) throws(StoreError) -> Chunk? {
    guard var location = try index.keptLocation(.chunk, id), location.length == length else {
      return nil
    }
    var id = id
    let limit = location.depth < maxDepth ? maxDepth : depth(behind: location.address)
    while location.depth >= limit {
      guard let base = try alignment(of: location.address).base(ofObjectAt: location.start),
        let next = try index.keptLocation(.chunk, base.id), next.length == base.length,
        next.depth < location.depth
      else { return nil }
      (id, location) = (base.id, next)
    }
    return Chunk(id: id, location: location)
  }

  /// Returns the depth of the next versions of the chunks of a frame of the greatest depth: the same for three
  /// of four frames, one less for three of four others, and so on to 1. So the chunks that many versions are
  /// based on are replaced by later ones, the less often the less deep they are.
  private func depth(behind frame: FrameAddress) -> UInt8 {
    let number = (frame.pack.prefix ^ frame.offset) &* 0x9e37_79b9_7f4a_7c15
    let lessBy = UInt8(number.leadingZeroBitCount / 2)
    return max(1, maxDepth - min(lessBy, maxDepth))
  }

  private func alignment(of frame: FrameAddress) throws(StoreError) -> BaseAlignment {
    if let known = alignments.withLock({ $0[frame] }) { return known }
    // A directory that cannot be read is damage that `verify` reports (invariant 2).
    let alignment = BaseAlignment((try? index.directory(of: frame)) ?? nil)
    alignments.withLock { alignments in
      if alignments.count >= BaseReader.maxAlignments { alignments.removeAll() }
      alignments[frame] = alignment
    }
    return alignment
  }

  /// Calls `body` with the bytes of a chunk, unless it cannot be read.
  func read(_ chunk: Chunk, _ body: (UnsafeRawBufferPointer) -> Void) {
    guard
      let frame = try? index.reader.frame(
        chunk.location.address, frameBytes: chunk.location.frameBytes),
      frame.header.holds(
        .chunk, chunk.id, start: chunk.location.start, length: chunk.location.length)
    else { return }
    frame.withBytes(start: chunk.location.start, length: chunk.location.length, body)
  }

  /// Returns the chunks of a blob; none for a blob that is rebuilt from others, or is not there.
  private func chunkList(
    of blob: BlobPredecessor
  ) throws(StoreError) -> [(id: Digest, offset: UInt64, length: Int)] {
    if blob.sizeBytes <= UInt64(Chunker.maxBytes),
      try index.keptLocation(.chunk, blob.blob)?.length == Int(blob.sizeBytes)
    {
      return [(blob.blob, 0, Int(blob.sizeBytes))]
    }
    guard let location = try index.keptLocation(.recipe, blob.blob),
      location.length <= BaseReader.maxRecipeBytes,
      let frame = try? index.reader.frame(location.address, frameBytes: location.frameBytes),
      frame.header.holds(.recipe, blob.blob, start: location.start, length: location.length)
    else { return [] }
    let bytes = frame.withBytes(start: location.start, length: location.length) { [UInt8]($0) }
    guard let list = try? ChunkList.decode(bytes) else { return [] }
    var chunks: [(id: Digest, offset: UInt64, length: Int)] = []
    var offset: UInt64 = 0
    for run in list.runs {
      // Equal chunks one after the other are one base.
      chunks.append((run.chunk, offset, run.lengthBytes))
      offset &+= UInt64(run.lengthBytes) &* run.count
    }
    return chunks
  }
}
