// Buffers of a frame's size that go round: the kernel clears each fresh page, which costs as much as what
// is then written to it.

import Platform

/// Lends buffers. Any thread may call it.
final class BufferPool: Sendable {
  private static let maxBytes = FrameBuilder.capacity
  /// What is smaller by far has memory of its own size: many of those may be kept.
  private static let minBytes = maxBytes / 4
  /// One for each thread that reads; 12 MiB on a small machine.
  private static let maxIdle = diskThreadCount
  private let idle = Monitor<[UnsafeMutableRawBufferPointer]>([])

  deinit {
    idle.withLock { idle in
      for buffer in idle { buffer.deallocate() }
    }
  }

  /// A buffer of so many bytes, or more.
  func take(_ countBytes: Int) -> UnsafeMutableRawBufferPointer {
    guard countBytes <= BufferPool.maxBytes, countBytes >= BufferPool.minBytes else {
      return .allocate(byteCount: max(countBytes, 1), alignment: 64)
    }
    return idle.withLock { $0.popLast() }
      ?? .allocate(byteCount: BufferPool.maxBytes, alignment: 64)
  }

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
