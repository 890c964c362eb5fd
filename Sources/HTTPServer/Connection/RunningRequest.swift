// A request that is being answered: what its answer depends on, and what the access log records.

import NIOCore
import Platform

/// A request between its head and the end of its answer.
struct RunningRequest: Sendable {
  let method: String
  /// The target in printable form, bounded.
  let target: String
  let userAgent: String
  let route: String
  let time = now()
  let start = monotonicSeconds()
  let minorVersion: Int
  /// Whether client and server let the connection stay open after the answer.
  let keepsConnection: Bool

  var isHead: Bool { method == "HEAD" }

  /// Creates the record of a request.
  /// - Parameters:
  ///   - route: the class of the request for metrics.
  ///   - mayKeep: whether the server lets the connection stay open.
  init(_ head: RequestHead, route: String, mayKeep: Bool) {
    method = head.method
    target = printable(head.target.prefix(512))
    userAgent = printable((head.values("user-agent").first ?? "").utf8.prefix(256))
    self.route = route
    minorVersion = head.minorVersion
    keepsConnection = mayKeep && head.keepsConnection
  }

  /// Creates the record of a request that could not be read.
  init() {
    (method, target, userAgent, route) = ("", "", "", "refused")
    (minorVersion, keepsConnection) = (1, false)
  }

  /// Counts and logs the answer.
  func record(
    _ plan: ResponsePlan, _ bodyBytes: UInt64, isComplete: Bool, peer: String, in core: ServiceCore
  ) {
    let record = AccessRecord(
      time: time, peer: peer, method: method, target: target, status: plan.status.rawValue,
      bodyBytes: bodyBytes, seconds: monotonicSeconds() - start, userAgent: userAgent,
      isComplete: isComplete)
    core.counters.record(record, route: route)
    core.log(record)
  }

  /// Returns the answer as it goes to the socket.
  /// - Parameter isStopping: whether the connection has to end.
  func encode(
    _ plan: ResponsePlan, isStopping: Bool
  ) -> (answer: EncodedAnswer, keepsConnection: Bool) {
    let isChunked = plan.isUnsized && minorVersion == 1
    // Without chunks the end of the connection is the end of the body.
    let endsWithBody = plan.isUnsized && !isChunked && !isHead
    let keeps = keepsConnection && !isStopping && !endsWithBody
    var text = "HTTP/1.1 \(plan.status.rawValue) \(plan.status.phrase)\r\n"
    text += "Date: \(HTTPDate.text(now().seconds))\r\nServer: imgstore\r\n"
    for (name, value) in plan.headers { text += "\(name): \(value)\r\n" }
    if let sizeBytes = plan.sizeBytes { text += "Content-Length: \(sizeBytes)\r\n" }
    if isChunked { text += "Transfer-Encoding: chunked\r\n" }
    if !plan.headers.contains(where: { asciiLowercased($0.name) == "x-content-type-options" }) {
      text += "X-Content-Type-Options: nosniff\r\n"
    }
    if !keeps {
      text += "Connection: close\r\n"
    } else if minorVersion == 0 {
      text += "Connection: keep-alive\r\n"
    }
    text += "\r\n"
    let answer = EncodedAnswer(
      head: ByteBuffer(string: text), parts: plan.parts, isChunked: isChunked && !isHead)
    return (answer, keeps)
  }
}

/// An answer as it goes to the socket.
struct EncodedAnswer {
  /// Status line and header fields.
  let head: ByteBuffer
  let parts: [BodyPart]
  let isChunked: Bool
}
