// What `imgstore serve` was asked to do, and whether that is safe.

import HTTPServer
import Images
import Platform

/// The options of a server of images.
public struct ServeOptions: Sendable {
  /// Where it listens if no address is given.
  public static let standardAddress = "127.0.0.1:7070"

  /// Addresses such as "127.0.0.1:7070" and "[::1]:7070"; empty for the sockets of systemd, or the standard one.
  public var addresses: [String] = []
  /// The certificate chain and the key, as paths of PEM files.
  public var tls: (certificate: String, key: String)?
  public var tokenFile: String?
  /// Whether boot files are served without a token.
  public var isBootPublic = false
  /// The directory of rendered files; nil for the one of the store, or the standard one.
  public var cacheDirectory: String?
  /// The most bytes of rendered files; nil for the standard limit.
  public var cacheLimitBytes: UInt64?
  /// The file of the access log, or "-" for standard output; nil for none.
  public var accessLog: String?
  public var limits = ServerLimits()

  /// Creates options with the standard values.
  public init() {}

  /// Returns the parsed addresses.
  /// - Parameter sockets: the sockets that systemd passed.
  /// - Throws: `ServerError` (`usage`) for an invalid address.
  func listenAddresses(sockets: [Int32]) throws(ServerError) -> [ListenAddress] {
    var result = sockets.map { ListenAddress.socket($0) }
    for text in addresses.isEmpty && sockets.isEmpty ? [ServeOptions.standardAddress] : addresses {
      guard let address = ListenAddress(text) else {
        throw ServerError(
          .usage, "address '\(text)'", "is not ADDRESS:PORT",
          hint:
            "Examples: 127.0.0.1:7070, 10.0.0.1:7070, [::1]:7070, '*:7070' for all IPv4 addresses")
      }
      result.append(address)
    }
    return result
  }

  /// Decides who is authorized, and reads the tokens.
  /// - Throws: `ServerError` (`usage`) if other machines could read images without a token.
  func access(_ addresses: [ListenAddress]) throws -> ServerAccess {
    if let tokenFile { return .tokens(try AccessTokens(path: tokenFile)) }
    if addresses.allSatisfy(\.isLoopback) { return .loopback }
    guard isBootPublic else {
      throw ServerError(
        .usage, "the server",
        "would show all images to other machines: \(addresses.filter { !$0.isLoopback }.map(\.description).joined(separator: ", ")) is not a loopback address",
        hint:
          "Give --token-file, or --public-boot to serve boot files only. 'openssl rand -hex 24' makes a token"
      )
    }
    return .closed
  }

  /// Returns the warnings about a server that starts.
  func warnings(_ addresses: [ListenAddress]) -> [String] {
    let isLocal = addresses.allSatisfy(\.isLoopback)
    if tokenFile == nil, isLocal, isRoot {
      return [
        "all users of this machine can read all images, with their password hashes: give --token-file"
      ]
    }
    guard tokenFile != nil, tls == nil, !isLocal else { return [] }
    return [
      "tokens are sent in plain text to other machines: give --tls, or use a proxy with TLS in front"
    ]
  }
}
