// A large object in parts ("Uploading an object using multipart upload" in the guide of Amazon S3).
//
// 1. Nothing is visible before the completion. It replaces an existing object: services ignore conditions there
//    (Ceph 16 does), so `create` sends one request, and only `write` sends parts.
// 2. An upload that fails is aborted, so that its parts take no space. `abortStaleUploads` removes those that
//    a crash left.
// 3. If the answer to the completion gets lost, the upload is unknown afterwards: then the object is compared.

import Codec
import Glibc
import ObjectStorage
import Platform

/// One upload.
struct MultipartUpload {
  private let storage: S3Storage
  private let key: ObjectKey
  private let body: RequestBody
  private let partBytes: UInt64

  /// The most parts that an upload may have.
  private static let maxParts: UInt64 = 10_000
  /// The number of parts of one object that are sent at once. The limit of the client counts, too.
  private static let partsAtOnce = 4

  init(_ storage: S3Storage, _ key: ObjectKey, _ body: RequestBody) {
    self.storage = storage
    self.key = key
    self.body = body
    let needed = (body.sizeBytes + MultipartUpload.maxParts - 1) / MultipartUpload.maxParts
    partBytes = max(storage.client.settings.limits.partBytes, needed)
  }

  private var subject: String { storage.subject(key) }

  /// Uploads the body.
  /// - Throws: `StorageError`.
  func run() throws(StorageError) {
    let id = try start()
    do throws(StorageError) {
      try complete(id, try sendParts(id))
    } catch {
      abort(id)
      throw error
    }
  }

  private func start() throws(StorageError) -> String {
    var request = S3Request("POST", key: storage.fullKey(key))
    request.query = [("uploads", "")]
    let answer = try storage.client.send(request, subject)
    guard let root = S3XML.parse(answer.body), root.name == "InitiateMultipartUploadResult",
      let id = root.value("UploadId"), (1...1024).contains(id.utf8.count)
    else { throw storage.client.invalidAnswer(subject, "gets no valid upload id") }
    return id
  }

  private func sendParts(_ id: String) throws(StorageError) -> [String] {
    let count = Int((body.sizeBytes + partBytes - 1) / partBytes)
    let tags = Monitor([String](repeating: "", count: count))
    let next = Monitor(0)
    do {
      try runThreads(min(count, MultipartUpload.partsAtOnce)) { _ in
        while let index = next.withLock({ next -> Int? in
          guard next < count else { return nil }
          next += 1
          return next - 1
        }) {
          do {
            let tag = try sendPart(index, id)
            tags.withLock { $0[index] = tag }
          } catch {
            next.withLock { $0 = count }
            throw error
          }
        }
      }
    } catch {
      if let error = error as? StorageError { throw error }
      let cause = error as? SystemError ?? SystemError(code: .tryAgain, "start a thread", [])
      throw StorageError(.system(cause), subject, cause.reason, hint: cause.hint)
    }
    return tags.withLock { $0 }
  }

  private func sendPart(_ index: Int, _ id: String) throws(StorageError) -> String {
    let start = UInt64(index) * partBytes
    let part = try body.part(start..<min(start + partBytes, body.sizeBytes))
    var request = S3Request("PUT", key: storage.fullKey(key))
    request.query = [("partNumber", "\(index + 1)"), ("uploadId", id)]
    request.body = part
    let answer = try storage.client.send(request, subject)
    guard let tag = answer.head["etag"], (1...128).contains(tag.utf8.count),
      tag.utf8.allSatisfy({ (0x21...0x7e).contains($0) && !"<>&".utf8.contains($0) })
    else { throw storage.client.invalidAnswer(subject, "gets no valid entity tag for a part") }
    return tag
  }

  private func complete(_ id: String, _ tags: [String]) throws(StorageError) {
    let parts = tags.enumerated().map { index, tag in
      "<Part><PartNumber>\(index + 1)</PartNumber><ETag>\(tag)</ETag></Part>"
    }
    let document =
      "<CompleteMultipartUpload xmlns=\"http://s3.amazonaws.com/doc/2006-03-01/\">"
      + parts.joined() + "</CompleteMultipartUpload>"
    var request = S3Request("POST", key: storage.fullKey(key))
    request.query = [("uploadId", id)]
    request.body = RequestBody(bytes: Array(document.utf8))
    request.accepted = [404]
    // The service joins the parts before it answers.
    request.downloadBytes = body.sizeBytes
    let fixed = request
    try storage.client.retries.run { (failedTries) throws(FailedTry) in
      let answer = try storage.client.attempt(fixed, subject)
      if answer.status == 404 {
        try requireCompleted(wasTried: failedTries > 0)
      } else {
        try check(answer)
      }
    }
  }

  /// Checks that an earlier try completed the upload that the service no longer knows.
  private func requireCompleted(wasTried: Bool) throws(FailedTry) {
    do throws(StorageError) {
      if wasTried, try storage.has(key, body) { return }
    } catch {
      guard error.kind == .notFound else { throw FailedTry(error, isRetryable: false) }
    }
    throw FailedTry(
      StorageError(
        .unavailable, subject, "was not completed: the service does not know the upload",
        hint: "Run the command again"),
      isRetryable: false)
  }

  /// A completion may fail after its status 200, which begins the answer before the parts are joined.
  private func check(_ answer: S3Answer) throws(FailedTry) {
    if S3XML.parse(answer.body)?.name == "CompleteMultipartUploadResult" { return }
    if let document = ErrorDocument(parsing: answer.body) {
      throw FailedTry(
        StorageError(
          .unavailable, subject, "was not completed: \(document.code)",
          hint: "Run the command again"),
        isRetryable: true)
    }
    throw FailedTry(
      storage.client.invalidAnswer(subject, "gets no valid answer to its completion"),
      isRetryable: true)
  }

  /// Removes the parts, as far as that works.
  private func abort(_ id: String) { storage.abortUpload(storage.fullKey(key), id) }
}

extension S3Storage {
  fileprivate func abortUpload(_ key: String, _ id: String) {
    var request = S3Request("DELETE", key: key)
    request.query = [("uploadId", id)]
    request.accepted = [404]
    _ = try? client.send(request, "an upload of \(name)")
  }

  /// Aborts the unfinished uploads of this prefix that began before a time, by the clock of the service.
  /// - Returns: the number of uploads.
  /// - Throws: `StorageError`.
  public func abortStaleUploads(olderThanSeconds age: Int64) throws(StorageError) -> Int {
    var count = 0
    var marker: (key: String, id: String)?
    let subject = "the list of uploads of \(name)"
    let prefix = prefixed("")
    while true {
      var request = S3Request("GET")
      request.query = [("uploads", ""), ("prefix", prefix)]
      if let marker {
        request.query += [("key-marker", marker.key), ("upload-id-marker", marker.id)]
      }
      request.limitBytes = S3XML.maxBytes
      let answer = try client.send(request, subject)
      guard let page = UploadsDocument(parsing: answer.body),
        let time = answer.head["date"].flatMap(CivilTime.parseHTTPDate)
      else { throw client.invalidAnswer(subject, "is not valid") }
      for upload in page.uploads
      where upload.key.hasPrefix(prefix) && time - upload.initiated > age {
        abortUpload(upload.key, upload.id)
        count += 1
      }
      guard let next = page.next else { return count }
      if let marker, (next.key, next.id) <= marker {
        throw client.invalidAnswer(subject, "does not end")
      }
      marker = next
    }
  }
}
