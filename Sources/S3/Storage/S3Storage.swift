// A bucket of a service that speaks the protocol of Amazon S3, as an `ObjectStorage`.
//
// 1. Only `create` decides between writers, by `If-None-Match: *`. `probe` shows whether the service honours it.
// 2. A request whose answer got lost is repeated. `S3Storage+Write.swift` says how the outcome is learned.
// 3. Lengths are always compared; a SHA-256 that the service returns is, too. An entity tag is the content's MD5
//    with some services only, so it is used to recognize the same version, and for nothing else.

import Codec
import ObjectStorage

/// A bucket, or a prefix of one.
///
/// A call holds one of the requests at once until it returns: a closure that `download` or `list` calls must not
/// call the storage.
public final class S3Storage: ObjectStorage {
  let client: S3Client

  /// Creates a storage. Nothing is sent before the first call.
  public init(_ settings: S3Settings) { client = S3Client(settings) }

  public var name: String { client.settings.url.description }

  /// A warning for people, which each command prints that uses the storage; nil if there is none.
  public var warning: String? {
    guard client.settings.isInsecure else { return nil }
    return "the certificate of \(client.settings.endpoint) is not verified (insecure)"
  }

  /// The number of requests that were sent so far, retries included.
  public var requestCount: Int { client.requestCount }

  /// Returns the key in the bucket.
  func fullKey(_ key: ObjectKey) -> String { prefixed(key.text) }

  func prefixed(_ text: String) -> String {
    let prefix = client.settings.url.prefix
    return prefix.isEmpty ? text : "\(prefix)/\(text)"
  }

  /// Returns the words for an object in messages.
  func subject(_ key: ObjectKey) -> String { "object \(key) of \(name)" }

  public func size(of key: ObjectKey) throws(StorageError) -> UInt64? {
    var request = S3Request("HEAD", key: fullKey(key))
    request.accepted = [301, 307, 400, 401, 403, 404]
    let answer = try client.send(request, subject(key))
    switch answer.status {
    case 404:
      try requireBucket()
      return nil
    case 300...:
      // The answer to HEAD has no words: those of GET explain the refusal.
      _ = try read(key, range: 0..<1, limitBytes: 1)
      throw client.refusals.failure(answer.head, nil, subject: subject(key)).error
    default:
      guard let size = answer.head.contentLength else {
        throw client.invalidAnswer(subject(key), "has no length in the answer")
      }
      return size
    }
  }

  /// Throws the error of the bucket, if it does not exist: the answer to HEAD cannot tell that.
  private func requireBucket() throws(StorageError) {
    guard !client.isBucketSeen.withLock({ $0 }) else { return }
    _ = try page(prefixed(""), nil, keys: 1, "the list of \(name)")
  }

  public func delete(_ key: ObjectKey) throws(StorageError) {
    var request = S3Request("DELETE", key: fullKey(key))
    request.accepted = [404]
    let answer = try client.send(request, subject(key))
    if answer.status == 404, answer.refusal?.code == "NoSuchBucket" { try requireBucket() }
  }

  /// Creates the bucket, unless the account has it already.
  /// - Throws: `StorageError`.
  public func createBucket() throws(StorageError) {
    let region = client.settings.region
    var request = S3Request("PUT")
    // us-east-1 is the region of a bucket without a location, and must not be named.
    if region != "us-east-1" {
      let document =
        "<CreateBucketConfiguration xmlns=\"http://s3.amazonaws.com/doc/2006-03-01/\">"
        + "<LocationConstraint>\(region)</LocationConstraint></CreateBucketConfiguration>"
      request.body = RequestBody(bytes: Array(document.utf8))
    }
    request.accepted = [409]
    let subject = "bucket '\(client.settings.url.bucket)' of \(client.settings.endpoint)"
    let answer = try client.send(request, subject)
    guard answer.status != 409 || answer.refusal?.code == "BucketAlreadyOwnedByYou" else {
      throw StorageError(
        .settings, subject, "belongs to another account", hint: "Choose another name")
    }
  }
}
