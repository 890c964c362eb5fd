// The reading of bases: the chunks that a frame is compressed against, from frames of less depth
// (FrameBase.swift).

import Codec
import Platform

extension PackReader {
  /// Returns the location of the copy of a chunk that is read; nil if no pack contains the chunk.
  typealias BaseLocator = @Sendable (Digest) throws(StoreError) -> ObjectLocation?

  /// Holds a locator. A closure in a `Monitor` would get another wrapper by each reading.
  final class BaseLocatorBox: Sendable {
    let locate: BaseLocator
    init(_ locate: @escaping BaseLocator) { self.locate = locate }
  }

  /// Sets what finds the chunks of bases.
  func setBaseLocator(_ locator: @escaping BaseLocator) {
    let box = BaseLocatorBox(locator)
    baseLocator.withLock { $0 = box }
  }

  /// Calls `body` with the bytes of a frame's base; with nil for a frame without one.
  /// - Throws: `damaged`, `missing` or `index` for a chunk of the base; `system`; errors of `body`.
  func withBase<R>(
    _ header: FrameHeader, _ body: (UnsafeRawBufferPointer?) throws(StoreError) -> R
  ) throws(StoreError) -> R {
    guard let base = header.base else { return try body(nil) }
    let buffer = buffers.acquire(base.sizeBytes)
    defer { buffers.release(buffer) }
    var filledBytes = 0
    for chunk in base.chunks {
      let target = UnsafeMutableRawBufferPointer(
        rebasing: buffer[filledBytes..<filledBytes + chunk.length])
      try readBaseChunk(chunk, belowDepth: base.depth, into: target)
      filledBytes += chunk.length
    }
    return try body(UnsafeRawBufferPointer(rebasing: buffer[..<filledBytes]))
  }

  /// Copies a chunk of a base.
  /// - Throws: `missing` if no pack contains it; `damaged` if its frame is, or is not less deep than `depth`.
  private func readBaseChunk(
    _ chunk: FrameBase.Chunk, belowDepth depth: UInt8, into target: UnsafeMutableRawBufferPointer
  ) throws(StoreError) {
    let object = "chunk \(chunk.id.hex), which a frame is based on,"
    guard let box = baseLocator.withLock({ $0 }), let location = try box.locate(chunk.id) else {
      throw .missing(object, "is in no pack")
    }
    guard location.depth < depth else {
      throw .damaged(object, "is in a frame that rests on as many others")
    }
    let frame = try frame(location.address, frameBytes: location.frameBytes)
    guard location.length == chunk.length, frame.header.base?.depth ?? 0 < depth,
      frame.header.holds(.chunk, chunk.id, start: location.start, length: location.length)
    else {
      throw StoreError(
        .index, object, "is not at the location that the index lists",
        hint: "Run 'imgstore reindex'")
    }
    frame.withBytes(start: location.start, length: location.length) { target.copyMemory(from: $0) }
  }
}
