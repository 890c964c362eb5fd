// imgstore serve as a process: addresses, signals, tokens, the access log, sockets of systemd, and gc next to it.

import Foundation
import Platform
import TestSupport
import Testing

@Suite(.usesTools) struct ServeTests {
  /// Runs a program with the default actions of signals, which the threads of tests have blocked.
  private static let unblocked = fixture("scripts/processes/run-with-default-signals.py")

  /// A server that ends with the test.
  private final class Served {
    let process = Process()
    let errors: String
    private(set) var url = ""

    /// Starts a server, and waits until it listens.
    init(_ site: TestNode, _ words: [String] = [], through command: [String]? = nil) throws {
      errors = site.directory.path("serve-\(randomName())")
      _ = FileManager.default.createFile(atPath: errors, contents: nil)
      process.executableURL = URL(fileURLWithPath: ServeTests.unblocked)
      process.arguments = command ?? [binary, "serve"] + words
      process.environment = ProcessInfo.processInfo.environment.merging(site.environment) { $1 }
      process.standardError = FileHandle(forWritingAtPath: errors)
      process.standardInput = FileHandle.nullDevice
      try process.run()
      for _ in 0..<200 {
        if let match = messages.firstMatch(of: /at (https?:\/\/[^ \n]+)/) {
          url = String(match.output.1)
          return
        }
        guard process.isRunning else { break }
        usleep(50_000)
      }
      throw TestFailure("the server did not start: \(messages)")
    }

    var messages: String { (try? String(contentsOfFile: errors, encoding: .utf8)) ?? "" }

    func curl(_ path: String, _ more: String...) throws -> ToolResult {
      try run(
        "curl",
        arguments: ["-sS", "--noproxy", "*", "-w", "\n%{http_code}", url + path.dropFirst()] + more)
    }

    /// Ends the server; returns its exit code.
    func stop() -> Int32 {
      process.terminate()
      process.waitUntilExit()
      return process.terminationStatus
    }

    deinit { if process.isRunning { kill(process.processIdentifier, SIGKILL) } }
  }

  private let site: TestNode

  init() throws {
    site = try TestNode(image: "img")
    let result = try site.imgstore("snapshot", "img")
    guard result.didSucceed else { throw TestFailure(result.errors) }
  }

  private func tokenFile(_ token: String) throws -> String {
    let path = site.directory.path("tokens")
    try "\(token) test\n".write(toFile: path, atomically: false, encoding: .utf8)
    chmod(path, 0o600)
    return path
  }

  @Test func `it answers health and metrics, logs each answer, and ends with code 0`() throws {
    let log = site.directory.path("access.log")
    let server = try Served(site, ["--listen", "127.0.0.1:0", "--access-log", log])
    let health = try server.curl("/healthz")
    #expect(health.output.hasPrefix("ok: imgstore ") && health.output.hasSuffix("\n200"))
    let metrics = try server.curl("/metrics").output
    #expect(metrics.contains("imgstore_image_snapshots{image=\"img\"} 1\n"))
    #expect(
      metrics.contains("imgstore_http_requests_total{route=\"operation\",status=\"200\"} 1\n"))
    // curl adds the status as the last line.
    for line in metrics.split(separator: "\n").dropLast() {
      let isValid =
        line.wholeMatch(of: #/# (HELP|TYPE) [a-z_]+ .+/#) != nil
        || line.wholeMatch(of: /[a-z_]+(\{[a-z]+="[^"]*"(,[a-z]+="[^"]*")*\})? [0-9.e+-]+/) != nil
      #expect(isValid, "\(line)")
    }
    let types = metrics.matches(of: #/# TYPE ([a-z_]+) /#).map { String($0.output.1) }
    #expect(types.count == Set(types).count)
    let name = "/%22%0a%e2%80%ae\u{202e}\"x"
    #expect(try server.curl(name).output.hasSuffix("\n404"))
    #expect(server.stop() == 0)
    let lines = try String(contentsOfFile: log, encoding: .utf8).split(separator: "\n")
    #expect(lines.count == 3)
    let objects = try lines.map {
      try #require(try JSONSerialization.jsonObject(with: Data($0.utf8)) as? [String: Any])
    }
    #expect(objects.map { $0["status"] as? Int } == [200, 200, 404])
    #expect(objects[2]["complete"] as? Bool == true)
    let target = try #require(objects[2]["target"] as? String)
    #expect(target.hasPrefix("/%22%0a") && !target.contains("\u{202e}"))
  }

