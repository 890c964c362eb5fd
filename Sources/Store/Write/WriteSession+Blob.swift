// Stores bytes in memory as a blob.

import Codec

extension WriteSession {
  /// Stores `bytes` as a blob.
  /// - Returns: the blob's id, which is the SHA-256 of `bytes`.
  /// - Throws: `StoreError`, `SystemError`.
  @discardableResult
  public func addBlob(_ bytes: [UInt8]) throws -> Digest {
    if bytes.isEmpty { return SHA256.digest(of: bytes) }
    return try withWorker { worker in
      var ingester = BlobIngester()
      var done = 0
      return try ingester.ingest(worker) { target in
        let n = min(target.count, bytes.count - done)
        bytes.withUnsafeBytes {
          target.copyMemory(from: UnsafeRawBufferPointer(rebasing: $0[done..<done + n]))
        }
        done += n
        return n
      }.id
    }
  }
}
