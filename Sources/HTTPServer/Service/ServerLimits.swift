// The limits of the server. Each bounds what one client, or all of them, can make it hold or wait for.

/// Limits and timeouts.
public struct ServerLimits: Sendable {
  /// The limits of a request's head.
  public var head = HeadLimits()
  /// The most bytes of a request's body, which is read and ignored.
  public var bodyBytes: UInt64 = 64 << 10
  /// How long a client may take to send a request, or to negotiate TLS.
  public var requestSeconds = 15.0
  /// How long a connection may wait for its next request.
  public var idleSeconds = 75.0
  /// How long a client may accept no byte of an answer.
  public var stallSeconds = 60.0
  /// How long the rest of a refused request is read, so that the client sees the answer.
  public var lingerSeconds = 2.0
  /// How long running answers may take after `stop`.
  public var drainSeconds = 30.0
  /// The most open connections; more get 503.
  public var connections = 8192
  /// The most requests of one connection.
  public var requestsPerConnection = 100_000
  /// The number of threads that run handlers.
  public var handlerThreads = 8
  /// The most requests that wait for a thread; more get 503.
  public var queuedRequests = 256
  /// The number of threads that read files for connections with TLS.
  public var readThreads = 2
  /// The number of threads that send and receive.
  public var eventLoops = 2
  /// How often deadlines are looked at.
  public var tickSeconds = 1.0

  /// Creates the standard limits.
  public init() {}
}