  @Test func `it refuses to show images to other machines without a token`() throws {
    for words in [["--listen", "0.0.0.0:0"], ["--listen", "127.0.0.1:0", "--listen", "[::]:0"]] {
      let result = try site.imgstore(["serve"] + words)
      #expect(result.status == 2, "\(result.errors)")
      #expect(result.errors.contains("--token-file"))
    }
    for words in [
      ["--listen", "example:80"], ["--listen", "127.0.0.1"], ["--tls", "one"], ["--read-only"],
      ["--stdio", "--listen", "127.0.0.1:0"], ["--cache-limit", "x"],
    ] { #expect(try site.imgstore(["serve"] + words).status == 2, "\(words)") }
    let missing = try site.imgstore(
      "serve", "--listen", "127.0.0.1:0", "--store", site.directory.path("none"))
    #expect(missing.status == 1)
  }

  @Test func `with public boot files, other machines get nothing else`() throws {
    let server = try Served(site, ["--listen", "0.0.0.0:0", "--public-boot"])
    #expect(try server.curl("/").output.hasSuffix("\n403"))
    #expect(try server.curl("/api/v1/images").output.hasSuffix("\n403"))
    #expect(try server.curl("/metrics").output.hasSuffix("\n403"))
    #expect(try server.curl("/healthz").output.hasSuffix("\n200"))
    #expect(try server.curl("/boot/none@1/kernel").output.hasSuffix("\n404"))
  }

  @Test func `SIGHUP reads the tokens again, and a file with an error changes nothing`() throws {
    let (first, second) = ("first-token-0123456789", "second-token-0123456789")
    let path = try tokenFile(first)
    let server = try Served(site, ["--listen", "127.0.0.1:0", "--token-file", path])
    func status(_ token: String) throws -> String {
      String(try server.curl("/metrics", "-H", "Authorization: Bearer \(token)").output.suffix(3))
    }
    #expect(try (status(first), status(second)) == ("200", "401"))
    #expect(try server.curl("/metrics", "-u", "me:\(first)").output.hasSuffix("\n200"))
    _ = try tokenFile(second)
    kill(server.process.processIdentifier, SIGHUP)
    try expectEventually { server.messages.contains("again") }
    #expect(try (status(first), status(second)) == ("401", "200"))
    try "short\n".write(toFile: path, atomically: false, encoding: .utf8)
    kill(server.process.processIdentifier, SIGHUP)
    try expectEventually { server.messages.contains("stay in effect") }
    #expect(try status(second) == "200")
    #expect(server.stop() == 0)
  }

  @Test func `SIGHUP opens the access log again after it was rotated`() throws {
    let log = site.directory.path("access.log")
    func text(_ path: String) -> String {
      (try? String(contentsOfFile: path, encoding: .utf8)) ?? ""
    }
    let server = try Served(site, ["--listen", "127.0.0.1:0", "--access-log", log])
    _ = try server.curl("/first")
    try expectEventually { text(log).contains("/first") }
    try FileManager.default.moveItem(atPath: log, toPath: log + ".1")
    kill(server.process.processIdentifier, SIGHUP)
    try expectEventually { FileManager.default.fileExists(atPath: log) }
    _ = try server.curl("/second")
    #expect(server.stop() == 0)
    #expect(text(log + ".1").contains("/first") && !text(log + ".1").contains("/second"))
    #expect(text(log).contains("/second") && !text(log).contains("/first"))
    let mode = try FileManager.default.attributesOfItem(atPath: log)[.posixPermissions] as? Int
    #expect(mode == 0o640)
  }

  @Test(.enabled(if: canMount))
  func `a store on a read-only file system is served without capabilities`() throws {
    let script = """
      mount --bind "$1" "$1"; mount -o remount,bind,ro "$1"
      exec setpriv --inh-caps=-all --bounding-set=-all "$2" serve --listen 127.0.0.1:0
      """
    let server = try Served(
      site,
      through: [
        "unshare", "-m", "bash", "-euc", script, "test", site.directory.path("store"), binary,
      ])
    #expect(try server.curl("/healthz").output.hasSuffix("\n200"))
    let metrics = try server.curl("/metrics").output
    #expect(metrics.contains("imgstore_image_snapshots{image=\"img\"} 1\n"))
    #expect(server.stop() == 0)
  }

  @Test func `the configuration has a setting for each option`() throws {
    let token = "a-token-of-the-file-01"
    let path = try tokenFile(token)
    let config = site.directory.path("config.toml")
    try "[serve]\nlisten = [\"127.0.0.1:0\"]\ntoken-file = \"\(path)\"\n".write(
      toFile: config, atomically: false, encoding: .utf8)
    let server = try Served(site, ["--config", config])
    #expect(try server.curl("/metrics").output.hasSuffix("\n401"))
    #expect(
      try server.curl("/metrics", "-H", "Authorization: Bearer \(token)").output.hasSuffix("\n200"))
  }

