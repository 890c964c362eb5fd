// The earlier version of a blob that is being stored: which of its chunks resemble a chunk of the new
// version.
//
// 1. A predecessor is a hint: a wrong one costs bytes, and nothing else.
// 2. Without a common chunk, both versions are assumed to be stretched evenly. After a common chunk, the
//    distance between its two places is that of the following chunks.

import Codec

/// The earlier version of one blob. Belongs to one thread at a time.
public final class BlobPredecessor {
  /// The earlier blob.
  let blob: Digest
  let sizeBytes: UInt64
  private let newSizeBytes: UInt64
  private var offset: UInt64 = 0
  private var shift: Int64?
  /// The chunks with their offsets; nil before they are read.
  var chunks: [(id: Digest, offset: UInt64, length: Int)]? {
    didSet { positions = nil }
  }
  private var positions: [Digest: UInt64]?

  /// Creates the description of an earlier version.
  /// - Parameters:
  ///   - sizeBytes: the size of the earlier version.
  ///   - newSizeBytes: the expected size of the new one.
  public init(_ blob: Digest, sizeBytes: UInt64, newSizeBytes: UInt64) {
    self.blob = blob
    self.sizeBytes = sizeBytes
    self.newSizeBytes = newSizeBytes
  }

  /// Starts again at the first chunk of the new version.
  public func rewind() {
    offset = 0
    shift = nil
  }

  /// Notes the next chunk of the new version.
  /// - Returns: the range of the earlier version that it may resemble.
  func advance(_ id: Digest, lengthBytes: Int) -> Range<UInt64> {
    let start = offset
    offset &+= UInt64(lengthBytes)
    if let known = position(of: id) { shift = Int64(clamping: known) - Int64(clamping: start) }
    let first = earlierOffset(start)
    return first..<max(first, earlierOffset(offset))
  }

  private func position(of id: Digest) -> UInt64? {
    guard let chunks, chunks.count > 1 else { return nil }
    if positions == nil {
      positions = Dictionary(chunks.map { ($0.id, $0.offset) }) { first, _ in first }
    }
    return positions?[id]
  }

  private func earlierOffset(_ offset: UInt64) -> UInt64 {
    if let shift {
      let moved = Int64(clamping: offset).addingReportingOverflow(shift).partialValue
      return min(UInt64(max(0, moved)), sizeBytes)
    }
    if offset >= newSizeBytes { return newSizeBytes == 0 ? 0 : sizeBytes }
    return newSizeBytes.dividingFullWidth(offset.multipliedFullWidth(by: sizeBytes)).quotient
  }
}
