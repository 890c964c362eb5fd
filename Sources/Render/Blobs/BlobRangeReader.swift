// Reads any range of a blob, from the store's frames or from the edits of an overlay.

import Codec
import Store

/// Reads ranges of blobs. Belongs to one thread at a time. It keeps the layout of the last large
/// blob, because its ranges are usually read one after another.
final class BlobRangeReader {
  private let view: OverlayTree
  private var known: (blob: Digest, parts: BlobParts)?

  init(_ view: OverlayTree) { self.view = view }

  /// Fills `target` with the bytes of a blob from `offset`.
  /// - Throws: `StoreError`: `missing`; `damaged`, also if the blob has fewer bytes.
  func read(
    _ blob: Digest, sizeBytes: UInt64, from offset: UInt64,
    into target: UnsafeMutableRawBufferPointer
  ) throws {
    if let bytes = view.content(blob), UInt64(bytes.count) == sizeBytes,
      let start = Int(exactly: offset), start <= bytes.count, target.count <= bytes.count - start
    {
      bytes.withUnsafeBytes {
        target.copyMemory(
          from: UnsafeRawBufferPointer(rebasing: $0[start..<start + target.count]))
      }
      return
    }
    try view.store.fill(target, from: try parts(blob, sizeBytes), of: blob, at: offset)
  }

  private func parts(_ blob: Digest, _ sizeBytes: UInt64) throws -> BlobParts {
    if let known, known.blob == blob { return known.parts }
    let parts = try view.store.parts(of: blob, sizeBytes: sizeBytes)
    known = (blob, parts)
    return parts
  }
}