  @Test func `it uses the sockets of systemd, and reports its state`() throws {
    let notify = site.directory.path("notify")
    // The script binds a socket, passes it as systemd does, and prints the messages of the server.
    let result = try run(
      Self.unblocked, arguments: [fixture("scripts/socket-activation.py"), notify, binary],
      environment: site.environment)
    #expect(result.status == 0, "\(result.output)\(result.errors)")
    let lines = result.output.split(separator: "\n").map(String.init)
    #expect(
      lines.contains("READY=1") && lines.contains("STOPPING=1") && lines.contains("RELOADING=1"))
    #expect(lines.contains("healthz 200") && lines.last == "exit 0")
  }

  private static let canMount = isRoot && (try? run("unshare", "-m", "true").didSucceed) == true

  @Test(.enabled(if: canMount))
  func `gc waits for a reader whose view of the store is read-only`() throws {
    try shell("head -c 3000000 /dev/urandom >\"$1/etc/large\"", site.tree)
    #expect(try site.imgstore("snapshot", "img").didSucceed)
    try shell("rm \"$1/etc/large\"", site.tree)
    #expect(try site.imgstore("snapshot", "img").didSucceed)
    // The reader stops in the middle of the file, because nobody empties the pipe.
    let pipe = site.directory.path("pipe")
    try shell("mkfifo \"$1\"", pipe)
    let script = """
      mount --bind "$1" "$1"; mount -o remount,bind,ro "$1"
      exec "$2" cat img@2:etc/large >"$3"
      """
    let reader = Process()
    reader.executableURL = URL(fileURLWithPath: Self.unblocked)
    reader.arguments = [
      "unshare", "-m", "bash", "-euc", script, "test", site.directory.path("store"), binary, pipe,
    ]
    reader.environment = ProcessInfo.processInfo.environment.merging(site.environment) { $1 }
    try reader.run()
    let end = open(pipe, O_RDONLY)
    defer { close(end) }
    var byte: UInt8 = 0
    #expect(read(end, &byte, 1) == 1)
    #expect(try site.imgstore("remove", "img@2", "--force").didSucceed)
    func collect(_ words: String...) throws -> Double {
      let result = try site.imgstore(["gc", "--json"] + words)
      let document = try #require(
        try JSONSerialization.jsonObject(with: Data(result.output.utf8)) as? [String: Any])
      return try #require(document["waitingBytes"] as? Double)
    }
    #expect(try collect("--max-time", "1s") > 2_900_000)
    reader.terminate()
    reader.waitUntilExit()
    #expect(try collect() == 0)
  }

  private func expectEventually(_ condition: () -> Bool) throws {
    for _ in 0..<100 {
      if condition() { return }
      usleep(50_000)
    }
    Issue.record("it did not happen within five seconds")
  }
}
