// A range of a blob that is to be filled, cut into the parts of its plan.

import Codec
import Store

/// Memory to fill with the bytes of a blob, or of a part of it.
struct FillRequest {
  let target: UnsafeMutableRawBufferPointer
  /// The offset of the first byte in the blob or part.
  let offset: UInt64
  let store: ObjectStore
  /// The number of reconstructions that the request is nested in.
  let depth: Int

  /// The offset after the last byte.
  var end: UInt64 { offset + UInt64(target.count) }

  /// Returns the request for the bytes that lie in a part, with offsets from its start; nil if there are
  /// none.
  func part(_ part: Range<UInt64>) -> FillRequest? {
    let (low, high) = (max(part.lowerBound, offset), min(part.upperBound, end))
    guard low < high else { return nil }
    let bytes = target[Int(low - offset)..<Int(high - offset)]
    return FillRequest(
      target: UnsafeMutableRawBufferPointer(rebasing: bytes), offset: low - part.lowerBound,
      store: store, depth: depth)
  }

  /// Fills the memory from a blob of the store.
  func fill(from blob: Digest, sizeBytes: UInt64) throws {
    try store.fill(target, from: blob, sizeBytes: sizeBytes, at: offset, depth: depth)
  }

  /// Fills the memory from the bytes of the part.
  func copy(from bytes: some Collection<UInt8>) {
    target.copyBytes(from: bytes.dropFirst(Int(offset)).prefix(target.count))
  }
}
