// A proxy between a client and a service that makes the faults of networks, of proxies and of wrong services.
//
// It reads each request whole, and opens a connection to the service for it. The client's connection stays open
// between requests, unless the fault ends it.

import Glibc
import Platform

/// What happens to a request or its answer.
public enum Fault: Sendable {
  case none
  /// The connection ends before the service gets the request.
  case dropRequest
  /// The service executes the request, and the connection ends without an answer.
  case dropAnswer
  /// The service executes the request, and the answer is another status.
  case replaceAnswer(TestAnswer)
  /// The service does not get the request.
  case answer(TestAnswer)
  /// Raw bytes as the answer, then the end of the connection.
  case raw([UInt8])
  case delay(seconds: Double)
  /// The answer ends after this number of bytes of its head and body.
  case truncate(bytes: Int)
  /// The answer ends after this number of bytes of its body.
  case truncateBody(bytes: Int)
  /// The answer stops after this number of bytes, and the connection stays open.
  case stall(bytes: Int)
  /// The service executes the request twice. The second answer counts.
  case duplicateRequest
  case duplicateAnswer
  /// The answer of an earlier request, in place of that of this one.
  case swapAnswer
  case setHeader(String, String?)
  /// One bit of the body differs.
  case corruptBody
  /// Headers without end.
  case endlessHeaders
  /// A body without end, with the answer's own status and without a length.
  case endlessBody
  /// The answer of a status 100 before the answer.
  case continueFirst
  /// The request loses a header on its way.
  case removeRequestHeader(String)
}

/// The proxy.
public final class FaultProxy: Sendable {
  private struct State {
    var count = 0
    var lastAnswer: TestAnswer?
  }

  private let state = Monitor(State())
  private let server: LoopbackServer

  /// Starts a proxy before a port.
  /// - Parameter plan: the fault of a request, by its number from 0.
  public init(
    to port: UInt16, _ plan: @escaping @Sendable (Int, TestRequest) -> Fault
  ) throws {
    let state = state
    server = try LoopbackServer { connection in
      while let request = TestRequest(from: connection) {
        let number = state.update { state in
          state.count += 1
          return state.count - 1
        }
        let exchange = ProxiedExchange(connection, request, port)
        guard
          exchange.run(
            plan(number, request),
            last: { answer in
              state.update { state in
                defer { state.lastAnswer = answer }
                return state.lastAnswer
              }
            })
        else { return }
      }
    }
  }

  public var port: UInt16 { server.port }
  /// The number of requests of the client.
  public var requestCount: Int { state.withLock { $0.count } }

  public func stop() { server.stop() }
}

private struct ProxiedExchange {
  let client: Connection
  let request: TestRequest
  let port: UInt16

  init(_ client: Connection, _ request: TestRequest, _ port: UInt16) {
    self.client = client
    self.request = request
    self.port = port
  }

  /// Serves one request. Returns whether the connection goes on.
  /// - Parameter last: stores an answer, and returns the one stored before.
  func run(_ fault: Fault, last: (TestAnswer) -> TestAnswer?) -> Bool {
    switch fault {
    case .dropRequest: return false
    case .raw(let bytes):
      client.write(bytes)
      return false
    case .answer(let answer): return send(answer)
    case .endlessHeaders:
      client.write(Array("HTTP/1.1 200 OK\r\n".utf8))
      return sendForEver(
        Array(String(repeating: "x-filler: 0123456789abcdef\r\n", count: 1000).utf8))
    case .delay(let seconds): pause(seconds)
    case .duplicateRequest: _ = forward(request)
    default: break
    }
    var outgoing = request
    if case .removeRequestHeader(let name) = fault { outgoing.head[name] = nil }
    guard let answer = forward(outgoing) else { return false }
    let earlier = last(answer)
    return finish(fault, answer, earlier)
  }

  private func finish(_ fault: Fault, _ answer: TestAnswer, _ earlier: TestAnswer?) -> Bool {
    var answer = answer
    switch fault {
    case .dropAnswer: return false
    case .replaceAnswer(let other): return send(other)
    case .truncate(let bytes):
      client.write(Array(wire(answer).prefix(bytes)))
      return false
    case .truncateBody(let bytes):
      client.write(answer.head.bytes + answer.body.prefix(bytes))
      return false
    case .stall(let bytes):
      client.write(Array(wire(answer).prefix(bytes)))
      // The client gives up first.
      _ = client.readHead()
      return false
    case .duplicateAnswer:
      return send(answer) && send(answer)
    case .swapAnswer: return send(earlier ?? answer)
    case .setHeader(let name, let value): answer.head[name] = value
    case .corruptBody:
      if !answer.body.isEmpty { answer.body[answer.body.count / 2] ^= 1 }
    case .endlessBody:
      answer.head["Content-Length"] = nil
      client.write(answer.bytes)
      return sendForEver([UInt8](repeating: 0x78, count: 64 << 10))
    case .continueFirst: client.write(Array("HTTP/1.1 100 Continue\r\n\r\n".utf8))
    default: break
    }
    return send(answer)
  }

  private func wire(_ answer: TestAnswer) -> [UInt8] {
    request.method == "HEAD" ? answer.head.bytes : answer.bytes
  }

  private func send(_ answer: TestAnswer) -> Bool { client.write(wire(answer)) }

  /// Sends until the client closes, or 4 GiB are sent.
  private func sendForEver(_ bytes: [UInt8]) -> Bool {
    for _ in 0..<(4 << 30) / bytes.count { guard client.write(bytes) else { return false } }
    return false
  }

  private func forward(_ request: TestRequest) -> TestAnswer? {
    guard let service = Connection(port: port) else { return nil }
    var request = request
    request.head["Connection"] = "close"
    guard service.write(request.bytes), var answer = TestAnswer(parsing: service.readToEnd()) else {
      return nil
    }
    answer.head["Connection"] = nil
    return answer
  }

  private func pause(_ seconds: Double) {
    usleep(UInt32(seconds * 1e6))
  }
}
