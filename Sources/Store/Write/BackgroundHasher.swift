// SHA-256 on a separate thread. It hashes the whole of a large stream while the calling thread
// splits the stream into chunks and hashes those.

import Codec
import Platform

/// Hashes buffers in order. The rules of `BufferPipeline` apply to their bytes.
public final class BackgroundHasher {
  private final class Running: @unchecked Sendable {  // the thread's until `wait` returns
    var hash = SHA256()
  }

  private let running = Running()
  private let thread: BufferPipeline

  /// Creates a hasher and starts its thread.
  public init() {
    thread = BufferPipeline { [running] in running.hash.update($0) }
  }

  /// Starts to hash `bytes`.
  public func begin(_ bytes: UnsafeRawBufferPointer) { thread.begin(bytes) }

  /// Waits until all bytes are hashed.
  public func wait() { thread.wait() }

  /// Returns the digest of all bytes since the last `finish`.
  public func finish() -> Digest {
    thread.wait()
    return running.hash.finish()
  }
}
