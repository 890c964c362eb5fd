// A frame's content in memory, and the decoders that make it.

import Codec
import Platform

/// Where a frame is.
struct FrameAddress: Hashable, Sendable {
  let pack: Digest
  let offset: UInt64

  /// Of what follows a frame of so many bytes.
  func following(_ frameBytes: Int) -> FrameAddress {
    FrameAddress(pack: pack, offset: offset &+ UInt64(truncatingIfNeeded: frameBytes))
  }
}

/// A decoded frame, or its beginning.
public final class DecodedFrame: @unchecked Sendable {  // immutable once decoded
  public let header: FrameHeader
  private let buffer: UnsafeMutableRawBufferPointer
  private let raw: UnsafeRawBufferPointer
  private let pool: BufferPool

  /// - Parameters:
  ///   - buffer: lent by `pool`, which gets it back.
  ///   - countBytes: how much of the buffer is decoded.
  init(
    _ header: FrameHeader, _ buffer: UnsafeMutableRawBufferPointer, countBytes: Int,
    from pool: BufferPool
  ) {
    self.header = header
    self.buffer = buffer
    raw = UnsafeRawBufferPointer(rebasing: buffer[..<countBytes])
    self.pool = pool
  }

  deinit { pool.release(buffer) }

  /// The memory that it takes.
  var heldBytes: Int { buffer.count }

  /// Calls `body` with the bytes of an object at `start`; they are valid during the call only, for the buffer
  /// goes to somebody else when the frame is let go of.
  public func withBytes<R, E: Error>(
    start: Int, length: Int, _ body: (UnsafeRawBufferPointer) throws(E) -> R
  ) throws(E) -> R {
    defer { withExtendedLifetime(self) {} }
    return try body(UnsafeRawBufferPointer(rebasing: raw[start..<start + length]))
  }
}

/// As many decompressors as threads that use one at once.
final class DecoderPool: Sendable {
  private final class Decoder: @unchecked Sendable {  // taken out of the pool by one thread
    let zstd = ZstdDecompressor()
  }
  private let idle = Monitor<[Decoder]>([])

  func decompress(
    _ source: UnsafeRawBufferPointer, _ target: UnsafeMutableRawBufferPointer
  ) throws(CodecError) {
    let decoder = idle.withLock { $0.popLast() } ?? Decoder()
    defer { idle.withLock { $0.append(decoder) } }
    try decoder.zstd.decompress(source, into: target)
  }
}
