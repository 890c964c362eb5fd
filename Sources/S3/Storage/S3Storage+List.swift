// Listing objects (ListObjectsV2 of the Amazon S3 API reference).
//
// 1. Keys must ascend over all pages. So a service cannot repeat a page for ever.
// 2. Objects whose names are no `ObjectKey` are not ours, and are skipped.

import ObjectStorage

extension S3Storage {
  public func list(
    _ prefix: String, _ body: ([ListedObject]) throws -> Bool
  ) throws {
    let whole = prefixed(prefix)
    let subject = "the list of '\(prefix)' of \(name)"
    var token: String?
    var last: String?
    var emptyPages = 0
    while true {
      let page = try page(whole, token, keys: client.settings.limits.keysPerPage, subject)
      for entry in page.entries {
        guard entry.key.hasPrefix(whole),
          last.map({ $0.utf8.lexicographicallyPrecedes(entry.key.utf8) }) ?? true
        else { throw client.invalidAnswer(subject, "is not in the order of its keys") }
        last = entry.key
      }
      emptyPages = page.entries.isEmpty ? emptyPages + 1 : 0
      guard emptyPages <= S3Storage.maxEmptyPages, page.nextToken == nil || page.nextToken != token
      else { throw client.invalidAnswer(subject, "does not end") }
      let count = prefixed("").utf8.count
      let objects = page.entries.compactMap { entry in
        ObjectKey(String(decoding: entry.key.utf8.dropFirst(count), as: UTF8.self)).map {
          ListedObject(key: $0, sizeBytes: entry.sizeBytes)
        }
      }
      if !objects.isEmpty || page.nextToken == nil {
        guard try body(objects) else { return }
      }
      guard let next = page.nextToken else { return }
      token = next
    }
  }

  /// The number of pages without any key that a listing may have in succession.
  private static let maxEmptyPages = 100

  func page(
    _ prefix: String, _ token: String?, keys: Int, _ subject: String
  ) throws(StorageError) -> ListingDocument {
    var request = S3Request("GET")
    request.query = [
      ("list-type", "2"), ("prefix", prefix), ("max-keys", "\(keys)"),
      ("encoding-type", "url"),
    ]
    if let token { request.query.append(("continuation-token", token)) }
    request.limitBytes = S3XML.maxBytes
    let fixed = request
    return try client.retries.run { (_) throws(FailedTry) in
      let answer = try client.attempt(fixed, subject)
      client.isBucketSeen.withLock { $0 = true }
      guard let page = ListingDocument(parsing: answer.body), page.entries.count <= 1000 else {
        throw FailedTry(client.invalidAnswer(subject, "is not valid"), isRetryable: true)
      }
      return page
    }
  }
}
