// A server from its start to its end.
//
// 1. Event loops send and receive, and never block. Handlers run on threads of their own.
// 2. `stop` ends the listeners first. Answers that are being sent may finish until a deadline.

import NIOCore
import NIOPosix
import NIOSSL
import Platform

/// A server that listens.
public final class RunningServer: Sendable {
  private let core: ServiceCore
  private let group: MultiThreadedEventLoopGroup
  private let listeners: Monitor<[any Channel]>
  private let registries: [ObjectIdentifier: NIOLoopBound<LoopConnections>]
  private let tls: TLSFiles?
  private let stopping = Monitor<(hasBegun: Bool, isDrained: Bool?)>((false, nil))
  /// The addresses that it listens at, as "127.0.0.1:7070".
  public let addresses: [String]

  /// The counts of its requests.
  public var counters: ServerCounters { core.counters }
  /// The number of requests that wait for a thread.
  public var queuedRequests: Int { core.handlers.queueLength }

  /// Starts a server.
  /// - Throws: `ServerError` if an address or a certificate cannot be used; `SystemError` if the system grants no
  ///   threads.
  public init(_ configuration: ServerConfiguration, _ handler: any RequestHandler) throws {
    var configuration = configuration
    configuration.limits.connections = min(
      configuration.limits.connections, RunningServer.connectionLimit())
    let core = try ServiceCore(configuration, handler)
    let group = MultiThreadedEventLoopGroup(numberOfThreads: max(1, core.limits.eventLoops))
    self.core = core
    self.group = group
    tls = configuration.tls
    var registries: [ObjectIdentifier: NIOLoopBound<LoopConnections>] = [:]
    for loop in group.makeIterator() {
      registries[ObjectIdentifier(loop)] = try loop.submit {
        let connections = NIOLoopBound(LoopConnections(), eventLoop: loop)
        let tick = TimeAmount.of(core.limits.tickSeconds)
        loop.scheduleRepeatedTask(initialDelay: tick, delay: tick) { _ in
          connections.value.tick(.now())
        }
        return connections
      }.wait()
    }
    self.registries = registries
    var channels: [any Channel] = []
    do {
      for address in configuration.addresses {
        channels.append(
          try RunningServer.listen(
            address, group, core, registries, isSecure: configuration.tls != nil))
      }
    } catch {
      for channel in channels { try? channel.close().wait() }
      try? group.syncShutdownGracefully()
      core.handlers.stop(waits: true)
      core.readers.stop(waits: true)
      throw error
    }
    listeners = Monitor(channels)
    addresses = channels.map { RunningServer.text($0.localAddress) }
  }

  /// Leaves some descriptors for files: each answer may hold one.
  private static func connectionLimit() -> Int {
    raiseFileLimit()
    return max(16, (openFileLimit() - 64) / 2)
  }

  private static func text(_ address: SocketAddress?) -> String {
    guard let address, let ip = address.ipAddress, let port = address.port else {
      return "a socket"
    }
    return ip.contains(":") ? "[\(ip)]:\(port)" : "\(ip):\(port)"
  }

  /// Uses new tokens for requests from now on.
  public func setAccess(_ access: ServerAccess) { core.access.withLock { $0 = access } }

  /// Reads the certificate again, for connections from now on.
  /// - Throws: `ServerError` if it cannot be used; the old one stays.
  public func reloadTLS() throws(ServerError) {
    guard let tls else { return }
    let context = try tls.context()
    core.tls.withLock { $0 = context }
  }

  /// Ends the server: no new connections, then idle ones, then those that are still sending after the deadline.
  /// Further calls wait for the first one.
  /// - Returns: whether all answers were sent.
  @discardableResult
  public func stop() -> Bool {
    let isFirst = stopping.withLock { state in
      defer { state.hasBegun = true }
      return !state.hasBegun
    }
    guard isFirst else { return stopping.wait { $0.isDrained } }
    let isDrained = drain()
    stopping.update { $0.isDrained = isDrained }
    return isDrained
  }

