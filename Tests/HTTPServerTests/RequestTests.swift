// 100 requests with their answers, over a socket: methods, targets, conditions, ranges, framing.

import HTTPServer
import Platform
import TestSupport
import Testing

/// A request as it is sent, and what its answer must be.
struct RequestCase: Sendable, CustomTestStringConvertible {
  let request: String
  let status: Int
  var body: String?
  var fields: [String: String] = [:]
  /// Whether the server ends the connection after it.
  var ends = false
  /// Fields that must not be in the answer.
  var without: [String] = []

  var testDescription: String { printable(request.utf8.prefix(70)) }

  /// A request with a Host field.
  static func get(
    _ target: String, _ lines: [String] = [], _ status: Int, body: String? = nil,
    fields: [String: String] = [:], method: String = "GET", ends: Bool = false,
    without: [String] = []
  ) -> RequestCase {
    RequestCase(
      request:
        "\(method) \(target) HTTP/1.1\r\nHost: a\r\n\(lines.map { $0 + "\r\n" }.joined())\r\n",
      status: status, body: body, fields: fields, ends: ends, without: without)
  }

  /// A request that is refused, after which the connection ends.
  static func refused(_ request: String, _ status: Int = 400) -> RequestCase {
    RequestCase(request: request, status: status, ends: true)
  }

  static let methods: [RequestCase] = [
    .get("/", [], 200, body: "top\n", without: ["connection", "transfer-encoding"]),
    .get(
      "/digits", [], 200, body: "0123456789",
      fields: [
        "content-length": "10", "etag": "\"d1\"", "accept-ranges": "bytes",
        "content-type": "text/plain", "server": "imgstore", "x-content-type-options": "nosniff",
      ]),
    .get(
      "/digits", [], 200, body: "",
      fields: ["content-length": "10", "etag": "\"d1\"", "accept-ranges": "bytes"], method: "HEAD"),
    .get("/nothing", [], 404, body: "not found\n"),
    .get("/nothing", [], 404, body: "", fields: ["content-length": "10"], method: "HEAD"),
    .get("/", [], 405, fields: ["allow": "GET, HEAD, OPTIONS"], method: "POST"),
    .get("/", [], 405, fields: ["allow": "GET, HEAD, OPTIONS"], method: "PUT"),
    .get("/", [], 405, method: "DELETE"),
    .get("/", [], 405, method: "PATCH"),
    .get("/", [], 405, method: "TRACE"),
    .get("/", ["X-Secret: 1"], 405, method: "TRACE"),
    .get("a:443", [], 405, method: "CONNECT", ends: true),
    .get(
      "/", [], 204, body: "", fields: ["allow": "GET, HEAD, OPTIONS"], method: "OPTIONS",
      without: ["content-length", "transfer-encoding"]),
    .get("*", [], 204, fields: ["allow": "GET, HEAD, OPTIONS"], method: "OPTIONS"),
    .get("/", [], 501, method: "BREW"),
    .get("/", [], 501, method: "get"),
    .refused("GET\t/ HTTP/1.1\r\nHost: a\r\n\r\n"),
    .refused("G(T / HTTP/1.1\r\nHost: a\r\n\r\n"),
    .refused("\(String(repeating: "A", count: 40)) / HTTP/1.1\r\nHost: a\r\n\r\n"),
  ]

