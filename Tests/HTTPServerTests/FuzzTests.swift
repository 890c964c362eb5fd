// 10,000 requests that no client should send. The server must stay alive, answer in a well-formed way or end the
// connection, and hold a bounded amount of memory. The seed is in each message; IMGSTORE_SEED repeats it.

import Glibc
import HTTPServer
import Platform
import TestSupport
import Testing

/// Makes requests of valid, odd and invalid parts.
struct RequestFuzzer {
  var random: SplitMix64

  mutating func pick<Element>(_ choices: [Element]) -> Element {
    choices[Int.random(in: 0..<choices.count, using: &random)]
  }

  private mutating func chance(_ percent: Int) -> Bool {
    Int.random(in: 0..<100, using: &random) < percent
  }

  private mutating func target() -> String {
    var text = pick([
      "/", "/file", "/bytes", "/digits", "/echo/", "/nothing", "http://x/digits", "*", "",
    ])
    for _ in 0..<Int.random(in: 0...4, using: &random) where chance(40) {
      text += pick([
        "%2e%2e/", "../", "%2f", "%00", "%", "%zz", "//", "a", "\u{e4}", "?x=%41", "#", ";x",
        "%c0%ae", "\\",
        "%25", String(repeating: "a/", count: 200), "?", "&=", "+", "\u{7f}", "\t",
      ])
    }
    return text
  }

  private mutating func field() -> String {
    let number = pick([
      "0", "1", "-1", "3", "65536", "99999999999999999999", "1e3", "0x10", " 5", "5,5", "",
    ])
    let range = pick([
      "bytes=0-1", "bytes=5-", "bytes=-3", "bytes=0-0,2-2,4-4", "bytes=9-1", "bytes=",
      "bytes=0-99999999999999999999",
      "bytes=" + String(repeating: "0-,", count: 300), "none", "bytes=1-1,bytes=2-2",
      "bytes=299999-,0-0",
    ])
    let tag = pick([
      "\"d1\"", "W/\"b1\"", "*", "\"", "\"\"\"", "x", String(repeating: "\"a\",", count: 500),
    ])
    return pick([
      "Content-Length: \(number)", "Content-Length : \(number)", "Transfer-Encoding: chunked",
      "Transfer-Encoding: chunked, identity", "transfer-encoding:\u{b}chunked", "Range: \(range)",
      "If-Range: \(tag)",
      "If-Match: \(tag)", "If-None-Match: \(tag)",
      "If-Modified-Since: Sun, 06 Nov 1994 08:49:37 GMT",
      "If-Unmodified-Since: \(number)", "Connection: close", "Connection: keep-alive, x",
      "Expect: 100-continue",
      "Expect: x", "Host: b", "Host: a:b@c/", "Authorization: Basic \(number)=",
      "Authorization: Bearer \(tag)",
      " folded", "no colon", ": empty", "X-\u{0}: 1", "X: \u{1b}[2J", "X: a\rb", "X: a\nY: b",
      "X: " + String(repeating: "v", count: pick([10, 5000, 40_000])), "Upgrade: h2c",
      "Cookie: \u{fffd}",
    ])
  }

  /// Returns a valid request whose conditions and ranges are odd.
  private mutating func valid() -> [UInt8] {
    let path = pick(["/", "/file", "/bytes", "/digits", "/echo/%ff?x=+", "/nothing"])
    var text = "\(pick(["GET", "GET", "HEAD"])) \(path) HTTP/1.\(pick(["0", "1"]))\r\nHost: a\r\n"
    for _ in 0..<Int.random(in: 0...3, using: &random) {
      text +=
        pick([
          "Range: bytes=0-1", "Range: bytes=9-1", "Range: bytes=-0", "Range: bytes=1-1,3-3,-1",
          "Range: bytes=0-,0-", "If-Range: \"d1\"", "If-None-Match: *", "If-None-Match: \"d1\"",
          "If-Match: \"f1\"", "If-Modified-Since: Sun, 01 Nov 2026 00:00:00 GMT",
          "Content-Length: 0",
          "Connection: close", "Connection: keep-alive", "X: \u{e4}",
        ]) + "\r\n"
    }
    return Array((text + "\r\n").utf8)
  }

  /// Returns the bytes of one request, or of several ones.
  mutating func next() -> [UInt8] {
    if chance(30) { return valid() }
    if chance(3) { return random.bytes(Int.random(in: 1...3000, using: &random)) }
    let method = pick([
      "GET", "GET", "GET", "HEAD", "POST", "OPTIONS", "TRACE", "CONNECT", "BREW", "G\u{0}T", "",
    ])
    let version = pick([
      "HTTP/1.1", "HTTP/1.1", "HTTP/1.1", "HTTP/1.0", "HTTP/2.0", "HTTP/1.9", "http/1.1",
      "HTTP/1.1x", "",
    ])
    let end = chance(94) ? "\r\n" : pick(["\n", "\r", "\r\r\n", "\n\r"])
    var text = chance(3) ? "\r\n" : ""
    text += "\(method) \(target()) \(version)\(end)"
    if chance(90) { text += "Host: a\(end)" }
    for _ in 0..<(chance(2) ? 150 : Int.random(in: 0...4, using: &random)) { text += field() + end }
    if chance(95) { text += end }
    var bytes = Array(text.utf8)
    if chance(10) { bytes += random.bytes(Int.random(in: 0...300, using: &random)) }
    if chance(2) { bytes += [UInt8](repeating: 0x61, count: 200_000) }
    if chance(5), !bytes.isEmpty {
      for _ in 0..<3 {
        bytes[Int.random(in: 0..<bytes.count, using: &random)] = UInt8.random(
          in: 0...255, using: &random)
      }
    }
    if chance(5) { bytes = Array(bytes.prefix(Int.random(in: 0...bytes.count, using: &random))) }
    return bytes
  }
}

