// The address of a service: `http[s]://HOST[:PORT][/PATH]`.

import ObjectStorage

/// Where requests are sent.
public struct S3Endpoint: Sendable, Equatable, CustomStringConvertible {
  public let isSecure: Bool
  /// The name or the address; an IPv6 address is in brackets.
  public let host: String
  /// nil for the usual port of the scheme.
  public let port: Int?
  /// The path before the bucket; empty, or with a slash at its beginning and none at its end.
  public let path: String

  /// Parses an endpoint.
  /// - Parameter origin: the name of the setting, for the message.
  /// - Throws: `StorageError` of kind settings. The text is not repeated, because it may hold a password.
  public init(parsing text: String, origin: String) throws(StorageError) {
    func invalid(_ reason: String) -> StorageError {
      StorageError(
        .settings, "the S3 endpoint of \(origin)", reason,
        hint: "Write https://HOST or http://HOST:PORT")
    }
    let isSecure = text.lowercased().hasPrefix("https://")
    guard isSecure || text.lowercased().hasPrefix("http://") else {
      throw invalid("does not begin with https:// or http://")
    }
    let rest = text.dropFirst(isSecure ? 8 : 7)
    guard !rest.contains("@"), !rest.contains("?"), !rest.contains("#") else {
      throw invalid("has user information, a query or a fragment")
    }
    let authority = rest.prefix { $0 != "/" }
    var path = String(rest.dropFirst(authority.count))
    while path.hasSuffix("/") { path.removeLast() }
    guard path.isEmpty || ObjectKey(String(path.dropFirst())) != nil else {
      throw invalid("has an invalid path")
    }
    guard let (host, port) = S3Endpoint.hostAndPort(authority) else {
      throw invalid("has an invalid host or port")
    }
    self.init(isSecure: isSecure, host: host, port: port, path: path)
  }

  private init(isSecure: Bool, host: String, port: Int?, path: String) {
    self.isSecure = isSecure
    self.host = host
    self.port = port == (isSecure ? 443 : 80) ? nil : port
    self.path = path
  }

  /// Returns the endpoint of AWS in a region.
  static func aws(region: String) -> S3Endpoint {
    let suffix = region.hasPrefix("cn-") ? "amazonaws.com.cn" : "amazonaws.com"
    return S3Endpoint(isSecure: true, host: "s3.\(region).\(suffix)", port: nil, path: "")
  }

  /// Returns the host with a bucket before it, for requests in virtual-host style.
  func host(ofBucket bucket: String) -> String { "\(bucket).\(host)" }

  private static func hostAndPort(_ authority: Substring) -> (String, Int?)? {
    let host: Substring
    if authority.hasPrefix("[") {
      guard let end = authority.firstIndex(of: "]") else { return nil }
      host = authority[...end]
      guard host.dropFirst().dropLast().allSatisfy({ $0.isHexDigit || $0 == ":" || $0 == "." })
      else { return nil }
    } else {
      host = authority.prefix { $0 != ":" }
      guard !host.isEmpty, host.utf8.count <= 253,
        host.allSatisfy({ $0.isASCII && ($0.isLetter || $0.isNumber || "-._".contains($0)) })
      else { return nil }
    }
    let rest = authority.dropFirst(host.count)
    if rest.isEmpty { return (String(host), nil) }
    guard rest.first == ":", let port = UInt16(rest.dropFirst()), port > 0 else { return nil }
    return (String(host), Int(port))
  }

  /// The host and, where it is not the usual one, the port: as the header `Host` has them.
  var authority: String { host + portText }

  var portText: String { port.map { ":\($0)" } ?? "" }

  public var description: String { "\(isSecure ? "https" : "http")://\(authority)\(path)" }
}
