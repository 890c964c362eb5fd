// What all connections of a server share.

import NIOCore
import NIOSSL
import Platform
import Synchronization

/// Who is authorized.
public enum ServerAccess: Sendable {
  /// Everybody.
  case open
  /// Requests that name this machine in their Host field by a loopback address or as "localhost". A page of another
  /// site that makes a browser connect here by a name of its own (DNS rebinding) is not authorized.
  case loopback
  /// Requests with one of the tokens.
  case tokens(AccessTokens)
  /// Nobody: handlers answer only what is public.
  case closed
}

/// The shared parts of a server.
final class ServiceCore: Sendable {
  let limits: ServerLimits
  let handler: any RequestHandler
  let counters: ServerCounters
  let access: Monitor<ServerAccess>
  let tls: Monitor<NIOSSLContext?>
  let handlers: WorkerPool
  let readers: WorkerPool
  let routeName: @Sendable (RequestPath) -> String
  let log: @Sendable (AccessRecord) -> Void
  private let stopping = Atomic(false)

  init(_ configuration: ServerConfiguration, _ handler: any RequestHandler) throws {
    limits = configuration.limits
    self.handler = handler
    counters = configuration.counters
    routeName = configuration.routeName
    log = configuration.log
    access = Monitor(configuration.access)
    tls = Monitor(try configuration.tls?.context())
    handlers = try WorkerPool(threads: limits.handlerThreads, limit: limits.queuedRequests)
    // Each connection reads one piece at a time.
    readers = try WorkerPool(
      threads: tls.withLock { $0 } == nil ? 1 : limits.readThreads, limit: limits.connections + 1)
  }

  /// Whether connections end after their present answer.
  var isStopping: Bool { stopping.load(ordering: .relaxed) }

  func stop() { stopping.store(true, ordering: .relaxed) }

  /// Returns whether a request has what the server asks for.
  func isAuthorized(_ headers: [(name: String, value: String)]) -> Bool {
    switch access.withLock({ $0 }) {
    case .open: true
    case .loopback:
      headers.first { $0.name == "host" }.map { ServiceCore.isLoopback($0.value) } ?? true
    case .tokens(let tokens): tokens.accepts(headers)
    case .closed: false
    }
  }
}

extension ServiceCore {
  /// Returns whether the host of a Host field is a loopback address or "localhost".
  fileprivate static func isLoopback(_ field: String) -> Bool {
    var host = field[...]
    if host.hasPrefix("["), let end = host.lastIndex(of: "]") {
      host = host[host.index(after: host.startIndex)..<end]
    } else if let colon = host.lastIndex(of: ":") {
      host = host[..<colon]
    }
    return host == "localhost" || IPAddress.isLoopback(String(host))
  }
}

/// The connections of one event loop. It is used on that loop only.
final class LoopConnections {
  private var connections: [ObjectIdentifier: ConnectionHandler] = [:]

  func add(_ connection: ConnectionHandler) {
    connections[ObjectIdentifier(connection)] = connection
  }

  func remove(_ connection: ConnectionHandler) { connections[ObjectIdentifier(connection)] = nil }

  /// Ends connections whose time is over.
  func tick(_ now: NIODeadline) {
    for connection in Array(connections.values) { connection.tick(now) }
  }

  /// Ends the connections that wait for a request, or all.
  func end(all: Bool) {
    for connection in Array(connections.values) { connection.end(atOnce: all) }
  }
}
