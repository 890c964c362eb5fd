// Failures as answers: the status of an error, and its document, page or text.
//
// 1. The code of an error decides the status, everywhere.
// 2. A client of boot files sees the fault of its request, and no detail of this machine.

import HTTPServer
import Images

/// Turns errors into answers.
enum ErrorAnswer {
  /// Returns the answer of the API to an error.
  static func json(_ error: any Error) -> HTTPResponse {
    let document =
      (error as? any ExplainedError).map { ErrorJSON($0) }
      ?? ErrorJSON(.failed, "the request", "failed")
    let text = (try? JSONText.document(document)) ?? "{}"
    var response = HTTPResponse.json(text + "\n")
    response.status = status(of: error)
    response.headers += retryFields(response.status)
    return response
  }

  /// Returns the answer to a request for a boot file: the fault of the request as text. A fault of this machine
  /// goes to the server's log.
  static func text(_ error: any Error, _ opener: WorkspaceOpener) -> HTTPResponse {
    let status = status(of: error)
    let explained = error as? any ExplainedError
    var response: HTTPResponse
    switch status {
    case .internalError:
      opener.report(explained?.message ?? "\(error)")
      response = .text(status, "the file cannot be made; the server's log has the reason")
    case .unavailable:
      opener.report(explained?.message ?? "\(error)")
      response = .text(status, "try again later: \(explained?.reason ?? "the server is busy")")
    default: response = .text(status, explained?.messageWithHint ?? "the request failed")
    }
    response.headers += retryFields(status)
    return response
  }

  /// Returns the status of an error (docs/api.md, "Failures").
  static func status(of error: any Error) -> HTTPStatus {
    if error is ForgottenSnapshotError { return .gone }
    guard let error = error as? any ExplainedError else { return .internalError }
    switch error.errorCode {
    // The server itself lacks something, which no client can help.
    case .storeNotFound, .remoteUnavailable, .noSpace: return .unavailable
    case .unsupported: return .badRequest
    case .definitionInvalid: return .conflict
    case .filesMissing: return .notFound
    default: break
    }
    switch error.errorCode.category {
    case .usage: return .badRequest
    case .notFound: return .notFound
    case .busy, .alreadyRunning, .interrupted: return .unavailable
    case .unfinished: return .conflict
    case .failed, .damaged: return .internalError
    }
  }

  /// The fields of an answer that is worth a second request.
  static func retryFields(_ status: HTTPStatus) -> [(name: String, value: String)] {
    status == .unavailable ? [("Retry-After", "5")] : []
  }
}

/// A snapshot existed, and was removed. Its number is not used again.
struct ForgottenSnapshotError: ExplainedError {
  /// The reference that named it.
  let name: String
  var subject: String { "snapshot \(printable(name.utf8.prefix(255)))" }
  var reason: String { "was removed" }
  var hint: String { "" }
  var form: ReasonForm { .clause }
  var errorCode: ErrorCode { .snapshotNotFound }
}

extension HTTPResponse {
  /// Fields for everything that a browser must neither embed nor pass on. `HTTPServer` adds that it must not
  /// guess types.
  static let safetyFields: [(name: String, value: String)] = [
    ("Referrer-Policy", "no-referrer"), ("Cross-Origin-Resource-Policy", "same-origin"),
  ]

  /// Returns an answer that is a JSON text.
  /// - Parameter next: the URL of the rest of a list; nil if there is none.
  static func json(
    _ text: String, version contentType: String = "application/json", next: String? = nil
  ) -> HTTPResponse {
    HTTPResponse(
      .ok, contentType: contentType, body: .bytes(Array(text.utf8)),
      headers: safetyFields + [
        ("Cache-Control", "no-cache"), ("Content-Security-Policy", "default-src 'none'; sandbox"),
      ] + (next.map { [("Link", "<\($0)>; rel=\"next\"")] } ?? []))
  }

  /// Returns an answer that is a document, as a command prints it.
  static func document<Document: JSONDocument>(
    _ document: Document, next: String? = nil
  ) throws -> HTTPResponse {
    .json(try JSONText.document(document) + "\n", next: next)
  }
}
