// Bytes that are in memory become a blob of the store.

import Codec
import Store

extension WriteSession {
  /// Stores `bytes`.
  /// - Returns: their id, the SHA-256.
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
