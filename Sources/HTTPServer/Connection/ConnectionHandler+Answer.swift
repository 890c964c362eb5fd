// Requests that a connection received: which of them handlers see, and which are answered at once.

import NIOCore
import Platform

extension ConnectionHandler {
  private static let allow = (name: "Allow", value: "GET, HEAD, OPTIONS")
  /// Methods that are known, and not allowed.
  private static let otherMethods: Set<String> = [
    "POST", "PUT", "DELETE", "PATCH", "TRACE", "CONNECT",
  ]

  /// Whether the connection may have more requests.
  private var mayKeep: Bool { requestCount < core.limits.requestsPerConnection }

  /// Answers a complete request.
  func dispatch(_ head: RequestHead) {
    if !head.values("expect").isEmpty, head.tokens("expect") != ["100-continue"] {
      return answer(
        RequestFailure(.expectationFailed, "the expectation is not supported"), to: head)
    }
    switch head.method {
    case "GET": handle(head, .get)
    case "HEAD": handle(head, .head)
    case "OPTIONS":
      send(
        HTTPResponse(.noContent, headers: [ConnectionHandler.allow]),
        to: RunningRequest(head, route: "other", mayKeep: mayKeep))
    case let method where ConnectionHandler.otherMethods.contains(method):
      var response = HTTPResponse.text(.methodNotAllowed, "this server only answers GET and HEAD")
      response.headers = [ConnectionHandler.allow]
      // What follows CONNECT may not be HTTP.
      send(
        response, to: RunningRequest(head, route: "other", mayKeep: mayKeep && method != "CONNECT"))
    default:
      send(
        .text(.notImplemented, "this method is not implemented"),
        to: RunningRequest(head, route: "other", mayKeep: mayKeep))
    }
  }

  /// Answers a request that broke a rule; the connection ends after it.
  func answer(_ failure: RequestFailure, to head: RequestHead? = nil) {
    let request =
      head.map { RunningRequest($0, route: "refused", mayKeep: false) }
      ?? RunningRequest()
    var response = HTTPResponse.text(failure.status, failure.reason)
    if failure.status == .unavailable { response.headers = [("Retry-After", "5")] }
    send(response, to: request)
  }

  private func handle(_ head: RequestHead, _ method: HTTPMethod) {
    let target: RequestTarget
    do throws(RequestFailure) { target = try RequestTarget(head.target) } catch {
      return answer(error, to: head)
    }
    let running = RunningRequest(head, route: core.routeName(target.path), mayKeep: mayKeep)
    let request = HTTPRequest(
      target.path, method: method, query: target.query, headers: head.headers,
      isAuthorized: core.isAuthorized(head.headers))
    guard let loop = context?.eventLoop else { return }
    let connection = NIOLoopBound(self, eventLoop: loop)
    let isQueued = core.handlers.submit { [core] in
      let response = core.handler.respond(to: request)
      let plan = ResponsePlan(response, to: method, request.headers, now: now().seconds)
      loop.execute { connection.value.send(plan, to: running) }
    }
    if !isQueued {
      core.counters.update { $0.refusedRequests += 1 }
      var response = HTTPResponse.text(
        .unavailable, "too many requests are waiting; try again later")
      response.headers = [("Retry-After", "2")]
      send(response, to: running)
    }
  }
}

extension ConnectionHandler {
  private func send(_ response: HTTPResponse, to request: RunningRequest) {
    send(
      ResponsePlan(response, to: request.isHead ? .head : .get, [], now: now().seconds), to: request
    )
  }

  private func send(_ plan: ResponsePlan, to request: RunningRequest) {
    let (core, peer) = (core, peer)
    guard let context else {
      return request.record(plan, 0, isComplete: false, peer: peer, in: core)
    }
    let (answer, keepsConnection) = request.encode(plan, isStopping: core.isStopping)
    let writer = AnswerWriter(answer, to: context, core, isSecure: isSecure) {
      [weak self] isComplete in
      request.record(
        plan, self?.writer?.bodyBytes ?? 0, isComplete: isComplete, peer: peer, in: core)
      self?.finish(isComplete: isComplete, keepsConnection: keepsConnection)
    }
    self.writer = writer
    writer.pump()
  }
}
