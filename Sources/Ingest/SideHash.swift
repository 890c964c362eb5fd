// SHA-256 on a thread of its own: a large stream is hashed whole there while its chunks are cut and
// hashed here.

import Codec
import Platform

/// Hashes what it is given, in order. Its owner waits before it touches the bytes again.
final class SideHash: Sendable {
  private struct Work: @unchecked Sendable {  // the owner keeps the bytes until `wait`
    var bytes: UnsafeRawBufferPointer?
    var isOver = false
    var digest: Digest?
    var wantsDigest = false
  }

  private let work = Monitor(Work())

  init() {
    let work = work
    startDetachedThread {
      var hash = SHA256()
      while true {
        let (bytes, isOver) = work.wait { work -> (UnsafeRawBufferPointer?, Bool)? in
          if work.isOver { return (nil, true) }
          if let bytes = work.bytes { return (bytes, false) }
          return work.wantsDigest ? (nil, false) : nil
        }
        if isOver { return }
        if let bytes {
          hash.update(bytes)
          work.update { $0.bytes = nil }
        } else {
          let digest = hash.finish()
          work.update { work in
            work.digest = digest
            work.wantsDigest = false
          }
        }
      }
    }
  }

  deinit { work.update { $0.isOver = true } }

  /// Begins to hash `bytes`, which must stay as they are until `wait` returns.
  func begin(_ bytes: UnsafeRawBufferPointer) {
    wait()
    if !bytes.isEmpty { work.update { $0.bytes = bytes } }
  }

  /// Waits until the bytes are no longer needed.
  func wait() { work.wait { $0.bytes == nil ? () : nil } }

  /// The digest of all bytes since the last `finish`.
  func finish() -> Digest {
    wait()
    work.update { $0.wantsDigest = true }
    return work.wait { work -> Digest? in
      defer { work.digest = nil }
      return work.digest
    }
  }
}
