// The head of a request: request line and header fields (RFC 9112 sections 2 to 6).
//
// The parser is stricter than the RFC demands, because two programs that read one request differently are how
// requests are smuggled past a proxy:
//
// 1. A line ends with CR LF. A CR or LF alone, NUL, and other control characters are errors.
// 2. A field name is a token, with the colon directly after it. Folded lines are errors.
// 3. A request has one Host field (HTTP/1.1), and at most one Content-Length, which is a plain number. It never has
//    both Content-Length and Transfer-Encoding.
// 4. The size of the head, of its target and the number of fields are limited before memory is allocated.

/// A request that breaks a rule: the status of the answer, and a sentence for it. The connection is closed.
struct RequestFailure: Error, Equatable {
  let status: HTTPStatus
  let reason: String

  init(_ status: HTTPStatus, _ reason: String) {
    self.status = status
    self.reason = reason
  }
}

/// A request line and header fields.
struct RequestHead: Sendable {
  let method: String
  /// The target as it was sent.
  let target: [UInt8]
  /// The minor version of HTTP/1.
  let minorVersion: Int
  /// The fields in order, with names in lower case.
  let headers: [(name: String, value: String)]

  /// Returns the values of all fields of a name in lower case.
  func values(_ name: String) -> [String] {
    headers.filter { $0.name == name }.map(\.value)
  }

  /// Returns the elements of a field that is a list of tokens, in lower case.
  func tokens(_ name: String) -> [String] {
    values(name).flatMap { $0.split(separator: ",") }
      .map { asciiLowercased($0.trimmingBlanks) }.filter { !$0.isEmpty }
  }
}

/// The limits of a head.
public struct HeadLimits: Sendable, Equatable {
  /// The most bytes of the request line's target.
  public var targetBytes = 8 << 10
  /// The most bytes of the whole head.
  public var headBytes = 32 << 10
  /// The most header fields.
  public var fieldCount = 100

  /// Creates the standard limits.
  public init() {}
}

/// Parses heads from complete lines.
enum RequestHeadParser {
  /// Parses a head, from its first line through the empty line at its end.
  static func parse(
    _ bytes: ArraySlice<UInt8>, _ limits: HeadLimits
  ) throws(RequestFailure) -> RequestHead {
    var lines = Lines(rest: bytes)
    guard let first = lines.next() else {
      throw RequestFailure(.badRequest, "the request is empty")
    }
    let (method, target, minorVersion) = try requestLine(first, limits)
    var headers: [(name: String, value: String)] = []
    while let line = lines.next(), !line.isEmpty {
      guard headers.count < limits.fieldCount else {
        throw RequestFailure(
          .headerFieldsTooLarge, "the request has more than \(limits.fieldCount) header fields")
      }
      headers.append(try field(line))
    }
    let head = RequestHead(
      method: method, target: target, minorVersion: minorVersion, headers: headers)
    try checkHost(head)
    return head
  }

  /// The lines of a head, without their ends. Rule 1 was checked by `RequestReader`.
  private struct Lines {
    var rest: ArraySlice<UInt8>

    mutating func next() -> ArraySlice<UInt8>? {
      guard let end = rest.firstIndex(of: 0x0d) else { return nil }
      let line = rest[..<end]
      rest = rest[(end + 1)...].dropFirst()
      return line
    }
  }

  private static func requestLine(
    _ line: ArraySlice<UInt8>, _ limits: HeadLimits
  ) throws(RequestFailure) -> (method: String, target: [UInt8], minorVersion: Int) {
    let parts = line.split(separator: 0x20, omittingEmptySubsequences: false)
    guard parts.count == 3, (1...32).contains(parts[0].count), parts[0].allSatisfy(isTokenByte)
    else {
      throw RequestFailure(.badRequest, "the request line is not METHOD TARGET HTTP/1.1")
    }
    guard parts[1].count <= limits.targetBytes else {
      throw RequestFailure(.targetTooLong, "the target has more than \(limits.targetBytes) bytes")
    }
    // Control characters never get here. Bytes above 0x7f are part of names that were not encoded.
    guard !parts[1].isEmpty, !parts[1].contains(where: { $0 == 0x23 || $0 == 0x7f || $0 == 0x09 })
    else { throw RequestFailure(.badRequest, "the target has invalid characters") }
    let version = Array(parts[2])
    guard version.count == 8, version.starts(with: "HTTP/".utf8), isDigit(version[5]),
      version[6] == 0x2e, isDigit(version[7])
    else { throw RequestFailure(.badRequest, "the request line has no HTTP version") }
    guard version[5] == 0x31 else {
      throw RequestFailure(.versionNotSupported, "this server speaks HTTP/1.1 and HTTP/1.0")
    }
    return (
      String(decoding: parts[0], as: UTF8.self), Array(parts[1]), min(Int(version[7] - 0x30), 1)
    )
  }

