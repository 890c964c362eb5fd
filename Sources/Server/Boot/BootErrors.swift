// Answers to requests for boot files that cannot be fulfilled.
//
// 1. A client sees the fault of its request. Faults of this machine go to the server's log.

import HTTPServer
import Images

/// Turns errors into answers.
struct BootErrors {
  private let opener: WorkspaceOpener

  init(_ opener: WorkspaceOpener) { self.opener = opener }

  func response(to error: any Error) -> HTTPResponse {
    if let gone = error as? ForgottenSnapshot {
      return .text(
        .gone,
        "snapshot \(printable(gone.text.utf8.prefix(255))) was forgotten; its number is not used again"
      )
    }
    guard let error = error as? any ExplainedError else { return internalError("\(error)") }
    switch error.errorCode {
    case .snapshotNotFound, .imageNotFound, .imageAmbiguous, .pathNotFound, .tagNotFound, .notFound,
      .filesMissing:
      return .text(.notFound, text(error))
    case .invalidReference, .invalidName, .usage: return .text(.badRequest, text(error))
    case .definitionInvalid, .unsupported: return .text(.conflict, text(error))
    case .noSpace, .remoteUnavailable, .busy, .storeLocked:
      opener.report(error.message)
      var response = HTTPResponse.text(.unavailable, "try again later: \(error.reason)")
      response.headers = [("Retry-After", "30")]
      return response
    default: return internalError(error.message)
    }
  }

  private func text(_ error: any ExplainedError) -> String {
    error.hint.isEmpty ? error.message : "\(error.message)\n\(error.hint)"
  }

  private func internalError(_ message: String) -> HTTPResponse {
    opener.report(message)
    return .text(.internalError, "the file cannot be made; the server's log has the reason")
  }
}
