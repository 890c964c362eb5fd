// What an answer other than success means ("Error responses" of the Amazon S3 API reference, and what other
// services send in their place).

import ObjectStorage
import Platform

/// Translates refusals of the service into errors.
struct RefusalReader: Sendable {
  let settings: S3Settings

  /// Returns the error for an answer, and whether a repetition may help.
  func failure(
    _ head: ResponseHead, _ document: ErrorDocument?, subject: String
  ) -> FailedTry {
    let reason = words(head, document)
    let code = document?.code ?? ""
    if isTemporary(head.status, code) {
      return FailedTry(
        StorageError(
          .unavailable, subject, reason,
          hint: "Run the command again later. If it fails again, check the service"),
        isRetryable: true, pauseSeconds: head["retry-after"].flatMap { Double($0) })
    }
    if let error = byCode(code, head, document, subject, reason) {
      // Another try helps if the bytes changed on the way.
      return FailedTry(error, isRetryable: error.kind == .damaged)
    }
    return FailedTry(byStatus(head, document, subject, reason), isRetryable: false)
  }

  private func isTemporary(_ status: Int, _ code: String) -> Bool {
    switch status {
    case 408, 429, 500, 502, 503, 504, 506...599: true
    case 409: ["ConditionalRequestConflict", "OperationAborted", ""].contains(code)
    case 400, 403:
      [
        "RequestTimeout", "SlowDown", "Throttling", "ThrottlingException", "TooManyRequests",
        "RequestThrottled", "RequestThrottledException",
      ].contains(code)
    default: false
    }
  }

  private func words(_ head: ResponseHead, _ document: ErrorDocument?) -> String {
    guard let document else { return "was refused with HTTP status \(head.status)" }
    var message = document.message
    // A service that repeats the request must not bring a key into a log.
    if settings.credentials.occur(in: message) { message = "" }
    let code = settings.credentials.occur(in: document.code) ? "an error" : document.code
    return "was refused: \(code)\(message.isEmpty ? "" : " (\(message))")"
  }

  private func byCode(
    _ code: String, _ head: ResponseHead, _ document: ErrorDocument?, _ subject: String,
    _ reason: String
  ) -> StorageError? {
    switch code {
    case "NoSuchBucket":
      StorageError(
        .settings, "remote \(settings.name)", "has no bucket '\(settings.url.bucket)'",
        hint: "Create the bucket, or correct the URL of the remote")
    case "InvalidBucketName":
      StorageError(.settings, subject, reason, hint: "Correct the URL of the remote")
    case "RequestTimeTooSkewed": clockError(head)
    case "PermanentRedirect", "TemporaryRedirect", "AuthorizationHeaderMalformed",
      "IllegalLocationConstraintException":
      regionError(head, document, subject, reason)
    case "ExpiredToken", "TokenRefreshRequired", "InvalidToken":
      StorageError(
        .denied, subject, reason,
        hint: "Get a new session token: the one of \(settings.credentials.origin) has expired")
    case "BadDigest", "XAmzContentSHA256Mismatch", "InvalidDigest", "IncompleteBody":
      StorageError(
        .damaged, subject, reason, hint: "Check the network: data arrived changed at the service")
    default: nil
    }
  }

  private func byStatus(
    _ head: ResponseHead, _ document: ErrorDocument?, _ subject: String, _ reason: String
  ) -> StorageError {
    switch head.status {
    case 300...399: return regionError(head, document, subject, reason)
    case 401, 403:
      let hint =
        document?.code == "SignatureDoesNotMatch"
        ? "Check the secret access key of \(settings.credentials.origin)"
        : "Check the keys of \(settings.credentials.origin), and the policy of the bucket"
      return StorageError(.denied, subject, reason, hint: hint)
    case 404: return StorageError(.notFound, subject, "does not exist")
    case 412: return StorageError(.damaged, subject, "was replaced during the request")
    case 416: return StorageError(.damaged, subject, "is shorter than expected")
    case 407:
      return StorageError(
        .denied, subject, "was refused by the proxy", hint: "Check HTTPS_PROXY and its password")
    default:
      return StorageError(
        .unsuitable, subject, reason,
        hint: "Run 'imgstore remote check' to see what the service supports")
    }
  }

  private func regionError(
    _ head: ResponseHead, _ document: ErrorDocument?, _ subject: String, _ reason: String
  ) -> StorageError {
    let region = (head["x-amz-bucket-region"] ?? document?.region)
      .map { ErrorDocument.oneLine($0, maxBytes: 64) }
    return StorageError(
      .settings, subject, reason,
      hint: region.map { "The bucket is in region '\($0)': set the region and the endpoint to it" }
        ?? "Check the endpoint and the region: the service sends the request elsewhere")
  }

  /// Returns the error for a clock that differs, with the measured difference.
  private func clockError(_ head: ResponseHead) -> StorageError {
    var reason = "refuses the time of this machine"
    if let skew = RefusalReader.skewSeconds(head) {
      reason += ": its clock is \(abs(skew)) s \(skew > 0 ? "behind" : "ahead of") this one"
    }
    return StorageError(
      .clock, "remote \(settings.name)", reason, hint: "Set the clock of this machine, with NTP")
  }

  /// Returns by how many seconds this machine's clock is ahead of the service's; nil without a valid header.
  static func skewSeconds(_ head: ResponseHead) -> Int64? {
    head["date"].flatMap(CivilTime.parseHTTPDate).map { now().seconds - $0 }
  }
}
