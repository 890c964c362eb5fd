// Signed requests to one bucket: addressing, limits on requests at once, retries.

import Codec
import ObjectStorage
import Platform

/// A request to the bucket, before it is signed.
struct S3Request {
  let method: String
  /// The whole key, with the prefix; nil for the bucket.
  let key: String?
  var query: [(name: String, value: String)] = []
  var headers: [(name: String, value: String)] = []
  var body = RequestBody.empty
  /// The most bytes that the answer may have.
  var limitBytes = ErrorDocument.maxBytes
  /// Statuses besides 2xx that the caller handles.
  var accepted: Set<Int> = []
  /// The number of bytes of an answer that goes to a sink, for the deadline.
  var downloadBytes: UInt64 = 0

  init(_ method: String, key: String? = nil) {
    self.method = method
    self.key = key
  }
}

/// An answer.
struct S3Answer {
  let head: ResponseHead
  let body: [UInt8]
  /// The refusal, for an accepted status other than 2xx.
  let refusal: ErrorDocument?

  var status: Int { head.status }
}

/// A client for one bucket.
final class S3Client: Sendable {
  let settings: S3Settings
  let retries: RetryPolicy
  private let transport: HTTPTransport
  private let signer: RequestSigner
  let refusals: RefusalReader
  /// The number of requests that may start.
  private let free: Monitor<Int>
  /// The number of requests that were sent.
  private let sent = Monitor(0)
  /// Whether an answer has shown that the bucket exists.
  let isBucketSeen = Monitor(false)

  init(_ settings: S3Settings) {
    var settings = settings
    settings.limits = settings.limits.normalized
    self.settings = settings
    retries = RetryPolicy(settings.limits)
    transport = HTTPTransport(settings)
    signer = RequestSigner(settings.credentials, region: settings.region)
    refusals = RefusalReader(settings: settings)
    free = Monitor(settings.limits.requestsAtOnce)
  }

  var requestCount: Int { sent.withLock { $0 } }

  /// Sends a request until it succeeds or fails for good.
  /// - Throws: `StorageError`.
  func send(_ request: S3Request, _ subject: String) throws(StorageError) -> S3Answer {
    try retries.run { (_) throws(FailedTry) in try attempt(request, subject) }
  }

  /// Sends a request once.
  func attempt(
    _ request: S3Request, _ subject: String, sink: ResponseSink? = nil
  ) throws(FailedTry) -> S3Answer {
    free.wait { free -> Void? in
      guard free > 0 else { return nil }
      free -= 1
      return ()
    }
    defer { free.update { $0 += 1 } }
    sent.withLock { $0 += 1 }
    let limits = settings.limits
    let bytes = Double(request.body.sizeBytes) + Double(request.downloadBytes)
    let answer: (head: ResponseHead, body: [UInt8])
    do throws(TransportFailure) {
      answer = try transport.send(
        signed(request), limitBytes: request.limitBytes,
        deadlineSeconds: limits.requestSeconds + bytes / limits.minBytesPerSecond, sink: sink)
    } catch {
      throw failedTry(error, subject)
    }
    if (200...299).contains(answer.head.status) {
      return S3Answer(head: answer.head, body: answer.body, refusal: nil)
    }
    let document = ErrorDocument(parsing: answer.body)
    if request.accepted.contains(answer.head.status) {
      return S3Answer(head: answer.head, body: [], refusal: document)
    }
    throw refusals.failure(answer.head, document, subject: subject)
  }

  private func signed(_ request: S3Request) -> HTTPRequest {
    let endpoint = settings.endpoint
    let isVirtual = settings.addressing == .virtual
    let host =
      (isVirtual ? endpoint.host(ofBucket: settings.url.bucket) : endpoint.host)
      + endpoint.portText
    let bucketPath = isVirtual ? "" : "/\(settings.url.bucket)"
    let hash = request.body.sha256.hex
    let unsigned = RequestSigner.Request(
      request.method, path: endpoint.path + bucketPath + (request.key.map { "/\($0)" } ?? "/"),
      query: request.query, host: host,
      headers: request.headers + [("x-amz-content-sha256", hash)], bodyHash: hash)
    return HTTPRequest(
      method: request.method,
      url: "\(endpoint.isSecure ? "https" : "http")://\(host)\(unsigned.target)",
      headers: [("host", host)] + signer.headers(for: unsigned, at: now().seconds),
      body: request.body)
  }

  private func failedTry(_ failure: TransportFailure, _ subject: String) -> FailedTry {
    switch failure.kind {
    case .broken:
      return FailedTry(
        StorageError(
          .unavailable, subject, "got no answer from \(settings.endpoint): \(failure.reason)",
          hint: "Check the endpoint, the network and the proxy"),
        isRetryable: true)
    case .tls:
      return FailedTry(
        StorageError(
          .unavailable, "remote \(settings.name)",
          "cannot be reached with TLS: \(failure.reason)",
          hint:
            "Check the endpoint. If a certificate authority of the site signs its certificate, set "
            + "AWS_CA_BUNDLE to its file"),
        isRetryable: false)
    case .tooLarge:
      return FailedTry(
        StorageError(
          .tooLarge, subject, failure.reason, hint: "Check which service answers at the endpoint"),
        isRetryable: false)
    case .local(let error):
      if let error = error as? FailedTry { return error }
      let known = error as? StorageError
      return FailedTry(
        known ?? StorageError(.unavailable, subject, "was stopped: \(error)"), isRetryable: false)
    }
  }

  /// Returns the error for an answer that breaks the protocol.
  func invalidAnswer(_ subject: String, _ reason: String) -> StorageError {
    StorageError(
      .damaged, subject, reason,
      hint: "Check which service answers at \(settings.endpoint), and run 'imgstore remote check'")
  }
}
