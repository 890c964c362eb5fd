// Writing objects.
//
// 1. After an answer that got lost the same request may find the object that it made itself: `create` then
//    compares the content, and trusts the comparison only for content that no other writer has (`isUnique`).
// 2. The comparison follows every refusal of a unique object, not only a repeated one: proxies repeat requests
//    on their own.
// 3. `create` sends one request, whatever the size: conditions on uploads in parts are not honoured everywhere.
// 4. The signature covers the hash of the body. A service that accepts other bytes is not one of S3.

import Codec
import ObjectStorage

extension S3Storage {
  public func create(
    _ key: ObjectKey, _ body: ObjectBody, isUnique: Bool
  ) throws(StorageError) -> Bool {
    let body = RequestBody(body)
    guard body.sizeBytes <= S3Storage.maxRequestBytes else {
      throw StorageError(
        .unsuitable, subject(key),
        "has \(body.sizeBytes) bytes, more than the 5 GiB of one request")
    }
    // A refusal without an object (another writer deleted it, or the service is wrong) is tried again.
    return try client.retries.run { (_) throws(FailedTry) in
      if try putOnce(key, body, isNew: true) { return true }
      do throws(StorageError) {
        return try isUnique ? has(key, body) : !exists(key)
      } catch {
        guard error.kind == .notFound else { throw FailedTry(error, isRetryable: false) }
        throw FailedTry(
          StorageError(
            .unsuitable, subject(key), "was refused because it exists, but does not exist",
            hint: "Run 'imgstore remote check': the service may not support If-None-Match"),
          isRetryable: true)
      }
    }
  }

  /// Returns true.
  /// - Throws: `StorageError`: `notFound` if no object has the key.
  private func exists(_ key: ObjectKey) throws(StorageError) -> Bool {
    guard try size(of: key) != nil else {
      throw StorageError(.notFound, subject(key), "does not exist")
    }
    return true
  }

  public func write(_ key: ObjectKey, _ body: ObjectBody) throws(StorageError) {
    let body = RequestBody(body)
    if body.sizeBytes > client.settings.limits.multipartBytes {
      return try MultipartUpload(self, key, body).run()
    }
    _ = try client.retries.run { (_) throws(FailedTry) in
      try putOnce(key, body, isNew: false)
    }
  }

  /// The most bytes that a service accepts in one request.
  private static let maxRequestBytes: UInt64 = 5 << 30

  /// Writes an object once.
  /// - Parameter isNew: whether an existing object makes the write fail.
  /// - Returns: false if an object exists.
  private func putOnce(
    _ key: ObjectKey, _ body: RequestBody, isNew: Bool
  ) throws(FailedTry) -> Bool {
    var request = S3Request("PUT", key: fullKey(key))
    request.body = body
    request.headers = [(ObjectChecksum.header, ObjectChecksum.value(body.sha256))]
    if isNew {
      request.headers.append(("if-none-match", "*"))
      request.accepted = [412]
    }
    let answer = try client.attempt(request, subject(key))
    client.isBucketSeen.withLock { $0 = true }
    guard answer.status != 412 else { return false }
    if let checksum = ObjectChecksum(answer.head), !checksum.matches(body.sha256) {
      throw damaged(key, "arrived with another SHA-256 checksum at the service")
    }
    return true
  }

  /// The size up to which an object is compared in memory.
  private static let maxComparedBytes: UInt64 = 1 << 20

  /// Returns whether an object has this content.
  /// - Throws: `StorageError`: `notFound` if there is none.
  func has(_ key: ObjectKey, _ body: RequestBody) throws(StorageError) -> Bool {
    if body.sizeBytes <= S3Storage.maxComparedBytes {
      do throws(StorageError) {
        let bytes = try read(key, range: nil, limitBytes: Int(body.sizeBytes))
        return SHA256.digest(of: bytes) == body.sha256
      } catch {
        if error.kind == .tooLarge { return false }
        throw error
      }
    }
    guard let size = try size(of: key) else {
      throw StorageError(.notFound, subject(key), "does not exist")
    }
    guard size == body.sizeBytes else { return false }
    var hash = SHA256()
    do {
      try download(key, sizeBytes: size) { hash.update($0) }
    } catch {
      throw error as? StorageError ?? StorageError(.unavailable, subject(key), "was not read")
    }
    return hash.finish() == body.sha256
  }
}