  private func drain() -> Bool {
    for channel in listeners.withLock({ $0 }) { try? channel.close().wait() }
    core.stop()
    endConnections(all: false)
    let deadline = monotonicSeconds() + core.limits.drainSeconds
    var isDrained = openConnections == 0
    while !isDrained, monotonicSeconds() < deadline {
      pause(milliseconds: 20)
      isDrained = openConnections == 0
    }
    if !isDrained { endConnections(all: true) }
    // A handler that still runs will hand its answer to an event loop.
    let isIdle = core.handlers.isIdle && core.readers.isIdle
    core.handlers.stop(waits: isIdle)
    core.readers.stop(waits: isIdle)
    if isIdle { try? group.syncShutdownGracefully() }
    return isDrained
  }

  private var openConnections: Int { core.counters.values.openConnections }

  private func endConnections(all: Bool) {
    for connections in registries.values {
      try? connections.eventLoop.submit { connections.value.end(all: all) }.wait()
    }
  }
}

extension RunningServer {
  private static func listen(
    _ address: ListenAddress, _ group: MultiThreadedEventLoopGroup, _ core: ServiceCore,
    _ registries: [ObjectIdentifier: NIOLoopBound<LoopConnections>], isSecure: Bool
  ) throws -> any Channel {
    let bootstrap = ServerBootstrap(group: group)
      .serverChannelOption(.backlog, value: 1024)
      .serverChannelOption(.socketOption(.so_reuseaddr), value: 1)
      // Connections inherit it: requests are small, and the kernel's standard is megabytes for each of them.
      .serverChannelOption(.socketOption(.so_rcvbuf), value: 64 << 10)
      .childChannelOption(.autoRead, value: false)
      .childChannelOption(.allowRemoteHalfClosure, value: true)
      .childChannelOption(.maxMessagesPerRead, value: 1)
      .childChannelOption(
        .recvAllocator, value: FixedSizeRecvByteBufferAllocator(capacity: 8 << 10)
      )
      .childChannelInitializer { channel in
        initialize(channel, core, registries, isSecure: isSecure)
      }
    do {
      switch address {
      case .socket(let socket): return try bootstrap.withBoundSocket(socket).wait()
      case .ip(let host, let port):
        // As in most servers, [::] does not include 0.0.0.0: both can be given.
        let isLong = IPAddress.isIPv6(host)
        let own = isLong ? bootstrap.serverChannelOption(.ipv6Only, value: 1) : bootstrap
        return try own.bind(to: SocketAddress(ipAddress: host, port: port)).wait()
      }
    } catch {
      let reason =
        (error as? IOError).map { "\(SystemError.Code(rawValue: $0.errnoCode))" } ?? "\(error)"
      throw ServerError(
        "the server", "cannot listen at \(address): \(reason)",
        hint: "Check with 'ss -ltnp' whether another program uses the port, or choose another one",
        form: .clause)
    }
  }

  private static func initialize(
    _ channel: any Channel, _ core: ServiceCore,
    _ registries: [ObjectIdentifier: NIOLoopBound<LoopConnections>], isSecure: Bool
  ) -> EventLoopFuture<Void> {
    channel.eventLoop.makeCompletedFuture {
      guard let connections = registries[ObjectIdentifier(channel.eventLoop)] else {
        throw ChannelError.operationUnsupported
      }
      let isRefused = !core.counters.open(limit: core.limits.connections)
      if let context = core.tls.withLock({ $0 }) {
        try channel.pipeline.syncOperations.addHandler(NIOSSLServerHandler(context: context))
      }
      try channel.pipeline.syncOperations.addHandler(
        ConnectionHandler(core, connections.value, isSecure: isSecure, isRefused: isRefused))
    }
  }
}

extension ListenAddress: CustomStringConvertible {
  public var description: String {
    switch self {
    case .ip(let host, let port): host.contains(":") ? "[\(host)]:\(port)" : "\(host):\(port)"
    case .socket(let socket): "socket \(socket)"
    }
  }
}

extension ChannelOption where Self == ChannelOptions.Types.SocketOption {
  fileprivate static var ipv6Only: Self { .init(level: .ipv6, name: .ipv6_v6only) }
}
