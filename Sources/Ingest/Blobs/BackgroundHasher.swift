// SHA-256 on a thread of its own: a large stream is hashed whole there while its chunks are cut and
// hashed here.

import Codec
import Platform

/// Hashes what it is given, in order; `BufferPipeline`'s rules hold for the bytes.
final class BackgroundHasher {
  private final class Running: @unchecked Sendable {  // the thread's, and ours after `wait`
    var hash = SHA256()
  }

  private let running = Running()
  private let thread: BufferPipeline

  init() {
    thread = BufferPipeline { [running] in running.hash.update($0) }
  }

  func begin(_ bytes: UnsafeRawBufferPointer) { thread.begin(bytes) }

  func wait() { thread.wait() }

  /// The digest of all bytes since the last `finish`.
  func finish() -> Digest {
    thread.wait()
    return running.hash.finish()
  }
}