  static let targets: [RequestCase] = [
    .get("/echo/a", [], 200, body: "[\"a\"] [] get\n"),
    .get("/echo/a%20b?x=1&y=%41+b", [], 200, body: "[\"a b\"] [\"x=1\", \"y=A b\"] get\n"),
    .get("/echo/%ff%fe", [], 200, body: "[\"\\\\xff\\\\xfe\"] [] get\n"),
    .get("/echo/a@1:x+y=", [], 200, body: "[\"a@1:x+y=\"] [] get\n"),
    .get("/echo/%2e%2e", [], 400, ends: true), .get("/echo/..", [], 400, ends: true),
    .get("/echo/.", [], 400, ends: true),
    .get("/echo/../../etc/passwd", [], 400, ends: true),
    .get("/echo/%2E%2e/x", [], 400, ends: true),
    .get("/echo//a", [], 400, ends: true), .get("//echo", [], 400, ends: true),
    .get("/echo/a%2fb", [], 400, ends: true),
    .get("/echo/a%00b", [], 400, ends: true), .get("/echo/%", [], 400, ends: true),
    .get("/echo/%4", [], 400, ends: true),
    .get("/echo/%zz", [], 400, ends: true), .get("/echo?x=%zz", [], 400, ends: true),
    .get("/echo?%ff=1", [], 400, ends: true),
    .get("/echo/..%5c..", [], 200),
    .get("/echo/%252e%252e", [], 200, body: "[\"%2e%2e\"] [] get\n"),
    .get("echo", [], 400, ends: true), .get("*", [], 400, ends: true),
    .get("", [], 400, ends: true),
    .get("/echo#x", [], 400, ends: true),
    .get("http://other/echo/a", [], 200, body: "[\"a\"] [] get\n"),
    .get("HTTP://other:80/echo/a?x=1", [], 200, body: "[\"a\"] [\"x=1\"] get\n"),
    .get("http://other", [], 200, body: "top\n"),
    .get("ftp://other/echo", [], 400, ends: true),
    .get("/echo/" + String(repeating: "a", count: 8000), [], 200),
    .refused("GET /\(String(repeating: "a", count: 9000)) HTTP/1.1\r\nHost: a\r\n\r\n", 414),
    .refused("GET /\(String(repeating: "a", count: 40_000))", 414),
    .refused("GET / a HTTP/1.1\r\nHost: a\r\n\r\n"),
    .refused("GET  / HTTP/1.1\r\nHost: a\r\n\r\n"),
    .refused(" GET / HTTP/1.1\r\nHost: a\r\n\r\n"),
    .refused("GET / HTTP/1.1 \r\nHost: a\r\n\r\n"),
    .refused("GET /\r\n\r\n"), .refused("GET / HTTP/2.0\r\nHost: a\r\n\r\n", 505),
    .refused("PRI * HTTP/2.0\r\n\r\n", 505), .refused("GET / HTTP/0.9\r\nHost: a\r\n\r\n", 505),
    .refused("GET / http/1.1\r\nHost: a\r\n\r\n"), .refused("GET / HTTP/1\r\nHost: a\r\n\r\n"),
    .refused("GET / HTTP/1.10\r\nHost: a\r\n\r\n"),
    RequestCase(request: "GET / HTTP/1.2\r\nHost: a\r\n\r\n", status: 200, body: "top\n"),
    RequestCase(request: "\r\n\r\nGET / HTTP/1.1\r\nHost: a\r\n\r\n", status: 200, body: "top\n"),
  ]

  static let conditions: [RequestCase] = [
    .get(
      "/digits", ["If-None-Match: \"d1\""], 304, body: "", fields: ["etag": "\"d1\""],
      without: ["content-type", "content-length", "transfer-encoding"]),
    .get("/digits", ["If-None-Match: \"d1\""], 304, method: "HEAD"),
    .get("/digits", ["If-None-Match: W/\"d1\", \"x\""], 304),
    .get("/digits", ["If-None-Match: *"], 304),
    .get("/digits", ["If-None-Match: \"x\""], 200, body: "0123456789"),
    .get("/digits", ["If-Match: \"x\""], 412), .get("/digits", ["If-Match: \"d1\""], 200),
    .get("/nothing", ["If-Match: \"x\""], 404), .get("/nothing", ["If-None-Match: *"], 404),
    .get(
      "/bytes", ["If-Modified-Since: Sun, 01 Nov 2026 00:00:00 GMT"], 304,
      fields: ["last-modified": "Sun, 01 Nov 2026 00:00:00 GMT"]),
    .get("/bytes", ["If-Modified-Since: Sat, 31 Oct 2026 23:59:59 GMT"], 200),
    .get("/bytes", ["If-Unmodified-Since: Sat, 31 Oct 2026 23:59:59 GMT"], 412),
  ]

