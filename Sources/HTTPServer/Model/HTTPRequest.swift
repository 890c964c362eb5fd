// A request as handlers see it: parsed, limited and authorized.
//
// 1. A path has been decoded once. No segment of it is empty, "." or "..", or contains "/" or NUL.
// 2. Only GET and HEAD reach a handler. The answer to HEAD is made like that of GET, and sent without its body.

import Codec

/// A method that handlers answer.
public enum HTTPMethod: Sendable, Equatable {
  case get
  case head
}

/// A request.
public struct HTTPRequest: Sendable {
  public var method: HTTPMethod
  public var path: RequestPath
  public var query: RequestQuery
  /// The header fields in order, with names in lower case.
  public var headers: [(name: String, value: String)]
  /// Whether the request carries a valid token, or needs none because of where it comes from.
  public var isAuthorized: Bool

  /// Creates a request.
  public init(
    _ path: RequestPath, method: HTTPMethod = .get, query: RequestQuery = RequestQuery([]),
    headers: [(name: String, value: String)] = [], isAuthorized: Bool = true
  ) {
    self.method = method
    self.path = path
    self.query = query
    self.headers = headers
    self.isAuthorized = isAuthorized
  }

  /// Returns the value of the first header field of that name, which is in lower case; nil if there is none.
  public func header(_ name: String) -> String? {
    headers.first { $0.name == name }?.value
  }
}

/// The path of a request, without its query.
public struct RequestPath: Sendable, Equatable {
  /// The decoded segments.
  public let segments: [[UInt8]]
  /// Whether the path ends with "/". The path "/" does.
  public let hasTrailingSlash: Bool

  /// Creates a path of segments that keep the rules at the head of this file.
  init(checked segments: [[UInt8]], hasTrailingSlash: Bool) {
    self.segments = segments
    self.hasTrailingSlash = hasTrailingSlash
  }

  /// Parses the path of a request target (RFC 9112 section 3.2.1), without its query.
  ///
  /// Escapes are decoded once, and bytes that are no UTF-8 are allowed: names of files have them, too. Empty
  /// segments within the path are refused: two URLs should not mean one object.
  /// - Returns: nil if the path breaks a rule at the head of this file.
  public init?(target: some Sequence<UInt8>) {
    var raw = Array(target)[...]
    guard raw.first == UInt8(ascii: "/") else { return nil }
    raw = raw.dropFirst()
    let isTop = raw.isEmpty
    let endsInSlash = raw.last == UInt8(ascii: "/")
    if endsInSlash { raw = raw.dropLast() }
    var segments: [[UInt8]] = []
    if !isTop {
      for part in raw.split(separator: UInt8(ascii: "/"), omittingEmptySubsequences: false) {
        guard let segment = PercentEncoding.decode(part), !segment.isEmpty,
          segment != Array(".".utf8), segment != Array("..".utf8),
          !segment.contains(where: { $0 == 0 || $0 == UInt8(ascii: "/") })
        else { return nil }
        segments.append(segment)
      }
    }
    self.init(checked: segments, hasTrailingSlash: isTop || endsInSlash)
  }

  /// The path without its first segments.
  public func dropFirst(_ count: Int) -> RequestPath {
    RequestPath(checked: Array(segments.dropFirst(count)), hasTrailingSlash: hasTrailingSlash)
  }
}

/// The query of a request: names and values in order.
public struct RequestQuery: Sendable {
  public let items: [(name: String, value: [UInt8])]

  /// Creates a query.
  public init(_ items: [(name: String, value: [UInt8])]) { self.items = items }

  /// Parses the part of a request target after "?", as forms encode it (WHATWG URL, section 5.1).
  /// - Returns: nil for an invalid escape, or a name that is not valid UTF-8.
  public init?(encoded: some Sequence<UInt8>) {
    var items: [(name: String, value: [UInt8])] = []
    for part in Array(encoded).split(separator: UInt8(ascii: "&")) {
      let sides = part.split(
        separator: UInt8(ascii: "="), maxSplits: 1, omittingEmptySubsequences: false)
      func decoded(_ side: ArraySlice<UInt8>) -> [UInt8]? {
        PercentEncoding.decode(side, plusIsSpace: true)
      }
      guard let name = decoded(sides[0]), let text = String(validating: name, as: UTF8.self),
        let value = sides.count == 2 ? decoded(sides[1]) : []
      else { return nil }
      items.append((text, value))
    }
    self.items = items
  }

  /// Returns the first value of a name as bytes; nil if there is none.
  public func bytes(_ name: String) -> [UInt8]? {
    items.first { $0.name == name }?.value
  }

  /// Returns the first value of a name; nil if there is none, or if it is not valid UTF-8.
  public func text(_ name: String) -> String? {
    bytes(name).flatMap { String(validating: $0, as: UTF8.self) }
  }
}
