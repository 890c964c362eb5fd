// /healthz: whether the store can be read. It needs no token, so it says nothing else about the store.

import HTTPServer
import Images
import Platform

/// Answers /healthz.
final class HealthHandler: RequestHandler {
  /// The age at which the store is checked again.
  private static let maxAgeSeconds = 1.0

  private let opener: WorkspaceOpener
  private let warn: @Sendable (String) -> Void
  private let state = Monitor<(time: Double, isReadable: Bool)?>(nil)

  init(_ opener: WorkspaceOpener, warn: @escaping @Sendable (String) -> Void) {
    self.opener = opener
    self.warn = warn
  }

  func respond(to request: HTTPRequest) -> HTTPResponse {
    // The lock makes others wait for a look that is under way.
    let isReadable = state.withLock { state -> Bool in
      if let state, monotonicSeconds() - state.time < HealthHandler.maxAgeSeconds {
        return state.isReadable
      }
      let isReadable = canRead(wasReadable: state?.isReadable ?? true)
      state = (monotonicSeconds(), isReadable)
      return isReadable
    }
    var response =
      isReadable
      ? HTTPResponse.text(.ok, "ok: imgstore \(Workspace.version)")
      : .text(.unavailable, "the store cannot be read: imgstore \(Workspace.version)")
    response.headers = [("Cache-Control", "no-store")]
    return response
  }

  private func canRead(wasReadable: Bool) -> Bool {
    do {
      _ = try opener.open().store().totals()
      return true
    } catch {
      if wasReadable { warn("the store cannot be read: \(describe(error))") }
      return false
    }
  }
}

/// Returns an error as one line.
func describe(_ error: any Error) -> String {
  (error as? any ExplainedError)?.message ?? "\(error)"
}
