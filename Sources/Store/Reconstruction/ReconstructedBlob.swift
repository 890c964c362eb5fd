// Blobs that are rebuilt from other blobs when they are read. The caller that opens a store injects the
// module that reads plans and rebuilds bytes; this module has neither.

import Codec

/// A blob that a plan rebuilds. All methods may be called from any thread.
public protocol ReconstructedBlob: AnyObject, Sendable {
  /// The id of the blob.
  var id: Digest { get }
  /// The size of the blob in bytes.
  var sizeBytes: UInt64 { get }
  /// The number of parts that are rebuilt separately.
  var partCount: Int { get }
  /// The number of threads that may fill parts at a time without taking too much memory.
  var maxThreadCount: Int { get }
  /// Returns the range of a part: about 1 MiB.
  func range(ofPart index: Int) -> Range<UInt64>
  /// Returns the index of the part that contains the byte at `offset`; `partCount` if there is none.
  func indexOfPart(at offset: UInt64) -> Int
  /// Returns the blobs that the plan reads, with their sizes. A blob may occur more than once.
  func references() throws(StoreError) -> [(id: Digest, sizeBytes: UInt64)]
  /// The reason why the present encoders do not match the plan's; nil if they match.
  var encoderMismatch: String? { get }
  /// Fills `target` with the bytes of the blob, starting at `offset`.
  /// - Parameter depth: the number of reconstructions that this one is nested in, at most
  ///   `ObjectStore.maxReconstructionDepth`.
  /// - Throws: `StoreError`: `missing`; `damaged`, also if the blob ends before `target` is full;
  ///   `incompatible` if an encoder no longer produces the bytes that it produced when the plan was written.
  func fill(
    _ target: UnsafeMutableRawBufferPointer, from offset: UInt64, in store: ObjectStore, depth: Int
  ) throws
}

extension ReconstructedBlob {
  /// Returns a part of the blob.
  public func part(_ index: Int) -> BlobPart {
    let range = range(ofPart: index)
    return BlobPart(
      offset: range.lowerBound, lengthBytes: range.count, source: .reconstruction(self))
  }
}

/// Reads plans.
public protocol BlobReconstructor: Sendable {
  /// Returns the blob that a plan rebuilds.
  /// - Throws: `CodecError` if the bytes are not a valid plan.
  func blob(_ id: Digest, plan: [UInt8]) throws(CodecError) -> any ReconstructedBlob
}
