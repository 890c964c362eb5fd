// A pool of buffers of a frame's size. The kernel clears each fresh page, which costs as much as writing to
// it; reused buffers avoid that.

import Platform

/// Lends buffers. All methods may be called from any thread.
final class BufferPool: Sendable {
  private static let maxBytes = FrameBuilder.capacity
  /// Much smaller requests get memory of their own size, because many such frames may stay cached.
  private static let minBytes = maxBytes / 4
  /// One buffer for each thread that reads; 12 MiB on a small machine. Further ones are freed after use.
  private static let maxIdle = diskThreadCount
  private let idle = Monitor<[UnsafeMutableRawBufferPointer]>([])

  deinit {
    idle.withLock { idle in
      for buffer in idle { buffer.deallocate() }
    }
  }

  /// Returns a buffer of `countBytes` bytes or more, from the pool if the size fits it.
  func acquire(_ countBytes: Int) -> UnsafeMutableRawBufferPointer {
    guard countBytes <= BufferPool.maxBytes, countBytes >= BufferPool.minBytes else {
      return .allocate(byteCount: max(countBytes, 1), alignment: 64)
    }
    return idle.withLock { $0.popLast() }
      ?? .allocate(byteCount: BufferPool.maxBytes, alignment: 64)
  }

  /// Takes a buffer back, and frees it if the pool is full or the size does not fit.
  func release(_ buffer: UnsafeMutableRawBufferPointer) {
    let isKept = idle.withLock { idle in
      guard buffer.count == BufferPool.maxBytes, idle.count < BufferPool.maxIdle
      else { return false }
      idle.append(buffer)
      return true
    }
    if !isKept { buffer.deallocate() }
  }
}
