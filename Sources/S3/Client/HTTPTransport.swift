// HTTP/1.1 and TLS by AsyncHTTPClient, for threads that may block.
//
// 1. The event loops run on threads of their own, and start with the first request.
// 2. A redirect is never followed: it would take the signature to another host.
// 3. An answer is limited before memory is allocated for it.

import AsyncHTTPClient
import NIOCore
import NIOHTTP1
import NIOPosix
import NIOSSL
import ObjectStorage
import Platform

/// Why there is no whole answer.
struct TransportFailure: Error {
  enum Kind {
    /// No connection, a broken one, or a timeout.
    case broken
    /// The certificate is not trusted, or the peer speaks no TLS.
    case tls
    /// The answer has more bytes than allowed.
    case tooLarge
    /// The receiver of the body, or the sender of the request's body, failed.
    case local(any Error)
  }
  let kind: Kind
  let reason: String
}

/// Receives an answer. Both run on the caller's thread.
struct ResponseSink {
  /// Checks the head; throws to end the exchange.
  let begin: (ResponseHead) throws -> Void
  /// Receives the body of a successful answer part by part.
  let receive: (UnsafeRawBufferPointer) throws -> Void
}

/// A client for one endpoint.
final class HTTPTransport: Sendable {
  private struct Running {
    let group: MultiThreadedEventLoopGroup
    let client: HTTPClient
  }

  private let settings: S3Settings
  private let running = Monitor<Running?>(nil)

  init(_ settings: S3Settings) { self.settings = settings }

  deinit {
    guard let running = running.withLock({ $0 }) else { return }
    running.client.shutdown { _ in running.group.shutdownGracefully { _ in } }
  }

  /// Sends a request and returns its answer. The body of a successful answer goes to `sink`, if there is one.
  /// - Parameter limitBytes: the most that is returned.
  func send(
    _ request: HTTPRequest, limitBytes: Int, deadlineSeconds: Double, sink: ResponseSink? = nil
  ) throws(TransportFailure) -> (head: ResponseHead, body: [UInt8]) {
    let exchange = HTTPExchange()
    let task: HTTPClient.Task<Void>
    do {
      let running = start()
      let outgoing = try HTTPClient.Request(
        url: request.url, method: HTTPMethod(rawValue: request.method),
        headers: HTTPHeaders(request.headers),
        body: request.body.sizeBytes == 0 ? nil : streamBody(request.body, exchange, running.group))
      task = running.client.execute(
        request: outgoing, delegate: exchange,
        deadline: .now() + .nanoseconds(Int64(min(deadlineSeconds, 1e6) * 1e9)))
    } catch {
      throw HTTPTransport.failure(error)
    }
    task.futureResult.whenComplete { result in
      if case .failure(let error) = result { exchange.end(error) } else { exchange.end(nil) }
    }
    var receiver = ResponseReceiver(limitBytes: limitBytes, sink: sink)
    while true {
      switch exchange.next() {
      case .canSend(let stream): receiver.send(request.body, to: stream)
      case .head(let head): receiver.begin(ResponseHead(head))
      case .parts(let parts, let promise):
        for part in parts { receiver.receive(part) }
        promise?.succeed()
      case .end(let error): return try receiver.end(error)
      }
      if receiver.isStopped { task.cancel() }
    }
  }

  private func streamBody(
    _ body: RequestBody, _ exchange: HTTPExchange, _ group: MultiThreadedEventLoopGroup
  ) -> HTTPClient.Body {
    .stream(contentLength: Int64(body.sizeBytes)) { writer in
      let done = group.any().makePromise(of: Void.self)
      exchange.setStream(BodyStream(writer: writer, done: done))
      return done.futureResult
    }
  }

  private func start() -> Running {
    running.withLock { running in
      if let running { return running }
      limitHostLookup()
      let group = MultiThreadedEventLoopGroup(numberOfThreads: min(processorCount, 2))
      var configuration = HTTPClient.Configuration(
        redirectConfiguration: .disallow,
        timeout: .init(
          connect: .milliseconds(Int64(settings.limits.connectSeconds * 1000)),
          read: .milliseconds(Int64(settings.limits.readSeconds * 1000)),
          write: .milliseconds(Int64(settings.limits.readSeconds * 1000))))
      configuration.httpVersion = .http1Only
      // The library has no other hook for its connections.
      configuration.http1_1ConnectionDebugInitializer = { channel in
        channel.eventLoop.makeCompletedFuture {
          try channel.pipeline.syncOperations.addHandler(QuickAckHandler(), position: .first)
        }
      }
      configuration.connectionPool.concurrentHTTP1ConnectionsPerHostSoftLimit =
        settings.limits.requestsAtOnce
      // Retries are counted in one place: RetryPolicy.
      configuration.connectionPool.retryConnectionEstablishment = false
      if settings.endpoint.isSecure { configuration.tlsConfiguration = tlsConfiguration() }
      if let proxy = settings.proxy {
        configuration.proxy = .server(
          host: proxy.host, port: proxy.port,
          authorization: proxy.basicAuthorization.map { .basic(credentials: $0) })
      }
      let result = Running(
        group: group,
        client: HTTPClient(eventLoopGroupProvider: .shared(group), configuration: configuration))
      running = result
      return result
    }
  }

  private func tlsConfiguration() -> TLSConfiguration {
    var configuration = TLSConfiguration.makeClientConfiguration()
    configuration.minimumTLSVersion = .tlsv12
    if let path = settings.caBundle { configuration.trustRoots = .file(path) }
    if settings.isInsecure { configuration.certificateVerification = .none }
    return configuration
  }

  /// Returns a library's error in plain words.
  static func failure(_ error: any Error) -> TransportFailure {
    switch error {
    case let error as TransportFailure: return error
    case let error as NIOSSLError: return TransportFailure(kind: .tls, reason: words(error))
    case let error as NIOSSLExtraError: return TransportFailure(kind: .tls, reason: words(error))
    case let error as IOError:
      return TransportFailure(
        kind: .broken, reason: "\(SystemError.Code(rawValue: error.errnoCode))")
    case let error as HTTPClientError:
      return TransportFailure(
        kind: error == .tlsHandshakeTimeout ? .tls : .broken,
        reason: error.shortDescription.lowercased())
    case let error as NIOConnectionError:
      if let first = error.connectionErrors.first { return failure(first.error) }
      return TransportFailure(kind: .broken, reason: "cannot resolve '\(error.host)'")
    default: return TransportFailure(kind: .broken, reason: words(error))
    }
  }

  private static func words(_ error: any Error) -> String {
    ErrorDocument.oneLine(String(describing: error), maxBytes: 160)
  }
}

/// A request as the transport sends it.
struct HTTPRequest {
  let method: String
  let url: String
  let headers: [(String, String)]
  let body: RequestBody
}
