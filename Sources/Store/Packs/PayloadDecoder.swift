// Decodes the payloads of frames, in all their forms (`FrameCodec`).

import Codec
import Platform

/// Decodes payloads. Belongs to one thread at a time.
final class PayloadDecoder: @unchecked Sendable {  // taken out of the pool by one thread
  private let zstd = ZstdDecompressor()
  private let buffers: BufferPool

  /// Creates a decoder.
  /// - Parameter buffers: the buffers for scripts of differences.
  init(_ buffers: BufferPool) { self.buffers = buffers }

  /// Decodes `payload` to exactly the length of `target`.
  /// - Parameter base: the bytes of the frame's base; nil for a frame without one.
  /// - Throws: `corrupt`, `truncated`, `overLimit`.
  func decode(
    _ payload: UnsafeRawBufferPointer, _ codec: FrameCodec, base: UnsafeRawBufferPointer?,
    into target: UnsafeMutableRawBufferPointer
  ) throws(CodecError) {
    switch (codec, base) {
    case (.zstd, nil): try zstd.decompress(payload, into: target)
    case (.zstd, let base?): try zstd.decompress(payload, prefix: base, into: target)
    case (.differences, nil): throw .corrupt("the frame contains differences and has no base")
    case (.differences, let base?):
      // A script is shorter than what it makes.
      let buffer = buffers.acquire(target.count)
      defer { buffers.release(buffer) }
      let script = try zstd.decompress(
        payload, intoStartOf: UnsafeMutableRawBufferPointer(rebasing: buffer[..<target.count]))
      try DifferenceDecoder.decode(script, base: base, into: target)
    }
  }
}

/// Keeps as many decoders as threads have used at the same time.
final class DecoderPool: Sendable {
  private let buffers: BufferPool
  private let idle = Monitor<[PayloadDecoder]>([])

  /// Creates a pool.
  /// - Parameter buffers: the buffers for scripts of differences.
  init(_ buffers: BufferPool) { self.buffers = buffers }

  /// Decodes a payload like `PayloadDecoder.decode`. May be called from any thread.
  func decode(
    _ payload: UnsafeRawBufferPointer, _ codec: FrameCodec, base: UnsafeRawBufferPointer? = nil,
    into target: UnsafeMutableRawBufferPointer
  ) throws(CodecError) {
    let decoder = idle.withLock { $0.popLast() } ?? PayloadDecoder(buffers)
    defer { idle.withLock { $0.append(decoder) } }
    try decoder.decode(payload, codec, base: base, into: target)
  }
}
