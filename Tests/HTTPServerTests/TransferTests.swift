// Bodies of every kind over a socket: ranges, growing files, slow clients, pipelining, limits, the end of a server.

import HTTPServer
import Platform
import TestSupport
import Testing

@Suite struct TransferTests {
  @Test func `a file, bytes and their ranges are sent as they are`() throws {
    let server = try TestServer()
    for path in ["/file", "/bytes"] {
      let whole = try server.get(path)
      #expect(whole.status == 200 && whole.body == server.content)
      #expect(whole.header("content-length") == "\(server.content.count)")
      #expect(whole.header("last-modified") == "Sun, 01 Nov 2026 00:00:00 GMT")
      let part = try server.get(path, "Range: bytes=100000-200001")
      #expect(part.status == 206 && part.body == Array(server.content[100_000...200_001]))
    }
  }

  @Test(arguments: seeds) func `random ranges equal the parts of the file`(_ seed: UInt64) throws {
    let server = try TestServer()
    let client = try server.client()
    var random = SplitMix64(seed)
    let count = server.content.count
    for _ in 0..<300 {
      let ranges = (0..<Int.random(in: 1...5, using: &random)).map { _ in
        let start = Int.random(in: 0..<count, using: &random)
        return start...min(count - 1, start + Int.random(in: 0..<(count / 5), using: &random))
      }
      let field = ranges.map { "\($0.lowerBound)-\($0.upperBound)" }.joined(separator: ",")
      let path = Bool.random(using: &random) ? "/file" : "/bytes"
      let answer = try client.exchange(
        "GET \(path) HTTP/1.1\r\nHost: a\r\nRange: bytes=\(field)\r\n\r\n")
      #expect(answer.status == 206)
      let parts = ranges.count == 1 ? [answer.body] : try MultipartBody(answer).parts
      #expect(parts == ranges.map { Array(server.content[$0]) }, "seed \(seed): \(field)")
    }
  }

  @Test func `several ranges are a multipart body with the range of each part`() throws {
    let server = try TestServer()
    let answer = try server.get("/digits", "Range: bytes=0-1,5-6,-1")
    #expect(answer.status == 206 && answer.header("content-range") == nil)
    let body = try MultipartBody(answer)
    #expect(body.parts.map { String(decoding: $0, as: UTF8.self) } == ["01", "56", "9"])
    #expect(body.heads.allSatisfy { $0.contains("Content-Type: text/plain\r\n") })
    #expect(body.heads[1].contains("Content-Range: bytes 5-6/10"))
  }

  @Test(arguments: [true, false])
  func `a growing file is sent while it is written`(_ isSized: Bool) throws {
    let server = try TestServer()
    let writer = try GrowingWriter(server, "grow", 400_000, isSized: isSized)
    try writer.write(0..<10)
    let client = try server.client()
    client.send("GET /growing/grow HTTP/1.1\r\nHost: a\r\n\r\n")
    // The head and the first bytes come before the rest is written.
    #expect(client.receive() == .bytes)
    try startDetachedThread {
      for start in stride(from: 10, to: 400_000, by: 13_333) {
        try? writer.write(start..<min(start + 13_333, 400_000))
        pause(milliseconds: 1)
      }
      writer.finish()
    }
    let answer = try client.answer()
    #expect(answer.body == writer.content)
    #expect(answer.header("content-length") == (isSized ? "400000" : nil))
    #expect(answer.header("transfer-encoding") == (isSized ? nil : "chunked"))
    #expect(try client.exchange("GET / HTTP/1.1\r\nHost: a\r\n\r\n").status == 200)
    let again = try server.get("/growing/grow", "Range: bytes=5-9")
    #expect(again.status == 206 && again.body == Array(writer.content[5...9]))
  }

  @Test func `a range of a growing file waits for its end`() throws {
    let server = try TestServer()
    let writer = try GrowingWriter(server, "part", 1000, isSized: true)
    let client = try server.client()
    client.send("GET /growing/part HTTP/1.1\r\nHost: a\r\nRange: bytes=100-199,900-\r\n\r\n")
    try writer.write(0..<150)
    try writer.write(150..<1000)
    let parts = try MultipartBody(try client.answer()).parts
    #expect(parts == [Array(writer.content[100...199]), Array(writer.content[900...])])
  }

  @Test(arguments: ["1.0", "1.1"], [true, false])
  func `a growing file that fails never looks complete`(_ version: String, _ isSized: Bool) throws {
    let server = try TestServer()
    let writer = try GrowingWriter(server, "fail", 100_000, isSized: isSized)
    try writer.write(0..<50_000)
    let client = try server.client()
    client.send("GET /growing/fail HTTP/\(version)\r\nHost: a\r\n\r\n")
    #expect(client.receive() == .bytes)
    writer.file.report(.failed)
    // Without a length or chunks, only a reset tells the client.
    #expect(client.receiveAll().end == .reset)
    #expect(try server.get("/growing/fail").status == 500)
  }

