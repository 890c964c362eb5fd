// How a server listens, and whom it answers.

import Platform

/// An address to listen at.
public enum ListenAddress: Sendable, Equatable {
  /// An IP address and a port; 0 for any free port.
  case ip(String, port: Int)
  /// A socket that is bound already, for example by systemd.
  case socket(Int32)

  /// Parses "127.0.0.1:7070", "[::1]:7070" or "localhost:7070"; nil for other text.
  public init?(_ text: String) {
    guard let colon = text.lastIndex(of: ":") else { return nil }
    let digits = text[text.index(after: colon)...]
    guard (1...5).contains(digits.utf8.count), digits.utf8.allSatisfy(isDigit),
      let port = Int(digits),
      port <= 65_535
    else { return nil }
    var host = String(text[..<colon])
    if host.hasPrefix("["), host.hasSuffix("]") {
      host = String(host.dropFirst().dropLast())
      guard IPAddress.isIPv6(host) else { return nil }
    } else if host == "localhost" {
      host = "127.0.0.1"
    } else if host == "*" {
      host = "0.0.0.0"
    } else {
      guard IPAddress.isIPv4(host) else { return nil }
    }
    self = .ip(host, port: port)
  }

  /// Whether only this machine can connect. A bound socket is asked for its address.
  public var isLoopback: Bool {
    switch self {
    case .ip(let host, _): IPAddress.isLoopback(host)
    case .socket(let socket): IPAddress.isLocal(socket)
    }
  }
}

/// The settings of a server.
public struct ServerConfiguration: Sendable {
  /// Where to listen.
  public var addresses: [ListenAddress]
  /// The certificate; nil for plain HTTP.
  public var tls: TLSFiles?
  public var access = ServerAccess.open
  public var limits = ServerLimits()
  public var counters = ServerCounters()
  /// Returns the class of a request for metrics: one of a few words.
  public var routeName: @Sendable (RequestPath) -> String = { _ in "all" }
  /// Receives each answer. It is called on an event loop, and must not block.
  public var log: @Sendable (AccessRecord) -> Void = { _ in }

  /// Creates settings.
  public init(_ addresses: [ListenAddress]) { self.addresses = addresses }
}