  static let ranges: [RequestCase] = [
    .get(
      "/digits", ["Range: bytes=0-3"], 206, body: "0123",
      fields: [
        "content-range": "bytes 0-3/10", "content-length": "4", "content-type": "text/plain",
        "etag": "\"d1\"",
      ]),
    .get(
      "/digits", ["Range: bytes=8-"], 206, body: "89", fields: ["content-range": "bytes 8-9/10"]),
    .get(
      "/digits", ["Range: bytes=-3"], 206, body: "789", fields: ["content-range": "bytes 7-9/10"]),
    .get(
      "/digits", ["Range: bytes=5-500"], 206, body: "56789",
      fields: ["content-range": "bytes 5-9/10"]),
    .get("/digits", ["Range: bytes=10-"], 416, fields: ["content-range": "bytes */10"]),
    .get("/digits", ["Range: bytes=3-1"], 200, body: "0123456789"),
    .get("/digits", ["Range: lines=1-2"], 200, body: "0123456789"),
    .get(
      "/digits", ["Range: bytes=0-3"], 200, body: "", fields: ["content-length": "10"],
      method: "HEAD"),
    .get("/digits", ["Range: bytes=0-3", "If-Range: \"d1\""], 206, body: "0123"),
    .get("/digits", ["Range: bytes=0-3", "If-Range: \"x\""], 200, body: "0123456789"),
    .get("/digits", ["Range: bytes=0-3", "If-Range: W/\"d1\""], 200, body: "0123456789"),
    .get("/bytes", ["Range: bytes=0-3", "If-Range: Sun, 01 Nov 2026 00:00:00 GMT"], 206),
    .get("/bytes", ["Range: bytes=0-3", "If-Range: Sat, 31 Oct 2026 00:00:00 GMT"], 200),
    .get("/digits", ["Range: bytes=0-3", "If-None-Match: \"d1\""], 304),
    .get("/digits", ["Range: bytes=99-", "If-Match: \"x\""], 412),
    .get("/digits", ["Range: bytes=0-3", "Range: bytes=1-2"], 200, body: "0123456789"),
    .get("/nothing", ["Range: bytes=0-3"], 404),
    .get(
      "/digits", ["Range: bytes=" + Array(repeating: "1-1", count: 17).joined(separator: ",")], 200,
      body: "0123456789"),
  ]

