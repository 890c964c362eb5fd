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
    var done = 0
    for part in try parts(blob, sizeBytes).starting(at: offset) {
      guard done < target.count else { break }
      try view.store.read(part) { partOffset, bytes in
        let from = Int(offset + UInt64(done) - partOffset)
        let count = min(bytes.count - from, target.count - done)
        UnsafeMutableRawBufferPointer(rebasing: target[done..<done + count]).copyMemory(
          from: UnsafeRawBufferPointer(rebasing: bytes[from..<from + count]))
        done += count
      }
    }
    guard done == target.count else {
      throw StoreError(
        .damaged, "blob \(blob)", "has fewer than the \(sizeBytes) bytes that its tree records",
        hint: "Run 'imgstore verify --deep' to see which snapshots are affected")
    }
  }

  private func parts(_ blob: Digest, _ sizeBytes: UInt64) throws -> BlobParts {
    if let known, known.blob == blob { return known.parts }
    let parts = try view.store.parts(of: blob, sizeBytes: sizeBytes)
    known = (blob, parts)
    return parts
  }
}
