// Requests and answers of HTTP/1.1 as the server and the proxy of the tests see them.

/// The head of a message: its first line, and its headers in order.
public struct MessageHead: Sendable {
  public var firstLine: String
  public var headers: [(name: String, value: String)]

  public init(_ firstLine: String, _ headers: [(name: String, value: String)] = []) {
    self.firstLine = firstLine
    self.headers = headers
  }

  /// Parses the bytes to the empty line.
  public init(parsing bytes: [UInt8]) {
    var lines = String(decoding: bytes, as: UTF8.self)
      .split(omittingEmptySubsequences: true) { $0 == "\r\n" || $0 == "\n" }[...]
    firstLine = lines.popFirst().map(String.init) ?? ""
    headers = lines.compactMap { line in
      let name = line.prefix { $0 != ":" }
      guard name.count < line.count else { return nil }
      return (String(name), String(line.dropFirst(name.count + 1).drop { $0 == " " }))
    }
  }

  /// The value of a header; setting nil removes it.
  public subscript(_ name: String) -> String? {
    get { headers.first { $0.name.lowercased() == name.lowercased() }?.value }
    set {
      headers.removeAll { $0.name.lowercased() == name.lowercased() }
      if let newValue { headers.append((name, newValue)) }
    }
  }

  public var bytes: [UInt8] {
    Array(
      (firstLine + "\r\n" + headers.map { "\($0.name): \($0.value)\r\n" }.joined() + "\r\n").utf8)
  }
}

/// A request with its body.
public struct TestRequest: Sendable {
  public var head: MessageHead
  public var body: [UInt8]

  /// Reads a request; nil at the end of the connection.
  public init?(from connection: Connection) {
    guard let bytes = connection.readHead() else { return nil }
    head = MessageHead(parsing: bytes)
    guard let body = connection.read(head["content-length"].flatMap { Int($0) } ?? 0) else {
      return nil
    }
    self.body = body
  }

  public var bytes: [UInt8] { head.bytes + body }
  public var method: String { String(head.firstLine.prefix { $0 != " " }) }

  var target: String {
    let parts = head.firstLine.split(separator: " ")
    return parts.count > 1 ? String(parts[1]) : "/"
  }

  /// The path, decoded, without the query.
  public var path: String { TestRequest.decoded(target.prefix { $0 != "?" }) }

  /// The parameters of the query, decoded.
  public var query: [String: String] {
    guard let mark = target.firstIndex(of: "?") else { return [:] }
    var result: [String: String] = [:]
    for pair in target[target.index(after: mark)...].split(separator: "&") {
      let name = pair.prefix { $0 != "=" }
      result[TestRequest.decoded(name)] = TestRequest.decoded(pair.dropFirst(name.count + 1))
    }
    return result
  }

  private static func decoded(_ text: Substring) -> String {
    var bytes: [UInt8] = []
    var rest = Array(text.utf8)[...]
    while let byte = rest.popFirst() {
      if byte == UInt8(ascii: "%"), rest.count >= 2,
        let value = UInt8(String(decoding: rest.prefix(2), as: UTF8.self), radix: 16)
      {
        bytes.append(value)
        rest.removeFirst(2)
      } else {
        bytes.append(byte)
      }
    }
    return String(decoding: bytes, as: UTF8.self)
  }
}

/// An answer with its body.
public struct TestAnswer: Sendable {
  public var head: MessageHead
  public var body: [UInt8]

  /// Creates an answer whose length is right.
  public init(_ status: Int, _ headers: [(name: String, value: String)] = [], _ body: [UInt8] = [])
  {
    head = MessageHead("HTTP/1.1 \(status) \(status < 300 ? "OK" : "Refused")", headers)
    self.body = body
    if head["content-length"] == nil { head["Content-Length"] = "\(body.count)" }
  }

  /// Creates a refusal with a document.
  public static func error(_ status: Int, _ code: String, _ message: String = "") -> TestAnswer {
    TestAnswer(
      status, [("Content-Type", "application/xml")],
      Array(
        ("<?xml version=\"1.0\" encoding=\"UTF-8\"?><Error><Code>\(code)</Code>"
          + "<Message>\(message)</Message><RequestId>1</RequestId></Error>").utf8))
  }

  /// Parses what a server sent until it closed.
  init?(parsing bytes: [UInt8]) {
    let end = Array("\r\n\r\n".utf8)
    guard let start = bytes.indices.first(where: { bytes[$0...].starts(with: end) }) else {
      return nil
    }
    head = MessageHead(parsing: Array(bytes[..<(start + 4)]))
    body = Array(bytes[(start + 4)...])
  }

  public var status: Int { Int(head.firstLine.split(separator: " ").dropFirst().first ?? "") ?? 0 }
  public var bytes: [UInt8] { head.bytes + body }
}
