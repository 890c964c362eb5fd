// The decoded content of a frame in memory.

import Codec
import Platform

/// Identifies a frame: its pack and its offset there.
struct FrameAddress: Hashable, Sendable {
  let pack: Digest
  let offset: UInt64

  /// Returns the address behind a frame of `frameBytes` bytes at this address.
  func following(_ frameBytes: Int) -> FrameAddress {
    FrameAddress(pack: pack, offset: offset &+ UInt64(truncatingIfNeeded: frameBytes))
  }
}

/// A decoded frame, or the beginning of one.
public final class DecodedFrame: @unchecked Sendable {  // immutable once decoded
  /// The header, which lists the objects.
  public let header: FrameHeader
  private let buffer: UnsafeMutableRawBufferPointer
  private let raw: UnsafeRawBufferPointer
  private let pool: BufferPool

  /// Creates a frame from a buffer that is decoded already, or will be before anyone reads it.
  /// - Parameters:
  ///   - buffer: borrowed from `pool`; returned to it by `deinit`.
  ///   - countBytes: the length of the decoded part of the buffer.
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

  /// The size of the buffer that this frame occupies.
  var heldBytes: Int { buffer.count }

  /// Calls `body` with the bytes of the object at `start`. They are valid during the call only, because the
  /// buffer returns to the pool with the last reference to the frame.
  public func withBytes<R, E: Error>(
    start: Int, length: Int, _ body: (UnsafeRawBufferPointer) throws(E) -> R
  ) throws(E) -> R {
    defer { withExtendedLifetime(self) {} }
    return try body(UnsafeRawBufferPointer(rebasing: raw[start..<start + length]))
  }
}
