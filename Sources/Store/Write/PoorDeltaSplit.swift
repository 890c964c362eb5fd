// A frame whose base turned out to save little: some of its files have the name of an earlier version, and
// nothing else of it, such as compressed documents. Their chunks go into a frame without a base. So they do
// not keep the earlier version from being removed.

import Codec

/// Divides the chunks of frames with a base. Belongs to one thread.
final class PoorDeltaSplit {
  /// The chunks that their bases make smaller, with these bases.
  let deltas = FrameBuilder()
  /// The other chunks.
  let others = FrameBuilder()

  /// Divides the chunks of a frame.
  /// - Throws: `damaged` if libzstd fails.
  func divide(_ frame: FrameBuilder, _ encoder: FrameEncoder) throws(StoreError) {
    deltas.clear()
    others.clear()
    var bases: [Digest: UnsafeRawBufferPointer] = [:]
    frame.forEachBaseChunk { bases[$0] = $1 }
    let own = FrameBuilder()
    var start = 0
    for (object, base) in zip(frame.objects, frame.basesOfObjects) {
      let bytes = UnsafeRawBufferPointer(rebasing: frame.raw[start..<start + object.length])
      start += object.length
      own.clear()
      for chunk in base {
        if let bytes = bases[chunk] { own.addToBase(chunk, depth: 0, bytes) }
      }
      guard own.baseBytes > 0, try encoder.isSmaller(bytes, with: own.basePrefix) else {
        others.add(.chunk, object.id, bytes)
        continue
      }
      for chunk in base where !deltas.hasInBase(chunk) {
        guard let bytes = bases[chunk] else { continue }
        deltas.addToBase(chunk, depth: (frame.base?.depth ?? 1) - 1, bytes)
      }
      deltas.add(object.id, bytes, resembling: base)
    }
  }
}
