// Reading objects: into memory, or as a stream that continues where it broke.

import Codec
import ObjectStorage

extension S3Storage {
  public func read(
    _ key: ObjectKey, range: Range<UInt64>?, limitBytes: Int
  ) throws(StorageError) -> [UInt8] {
    if let range {
      guard range.count <= limitBytes else {
        throw StorageError(
          .tooLarge, subject(key), "has a range of more than \(limitBytes) bytes")
      }
      if range.isEmpty { return [] }
    }
    return try client.retries.run { (_) throws(FailedTry) in
      try readOnce(key, range, limitBytes)
    }
  }

  private func readOnce(
    _ key: ObjectKey, _ range: Range<UInt64>?, _ limitBytes: Int
  ) throws(FailedTry) -> [UInt8] {
    var request = S3Request("GET", key: fullKey(key))
    request.limitBytes = limitBytes
    request.downloadBytes = UInt64(limitBytes)
    if let range {
      request.headers = [("range", "bytes=\(range.lowerBound)-\(range.upperBound - 1)")]
    } else {
      request.headers = [("x-amz-checksum-mode", "ENABLED")]
    }
    let answer = try client.attempt(request, subject(key))
    client.isBucketSeen.withLock { $0 = true }
    if let range {
      try requirePart(answer.head, range, subject(key))
      guard answer.body.count == range.count else {
        throw damaged(key, "answers with \(answer.body.count) bytes in place of \(range.count)")
      }
      return answer.body
    }
    guard answer.status == 200,
      answer.head.contentLength ?? UInt64(answer.body.count) == answer.body.count
    else { throw damaged(key, "answers with another length than announced") }
    if let checksum = ObjectChecksum(answer.head) {
      guard checksum.matches(SHA256.digest(of: answer.body)) else {
        throw damaged(key, "does not match its SHA-256 checksum")
      }
    }
    return answer.body
  }

  /// Checks that an answer has exactly the requested range.
  private func requirePart(
    _ head: ResponseHead, _ range: Range<UInt64>, _ subject: String
  ) throws(FailedTry) {
    guard head.status == 206, let text = head["content-range"],
      text.hasPrefix("bytes \(range.lowerBound)-\(range.upperBound - 1)/")
    else {
      throw FailedTry(
        client.invalidAnswer(subject, "answers with other bytes than the requested range"),
        isRetryable: false)
    }
  }

  /// Returns an error for content that differs. A repetition may help: it may have changed on the way.
  func damaged(_ key: ObjectKey, _ reason: String) -> FailedTry {
    FailedTry(client.invalidAnswer(subject(key), reason), isRetryable: true)
  }

  public func download(
    _ key: ObjectKey, sizeBytes: UInt64, _ body: (UnsafeRawBufferPointer) throws -> Void
  ) throws {
    try withoutActuallyEscaping(body) { body in
      let download = Download(self, key, sizeBytes, body)
      do throws(StorageError) {
        try client.retries.run { (_) throws(FailedTry) in try download.attempt() }
      } catch {
        throw download.receiverError ?? error
      }
    }
  }

  /// A download that survives broken connections.
  private final class Download {
    private let storage: S3Storage
    private let key: ObjectKey
    private let sizeBytes: UInt64
    private let receiver: (UnsafeRawBufferPointer) throws -> Void
    private var position: UInt64 = 0
    private var hash = SHA256()
    private var entityTag: String?
    private var checksum: ObjectChecksum?
    private(set) var receiverError: (any Error)?

    /// The progress after which the tries are counted from 1 again.
    private static let progressBytes: UInt64 = 1 << 20

    init(
      _ storage: S3Storage, _ key: ObjectKey, _ sizeBytes: UInt64,
      _ receiver: @escaping (UnsafeRawBufferPointer) throws -> Void
    ) {
      self.storage = storage
      self.key = key
      self.sizeBytes = sizeBytes
      self.receiver = receiver
    }

    func attempt() throws(FailedTry) {
      let start = position
      var request = S3Request("GET", key: storage.fullKey(key))
      request.downloadBytes = sizeBytes - start
      // All bytes arrived, but not the end of the answer.
      if start == sizeBytes, start > 0 { return try finish() }
      if start > 0 {
        request.headers = [("range", "bytes=\(start)-\(sizeBytes - 1)")]
        if let entityTag { request.headers.append(("if-match", entityTag)) }
      } else {
        request.headers = [("x-amz-checksum-mode", "ENABLED")]
      }
      let sink = ResponseSink(
        begin: { try self.check($0, from: start) }, receive: { try self.receive($0) })
      do throws(FailedTry) {
        _ = try storage.client.attempt(request, storage.subject(key), sink: sink)
      } catch {
        var error = error
        error.madeProgress = position - start >= Download.progressBytes
        throw error
      }
      guard position == sizeBytes else {
        throw storage.damaged(key, "ended after \(position) of \(sizeBytes) bytes")
      }
      try finish()
    }

    private func check(_ head: ResponseHead, from start: UInt64) throws(FailedTry) {
      if start > 0 { return try storage.requirePart(head, start..<sizeBytes, storage.subject(key)) }
      guard head.status == 200, head.contentLength == sizeBytes else {
        let length = head.contentLength.map { "\($0)" } ?? "an unknown number of"
        throw FailedTry(
          storage.client.invalidAnswer(
            storage.subject(key), "has \(length) bytes in place of \(sizeBytes)"),
          isRetryable: false)
      }
      entityTag = head["etag"].flatMap { $0.hasPrefix("W/") ? nil : $0 }
      checksum = ObjectChecksum(head)
    }

    private func receive(_ bytes: UnsafeRawBufferPointer) throws(FailedTry) {
      guard UInt64(bytes.count) <= sizeBytes - position else {
        throw storage.damaged(key, "answers with more than \(sizeBytes) bytes")
      }
      do {
        try receiver(bytes)
      } catch {
        receiverError = error
        throw FailedTry(
          StorageError(.unavailable, storage.subject(key), "was not read to its end"),
          isRetryable: false)
      }
      position += UInt64(bytes.count)
      hash.update(bytes)
    }

    private func finish() throws(FailedTry) {
      guard checksum?.matches(hash.finish()) ?? true else {
        throw FailedTry(
          storage.client.invalidAnswer(
            storage.subject(key), "does not match its SHA-256 checksum"),
          isRetryable: false)
      }
    }
  }
}

/// The SHA-256 that a service keeps for an object ("Checking object integrity" in the guide of Amazon S3).
struct ObjectChecksum: Equatable {
  static let header = "x-amz-checksum-sha256"
  private let text: String

  /// Reads the header; nil if it is absent, or the checksum of the checksums of parts ("…-3").
  init?(_ head: ResponseHead) {
    guard let text = head[ObjectChecksum.header], !text.contains("-"),
      head["x-amz-checksum-type"] != "COMPOSITE"
    else { return nil }
    self.text = text
  }

  /// Returns the value of the header for a digest.
  static func value(_ digest: Digest) -> String { Base64.encode(digest.bytes) }

  func matches(_ digest: Digest) -> Bool { text == ObjectChecksum.value(digest) }
}