@Suite(.sweep) struct ServerFuzzTests {
  /// The resident memory of this process, in bytes.
  private static func residentBytes() -> Int {
    let text =
      (try? KernelFileSystem.shared.readSmallFile(
        at: KernelFileSystem.shared.workingDirectory, Array("/proc/self/statm".utf8))) ?? []
    let fields = text.split(separator: 0x20).map { String(decoding: $0, as: UTF8.self) }
    return (fields.count > 1 ? Int(fields[1]) ?? 0 : 0) * 4096
  }

  @Test(arguments: seeds) func `10,000 odd requests are answered or refused`(_ seed: UInt64) throws
  {
    let server = try TestServer {
      $0.limits.requestSeconds = 0.3
      $0.limits.idleSeconds = 0.1
      $0.limits.lingerSeconds = 0.1
    }
    // The first requests fill caches.
    for _ in 0..<20 { _ = try server.get("/file") }
    let before = ServerFuzzTests.residentBytes()
    let failures = Monitor<[String]>([])
    let answers = Monitor<[Int: Int]>([:])
    let rounds = 10_000 / 8
    try runThreads(8) { thread in
      var fuzzer = RequestFuzzer(random: SplitMix64(seed &+ UInt64(thread) &* 7919))
      for round in 0..<rounds {
        let request = fuzzer.next()
        do {
          let client = try server.client()
          client.send(request)
          // A request without its end would only end by the timeout.
          if fuzzer.pick([true, true, true, false]) { client.shutdownOutput() }
          let status = try ServerFuzzTests.check(client, request)
          answers.withLock { $0[status, default: 0] += 1 }
        } catch {
          failures.withLock {
            $0.append(
              "seed \(seed), thread \(thread), round \(round): \(error): \(printable(request.prefix(300)))"
            )
          }
        }
      }
    }
    let messages = failures.withLock { $0 }
    #expect(messages.isEmpty, "\(messages.prefix(5))")
    #expect(try server.get("/digits").text == "0123456789")
    let statuses = answers.withLock { $0 }
    #expect(statuses[200, default: 0] > 500, "\(statuses)")
    #expect(statuses[400, default: 0] > 500, "\(statuses)")
    #expect(statuses[500] == nil, "\(statuses)")
    let grown = ServerFuzzTests.residentBytes() - before
    #expect(grown < 64 << 20, "seed \(seed): memory grew by \(grown)")
    let open = server.server.counters.values.openConnections
    #expect(open <= 8, "\(open) connections are still open")
  }

  /// Parses all answers on a connection until its end.
  /// - Returns: the status of the first answer; 0 without one.
  private static func check(_ client: RawClient, _ request: [UInt8]) throws -> Int {
    // Whether an answer has a body depends on the method of its request: only the first one is known.
    let isHead = request.starts(with: "HEAD ".utf8) || request.starts(with: "\r\nHEAD ".utf8)
    let first: Answer
    do { first = try client.answer(isHead: isHead) } catch let error as ClientError {
      guard error.description.hasPrefix("ended in a head") else { throw error }
      return 0
    }
    if first.header("connection") == "close" { return first.status }
    // The rest must at least begin like an answer.
    let rest = client.receiveAll().bytes
    guard rest.isEmpty || rest.starts(with: "HTTP/1.1 ".utf8) else {
      throw ClientError("no answer follows: \(printable(rest.prefix(100)))")
    }
    return first.status
  }

  @Test func `a thousand connections that say nothing cost little memory`() throws {
    let server = try TestServer()
    let before = ServerFuzzTests.residentBytes()
    var clients: [RawClient] = []
    for _ in 0..<1000 {
      let client = try server.client()
      client.send("GET /digits HTTP/1.1\r\nHost: a\r\nX: ")
      clients.append(client)
    }
    let grown = ServerFuzzTests.residentBytes() - before
    #expect(grown < 40 << 20, "memory grew by \(grown)")
    for client in clients.prefix(50) {
      #expect(try client.exchange("1\r\n\r\n").text == "0123456789")
    }
  }

  @Test func `clients that pipeline without reading are not buffered`() throws {
    let server = try TestServer { $0.limits.stallSeconds = 30 }
    _ = try server.get("/file")
    let before = ServerFuzzTests.residentBytes()
    let clients = try (0..<20).map { _ in try server.client(receiveBytes: 4096) }
    let requests = Array(
      String(repeating: "GET /file HTTP/1.1\r\nHost: a\r\n\r\n", count: 20_000).utf8)
    for client in clients {
      try startDetachedThread { [client = NonisolatedBox(client)] in client.value.send(requests) }
    }
    pause(milliseconds: 1500)
    let grown = ServerFuzzTests.residentBytes() - before
    #expect(grown < 64 << 20, "memory grew by \(grown)")
    #expect(try server.get("/digits").status == 200)
  }
}
