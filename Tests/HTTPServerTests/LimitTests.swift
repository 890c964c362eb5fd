// Slow clients, full queues, too many connections, and the end of a server.

import HTTPServer
import Platform
import TestSupport
import Testing

@Suite struct ServerLimitTests {
  @Test func `a client that sends its request slowly gets 408`() throws {
    let server = try TestServer { $0.limits.requestSeconds = 0.3 }
    let client = try server.client()
    client.send("GET / HTTP/1.1\r\nHost")
    let answer = try client.answer()
    #expect(answer.status == 408 && client.isEnded())
    // A body in single bytes does not count as progress.
    let other = try server.client()
    other.send("GET / HTTP/1.1\r\nHost: a\r\nContent-Length: 1000\r\n\r\n")
    try startDetachedThread { [other = NonisolatedBox(other)] in
      for _ in 0..<100 where other.value.send([1]) { pause(milliseconds: 20) }
    }
    #expect(try other.answer().status == 408)
    #expect(server.server.counters.values.timeouts == 2)
  }

  @Test func `an idle connection ends without a word`() throws {
    let server = try TestServer {
      $0.limits.idleSeconds = 0.2
      $0.limits.requestSeconds = 0.2
    }
    let silent = try server.client()
    #expect(silent.isEnded())
    let client = try server.client()
    #expect(try client.exchange("GET / HTTP/1.1\r\nHost: a\r\n\r\n").status == 200)
    #expect(client.isEnded())
  }

  @Test func `a client that takes no bytes is cut off, and a slow one is not`() throws {
    let server = try TestServer(sizeBytes: 12_000_000) { $0.limits.stallSeconds = 0.6 }
    let stalled = try server.client(receiveBytes: 4096)
    stalled.send("GET /file HTTP/1.1\r\nHost: a\r\n\r\n")
    let slow = try server.client(receiveBytes: 65_536)
    slow.send("GET /file HTTP/1.1\r\nHost: a\r\n\r\n")
    // It takes a part of the file several times during the limit.
    let start = monotonicSeconds()
    while monotonicSeconds() - start < 2 {
      _ = slow.receive(atMost: 65_536)
      pause(milliseconds: 50)
    }
    #expect(try slow.answer().body == server.content)
    // The kernel's buffers still have bytes for the stalled client; then comes the reset.
    #expect(stalled.receiveAll().end == .reset)
    #expect(server.server.counters.values.timeouts == 1)
  }

  @Test func `requests beyond the queue get 503 with Retry-After`() throws {
    let server = try TestServer {
      $0.limits.handlerThreads = 1
      $0.limits.queuedRequests = 2
    }
    let waiting = try (0..<3).map { _ in try server.client() }
    for client in waiting {
      client.send("GET /gate HTTP/1.1\r\nHost: a\r\n\r\n")
      pause(milliseconds: 50)
    }
    let refused = try server.get("/")
    #expect(refused.status == 503 && refused.header("retry-after") != nil)
    #expect(server.server.queuedRequests == 2)
    #expect(server.server.counters.values.refusedRequests == 1)
    server.gate.update { $0 = true }
    for client in waiting { #expect(try client.answer().text == "open\n") }
  }

  @Test func `connections beyond the limit get 503`() throws {
    let server = try TestServer { $0.limits.connections = 3 }
    let open = try (0..<3).map { _ in try server.client() }
    for client in open {
      #expect(try client.exchange("GET / HTTP/1.1\r\nHost: a\r\n\r\n").status == 200)
    }
    let refused = try server.client()
    #expect(try refused.answer().status == 503 && refused.isEnded())
    #expect(server.server.counters.values.refusedConnections == 1)
    // The others are still served.
    #expect(try open[0].exchange("GET / HTTP/1.1\r\nHost: a\r\n\r\n").status == 200)
  }

  @Test func `a handler may use as much stack as the deepest trees need`() throws {
    #expect(try TestServer().get("/deep").text == "4000\n")
  }

  @Test func `a connection ends after its last request`() throws {
    let server = try TestServer { $0.limits.requestsPerConnection = 2 }
    let client = try server.client()
    #expect(try client.exchange("GET / HTTP/1.1\r\nHost: a\r\n\r\n").header("connection") == nil)
    #expect(
      try client.exchange("GET / HTTP/1.1\r\nHost: a\r\n\r\n").header("connection") == "close")
    #expect(client.isEnded())
  }