  static let framing: [RequestCase] = [
    .get("/", ["Content-Length: 0"], 200), .refused("GET / HTTP/1.1\r\n\r\n"),
    RequestCase(
      request: "GET / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nhello", status: 200,
      body: "top\n"),
    .get("/", ["Content-Length: 5", "Content-Length: 5"], 400, ends: true),
    .get("/", ["Content-Length: 5", "Content-Length: 6"], 400, ends: true),
    .get("/", ["Content-Length: 5, 5"], 400, ends: true),
    .get("/", ["Content-Length: +5"], 400, ends: true),
    .get("/", ["Content-Length: -1"], 400, ends: true),
    .get("/", ["Content-Length: 0x5"], 400, ends: true),
    .get("/", ["Content-Length:"], 400, ends: true),
    .get("/", ["Content-Length: 99999999999999999999"], 400, ends: true),
    .get("/", ["Content-Length: 65537"], 413, ends: true),
    .get("/", ["Content-Length: 9999999999"], 413, ends: true),
    .get("/", ["Transfer-Encoding: chunked"], 411, ends: true),
    .get("/", ["Transfer-Encoding: chunked", "Content-Length: 5"], 400, ends: true),
    .get("/", ["Transfer-Encoding: gzip, chunked"], 501, ends: true),
    .get("/", ["Transfer-Encoding: xchunked"], 501, ends: true),
    .get("/", ["Transfer-Encoding:"], 501, ends: true),
    .refused("GET / HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n"),
    .get("/", ["Transfer-Encoding : chunked"], 400, ends: true),
    .get("/", ["Content-Length : 5"], 400, ends: true),
    .refused("GET / HTTP/1.1\r\nHost: a\r\nX: 1\r\n folded\r\n\r\n"),
    .refused("GET / HTTP/1.1\r\n Host: a\r\n\r\n"),
    .refused("GET / HTTP/1.1\r\nHost: a\nX: 1\r\n\r\n"), .refused("GET / HTTP/1.1\nHost: a\n\n"),
    .refused("GET / HTTP/1.1\r\nHost: a\r\nX: a\rb\r\n\r\n"),
    .refused("GET / HTTP/1.1\r\nHost: a\r\nX: a\0b\r\n\r\n"),
    .refused("GET / HTTP/1.1\r\nHost: a\r\n: b\r\n\r\n"),
    .refused("GET / HTTP/1.1\r\nHost: a\r\nno colon\r\n\r\n"),
    .refused("GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n"),
    .refused("GET / HTTP/1.1\r\nHost: a/b\r\n\r\n"),
    .refused("GET / HTTP/1.1\r\nHost: a@b\r\n\r\n"),
    .refused("GET / HTTP/1.1\r\nHost: a b\r\n\r\n"),
    RequestCase(
      request: "GET / HTTP/1.0\r\n\r\n", status: 200, body: "top\n",
      fields: ["connection": "close"], ends: true),
    RequestCase(
      request: "GET / HTTP/1.0\r\nConnection: keep-alive\r\n\r\n", status: 200,
      fields: ["connection": "keep-alive"]),
    .get("/", ["Connection: close"], 200, fields: ["connection": "close"], ends: true),
    .get("/", ["Connection: Foo, CLOSE"], 200, fields: ["connection": "close"], ends: true),
    .get("/", ["Expect: something"], 417, ends: true),
    .get("/", ["X-Long: " + String(repeating: "x", count: 33_000)], 431, ends: true),
    .get("/", (0..<101).map { "X-\($0): 1" }, 431, ends: true),
    .get("/", (0..<99).map { "X-\($0): 1" }, 200),
    .get(
      "/evil", [], 200,
      fields: [
        "content-type": "text/plainX-Evil: 1", "etag": "\"abX:1\"", "x-name": "aX-Evil: 1",
        "content-length": "0",
      ], without: ["x-evil", "bad name"]),
  ]
}

@Suite struct RequestTests {
  static let server = Result { try TestServer() }

  private func check(_ expected: RequestCase) throws {
    let client = try RequestTests.server.get().client()
    let isHead = expected.request.hasPrefix("HEAD ")
    let answer = try client.exchange(expected.request, isHead: isHead)
    #expect(answer.status == expected.status)
    if let body = expected.body { #expect(answer.text == body) }
    for (name, value) in expected.fields { #expect(answer.header(name) == value, "\(name)") }
    for name in expected.without { #expect(answer.header(name) == nil, "\(name)") }
    if expected.ends {
      #expect(answer.header("connection") == "close")
      #expect(client.isEnded())
    } else {
      let next = try client.exchange("GET /digits HTTP/1.1\r\nHost: a\r\n\r\n")
      #expect(next.status == 200 && next.text == "0123456789", "the connection is still usable")
    }
  }

  @Test func `the tables have at least 80 requests`() {
    let all = [
      RequestCase.methods, RequestCase.targets, RequestCase.conditions, RequestCase.ranges,
      RequestCase.framing,
    ]
    #expect(all.joined().count >= 80)
  }

  @Test(arguments: RequestCase.methods) func `methods`(_ expected: RequestCase) throws {
    try check(expected)
  }
  @Test(arguments: RequestCase.targets) func `targets`(_ expected: RequestCase) throws {
    try check(expected)
  }
  @Test(arguments: RequestCase.conditions) func `conditions`(_ expected: RequestCase) throws {
    try check(expected)
  }
  @Test(arguments: RequestCase.ranges) func `ranges`(_ expected: RequestCase) throws {
    try check(expected)
  }
  @Test(arguments: RequestCase.framing) func `framing and fields`(_ expected: RequestCase) throws {
    try check(expected)
  }
}
