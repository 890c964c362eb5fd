// /metrics: the metrics of images and store, and those of the server, as Prometheus reads them.
//
// 1. The part of the store is computed at most once at a time, and kept for some seconds. Who asks meanwhile gets
//    the last one.
// 2. If it cannot be computed, the part of the server is sent without it.

import HTTPServer
import Images
import Platform

/// Answers /metrics.
final class MetricsHandler: RequestHandler {
  private static let maxAgeSeconds = 10.0

  private struct State {
    var text = ""
    var time = -Double.infinity
    var isComputing = false
    var hasText = false
  }

  private let opener: WorkspaceOpener
  private let server: @Sendable () -> String
  private let warn: @Sendable (String) -> Void
  private let state = Monitor(State())

  /// Creates a handler.
  /// - Parameter server: returns the metrics of the server.
  init(
    _ opener: WorkspaceOpener, server: @escaping @Sendable () -> String,
    warn: @escaping @Sendable (String) -> Void
  ) {
    self.opener = opener
    self.server = server
    self.warn = warn
  }

  func respond(to request: HTTPRequest) -> HTTPResponse {
    let text = storeText() + server()
    return HTTPResponse(
      .ok, contentType: "text/plain; version=0.0.4; charset=utf-8", body: .bytes(Array(text.utf8)),
      headers: [("Cache-Control", "no-store")])
  }

  private func storeText() -> String {
    let known = state.wait { state -> String?? in
      if monotonicSeconds() - state.time < MetricsHandler.maxAgeSeconds { return state.text }
      if state.isComputing { return state.hasText ? state.text : nil }
      state.isComputing = true
      return .some(nil)
    }
    if let known { return known }
    var text = ""
    do { text = try opener.open().metrics() } catch {
      warn("cannot compute the metrics of the store: \(describe(error))")
    }
    state.update { $0 = State(text: text, time: monotonicSeconds(), hasText: true) }
    return text
  }
}
