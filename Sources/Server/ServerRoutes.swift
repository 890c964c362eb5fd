// The URLs of the server, and the parts that answer them:
//
//     /boot/IMAGE@REF/FILE   Boot       kernel, ramdisks, packed image, bundle, scripts
//     /api/v1/…              API        the documents of --json
//     /metrics               Operation  Prometheus text
//     /healthz               Operation  whether the store can be read; needs no token
//     /…                     Pages      the web page
//
// A request without a token is answered only below /boot where boot files are public, and at /healthz.

import HTTPServer

/// Answers requests by their first path segment.
public struct ServerRoutes: RequestHandler {
  let boot: any RequestHandler
  let api: any RequestHandler
  let metrics: any RequestHandler
  let health: any RequestHandler
  let pages: any RequestHandler
  /// Whether requests below /boot need no token.
  let isBootPublic: Bool
  /// The answer to a request that is not authorized.
  var refusal = HTTPResponse.text(.unauthorized, "a token is needed: Authorization: Bearer TOKEN")

  public func respond(to request: HTTPRequest) -> HTTPResponse {
    let first = request.path.segments.first.map { String(decoding: $0, as: UTF8.self) }
    if first == "healthz", request.path.segments.count == 1 { return health.respond(to: request) }
    guard request.isAuthorized || first == "boot" && isBootPublic else {
      return refusal
    }
    switch first {
    case "boot": return boot.respond(to: request)
    case "api": return api.respond(to: request)
    case "metrics" where request.path.segments.count == 1: return metrics.respond(to: request)
    default: return pages.respond(to: request)
    }
  }

  /// Returns the class of a request for metrics.
  static func name(_ path: RequestPath) -> String {
    switch path.segments.first.map({ String(decoding: $0, as: UTF8.self) }) {
    case "boot": "boot"
    case "api": "api"
    case "metrics", "healthz": "operation"
    default: "pages"
    }
  }
}