  @Test func `stop waits for running answers and ends idle connections`() throws {
    let server = try TestServer()
    let idle = try server.client()
    #expect(try idle.exchange("GET / HTTP/1.1\r\nHost: a\r\n\r\n").status == 200)
    let running = try server.client()
    running.send("GET /gate HTTP/1.1\r\nHost: a\r\n\r\n")
    pause(milliseconds: 100)
    let isDrained = Monitor<Bool?>(nil)
    try startDetachedThread {
      let result = server.server.stop()
      isDrained.update { $0 = result }
    }
    #expect(idle.isEnded())
    #expect(throws: ClientError.self) { try server.client() }
    #expect(isDrained.withLock { $0 } == nil)
    server.gate.update { $0 = true }
    let answer = try running.answer()
    #expect(answer.text == "open\n" && answer.header("connection") == "close")
    #expect(isDrained.wait { $0 })
  }

  @Test func `stop ends answers that take too long`() throws {
    let server = try TestServer(sizeBytes: 12_000_000) { $0.limits.drainSeconds = 0.3 }
    let client = try server.client(receiveBytes: 4096)
    client.send("GET /file HTTP/1.1\r\nHost: a\r\n\r\n")
    pause(milliseconds: 200)
    #expect(!server.server.stop())
    #expect(client.receiveAll().end == .reset)
  }

  @Test func `each answer is recorded with its size and its class`() throws {
    let server = try TestServer {
      $0.routeName = { $0.segments.first == Array("file".utf8) ? "file" : "other" }
    }
    _ = try server.get("/file?a=%0a\"", "User-Agent: t\"\u{e4}")
    _ = try server.get("/nothing")
    let records = server.records.wait { $0.count == 2 ? $0 : nil }
    #expect(records.map(\.status) == [200, 404])
    #expect(records[0].bodyBytes == 300_000 && records[0].isComplete)
    #expect(records[0].target == "/file?a=%0a\"" && records[0].method == "GET")
    #expect(records[0].peer.hasPrefix("127.0.0.1:"))
    let values = server.server.counters.values
    #expect(
      values.routes["file"]?.statuses == [200: 1] && values.routes["file"]?.bodyBytes == 300_000)
    #expect(values.routes["other"]?.statuses == [404: 1])
    #expect(values.routes["file"]?.buckets.reduce(0, +) == 1)
  }

  private static let hasIPv6 = IPv6.isAvailable

  @Test(.enabled(if: hasIPv6, "this machine has no IPv6"))
  func `IPv4 and IPv6 are served at once`() throws {
    let server = try TestServer(addresses: [.ip("127.0.0.1", port: 0), .ip("::1", port: 0)])
    #expect(server.server.addresses.count == 2)
    for address in server.server.addresses {
      #expect(try RawClient(address).exchange("GET / HTTP/1.1\r\nHost: a\r\n\r\n").text == "top\n")
    }
  }

  @Test func `an address in use is an error`() throws {
    let server = try TestServer()
    let port = try #require(Int(server.address.split(separator: ":").last ?? ""))
    #expect(throws: ServerError.self) { try TestServer(addresses: [.ip("127.0.0.1", port: port)]) }
  }

  @Test(
    arguments: [
      ("127.0.0.1:7070", true), ("[::1]:0", true), ("localhost:80", true), ("127.9.9.9:1", true),
      ("0.0.0.0:80", false), ("*:80", false), ("[::]:80", false), ("10.0.0.1:80", false),
      ("[::ffff:127.0.0.1]:80", false),
    ] as [(String, Bool)])
  func `an address is loopback or not`(_ text: String, _ isLoopback: Bool) throws {
    #expect(try #require(ListenAddress(text)).isLoopback == isLoopback)
  }

  @Test(arguments: [
    "", "80", "127.0.0.1", "127.0.0.1:", "127.0.0.1:x", "127.0.0.1:65536", "::1:80", "[1.2.3.4]:80",
    "host:80", "[::1]", "127.1:80", "127.0.0.1:-1",
  ])
  func `other texts are no addresses`(_ text: String) { #expect(ListenAddress(text) == nil) }
}

/// Whether the loopback interface has an IPv6 address.
private enum IPv6 {
  static var isAvailable: Bool {
    let files = KernelFileSystem.shared
    let list = try? files.readSmallFile(
      at: files.workingDirectory, Array("/proc/net/if_inet6".utf8))
    return list?.starts(with: "00000000000000000000000000000001".utf8) ?? false
  }
}