  @Test func `a growing file that ends early or late never looks complete`() throws {
    let server = try TestServer()
    let short = try GrowingWriter(server, "short", 1000, isSized: true)
    try short.write(0..<500)
    let client = try server.client()
    client.send("GET /growing/short HTTP/1.1\r\nHost: a\r\n\r\n")
    #expect(client.receive() == .bytes)
    short.file.report(.finished(sizeBytes: 500))
    #expect(client.receiveAll().end == .reset)
  }

  @Test func `a head is sent before the first byte of a growing file`() throws {
    let server = try TestServer()
    let writer = try GrowingWriter(server, "late", 10, isSized: false)
    let client = try server.client()
    client.send("GET /growing/late HTTP/1.1\r\nHost: a\r\n\r\n")
    #expect(client.receive() == .bytes)
    try writer.write(0..<10)
    writer.finish()
    #expect(try client.answer().body == writer.content)
  }

  @Test func `an HTTP/1.0 client gets a body of unknown size up to the end of the connection`()
    throws
  {
    let server = try TestServer()
    let writer = try GrowingWriter(server, "old", 5000, isSized: false)
    let client = try server.client()
    client.send("GET /growing/old HTTP/1.0\r\nConnection: keep-alive\r\n\r\n")
    try writer.write(0..<5000)
    writer.finish()
    let answer = try client.answer()
    #expect(answer.body == writer.content && answer.header("transfer-encoding") == nil)
  }

  @Test func `pipelined requests are answered in order`() throws {
    let server = try TestServer()
    let client = try server.client()
    let requests = (0..<200).map { index in
      "\(index % 5 == 4 ? "HEAD" : "GET") /echo/\(index)?x=\(index) HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n\r\nabc"
    }
    try startDetachedThread { [client = NonisolatedBox(client)] in
      client.value.send(requests.joined())
    }
    for index in 0..<200 {
      let answer = try client.answer(isHead: index % 5 == 4)
      #expect(answer.status == 200)
      if index % 5 != 4 { #expect(answer.text == "[\"\(index)\"] [\"x=\(index)\"] get\n") }
    }
  }

  @Test func `a request in single bytes is read`() throws {
    let server = try TestServer()
    let client = try server.client()
    for byte in "\r\nGET /digits HTTP/1.1\r\nHost: a\r\nRange: bytes=1-2\r\n\r\n".utf8 {
      client.send([byte])
    }
    #expect(try client.answer().text == "12")
  }

  @Test func `a client that ends its output gets its answer`() throws {
    let server = try TestServer()
    let client = try server.client()
    client.send("GET /file HTTP/1.1\r\nHost: a\r\n\r\n")
    client.shutdownOutput()
    #expect(try client.answer().body == server.content)
    #expect(client.isEnded())
  }

  @Test func `Expect 100-continue is answered before the body`() throws {
    let server = try TestServer()
    let client = try server.client()
    client.send("GET / HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\nContent-Length: 4\r\n\r\n")
    #expect(try client.answer().status == 100)
    client.send("body")
    #expect(try client.answer().text == "top\n")
    #expect(try server.get("/", "Expect: 100-continue", "Content-Length: 999999999").status == 413)
  }

  @Test func `the answer to a large body arrives although the client is still sending`() throws {
    let server = try TestServer()
    let client = try server.client()
    client.send("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 500000\r\n\r\n")
    client.send([UInt8](repeating: 1, count: 400_000))
    #expect(try client.answer().status == 413)
  }
}

/// A value for another thread of a test.
struct NonisolatedBox<Value>: @unchecked Sendable {  // sockets may be used by two threads
  let value: Value
  init(_ value: Value) { self.value = value }
}

/// A body of type multipart/byteranges.
struct MultipartBody {
  private(set) var heads: [String] = []
  private(set) var parts: [[UInt8]] = []

  init(_ answer: Answer) throws {
    let type = answer.header("content-type") ?? ""
    let prefix = "multipart/byteranges; boundary="
    guard type.hasPrefix(prefix) else { throw ClientError("not multipart: \(type)") }
    let boundary = "--" + type.dropFirst(prefix.count)
    var rest = answer.body[...]
    func take(_ text: String) throws {
      guard rest.starts(with: text.utf8) else { throw ClientError("no \(text)") }
      rest = rest.dropFirst(text.utf8.count)
    }
    try take(boundary)
    while !rest.starts(with: "--".utf8) {
      try take("\r\n")
      var head: [UInt8] = []
      while !rest.starts(with: "\r\n\r\n".utf8), let byte = rest.popFirst() { head.append(byte) }
      try take("\r\n\r\n")
      let text = String(decoding: head, as: UTF8.self)
      guard let match = text.firstMatch(of: /Content-Range: bytes (\d+)-(\d+)\/\d+/),
        let first = Int(match.output.1), let last = Int(match.output.2), first <= last,
        rest.count > last - first
      else { throw ClientError("no range in \(text)") }
      heads.append(text + "\r\n")
      parts.append(Array(rest.prefix(last - first + 1)))
      rest = rest.dropFirst(last - first + 1)
      try take("\r\n" + boundary)
    }
    guard Array(rest) == Array("--\r\n".utf8) else { throw ClientError("no end") }
  }
}