  private static func field(
    _ line: ArraySlice<UInt8>
  ) throws(RequestFailure) -> (name: String, value: String) {
    guard let colon = line.firstIndex(of: 0x3a), colon > line.startIndex,
      line[..<colon].allSatisfy(isTokenByte)
    else { throw RequestFailure(.badRequest, "a header field is not NAME: VALUE") }
    let name = line[..<colon].map { (0x41...0x5a).contains($0) ? $0 + 0x20 : $0 }
    var value = line[(colon + 1)...]
    while let byte = value.first, byte == 0x20 || byte == 0x09 { value.removeFirst() }
    while let byte = value.last, byte == 0x20 || byte == 0x09 { value.removeLast() }
    return (String(decoding: name, as: UTF8.self), String(decoding: value, as: UTF8.self))
  }

  private static func checkHost(_ head: RequestHead) throws(RequestFailure) {
    let hosts = head.values("host")
    guard hosts.count <= 1, head.minorVersion == 0 || hosts.count == 1 else {
      throw RequestFailure(.badRequest, "the request needs exactly one Host field")
    }
    guard let host = hosts.first else { return }
    // RFC 3986 section 3.2: a name, an IPv4 address, or an IPv6 address in brackets, and a port.
    let isValid = host.utf8.allSatisfy { byte in
      isTokenByte(byte) || "[]:%=,;()".utf8.contains(byte)
    }
    guard isValid else {
      throw RequestFailure(.badRequest, "the Host field has invalid characters")
    }
  }
}

extension RequestHead {
  /// How the body of the request is framed.
  enum Framing: Equatable {
    case none
    case length(UInt64)
  }

  /// Returns the framing of the body (RFC 9112 section 6.3).
  func framing() throws(RequestFailure) -> Framing {
    let lengths = values("content-length")
    let encodings = tokens("transfer-encoding")
    if !values("transfer-encoding").isEmpty {
      guard lengths.isEmpty, minorVersion == 1 else {
        throw RequestFailure(
          .badRequest, "Transfer-Encoding is not allowed with Content-Length or with HTTP/1.0")
      }
      guard encodings == ["chunked"] else {
        throw RequestFailure(.notImplemented, "the transfer coding is not implemented")
      }
      // Nothing here uses a body, so no chunks are read (RFC 9112 section 6.1).
      throw RequestFailure(.lengthRequired, "a body needs a Content-Length")
    }
    guard let text = lengths.first else { return .none }
    guard lengths.count == 1, !text.isEmpty, text.utf8.allSatisfy(isDigit), text.utf8.count <= 19,
      let length = UInt64(text)
    else { throw RequestFailure(.badRequest, "the Content-Length is invalid") }
    return length == 0 ? .none : .length(length)
  }

  /// Whether the connection stays open after the answer (RFC 9112 section 9.3).
  var keepsConnection: Bool {
    let options = tokens("connection")
    if options.contains("close") { return false }
    return minorVersion == 1 || options.contains("keep-alive")
  }
}

/// A token's characters (RFC 9110 section 5.6.2).
func isTokenByte(_ byte: UInt8) -> Bool {
  switch byte {
  case 0x30...0x39, 0x41...0x5a, 0x61...0x7a: true
  default: "!#$%&'*+-.^_`|~".utf8.contains(byte)
  }
}

func isDigit(_ byte: UInt8) -> Bool { (0x30...0x39).contains(byte) }

/// Returns a text with its ASCII letters in lower case.
func asciiLowercased(_ text: some StringProtocol) -> String {
  String(decoding: text.utf8.map { (0x41...0x5a).contains($0) ? $0 + 0x20 : $0 }, as: UTF8.self)
}

extension StringProtocol {
  /// The text without spaces and tabs at its ends.
  var trimmingBlanks: SubSequence {
    var text = self[...]
    while let first = text.first, first == " " || first == "\t" { text = text.dropFirst() }
    while let last = text.last, last == " " || last == "\t" { text = text.dropLast() }
    return text
  }
}
