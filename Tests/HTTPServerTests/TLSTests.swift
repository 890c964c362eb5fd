// TLS by curl and openssl: versions, files of every kind, a new certificate without a restart.

import Foundation
import HTTPServer
import Platform
import TestSupport
import Testing

@Suite(.usesTools) struct ServerTLSTests {
  private let directory: TemporaryDirectory
  private var certificate: String { directory.path("cert.pem") }
  private var key: String { directory.path("key.pem") }

  init() throws {
    directory = try TemporaryDirectory()
    try makeCertificate("first.test")
  }

  private func makeCertificate(_ name: String) throws {
    try shell(
      """
      openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -subj "/CN=$2" \
        -addext subjectAltName=IP:127.0.0.1 -days 2 -keyout "$1/key.pem" -out "$1/cert.pem"
      """, directory.path, name)
  }

  private func server(
    _ change: (inout ServerConfiguration) -> Void = { _ in }
  ) throws -> TestServer {
    try TestServer {
      $0.tls = TLSFiles(certificate: certificate, key: key)
      change(&$0)
    }
  }

  private func curl(_ server: TestServer, _ path: String, _ more: String...) throws -> ToolResult {
    try run(
      "curl",
      arguments: [
        "-sS", "--noproxy", "*", "--cacert", certificate, "https://\(server.address)\(path)", "-o",
        directory.path("out"),
      ] + more)
  }

  private func received() throws -> [UInt8] {
    [UInt8](try Data(contentsOf: URL(fileURLWithPath: directory.path("out"))))
  }

  @Test func `files, bytes and ranges pass through TLS unchanged`() throws {
    let server = try server()
    for path in ["/file", "/bytes"] {
      let result = try curl(server, path)
      #expect(result.didSucceed, "\(result.errors)")
      #expect(try received() == server.content)
      #expect(try curl(server, path, "-r", "1000-250000").didSucceed)
      #expect(try received() == Array(server.content[1000...250_000]))
    }
  }

  @Test(arguments: [true, false])
  func `a growing file passes through TLS while it is written`(_ isSized: Bool) throws {
    let server = try server()
    let writer = try GrowingWriter(server, "grow", 900_000, isSized: isSized)
    try writer.write(0..<300_001)
    try startDetachedThread {
      for start in stride(from: 300_001, to: 900_000, by: 50_000) {
        pause(milliseconds: 3)
        try? writer.write(start..<min(start + 50_000, 900_000))
      }
      writer.finish()
    }
    #expect(try curl(server, "/growing/grow").didSucceed)
    #expect(try received() == writer.content)
    let failing = try GrowingWriter(server, "fail", 900_000, isSized: isSized)
    try failing.write(0..<500_000)
    try startDetachedThread {
      pause(milliseconds: 200)
      failing.file.report(.failed)
    }
    #expect(!(try curl(server, "/growing/fail").didSucceed))
  }

  @Test func `old versions of TLS and plain HTTP are refused`() throws {
    let server = try server()
    #expect(
      !(try curl(server, "/", "--tls-max", "1.1", "--ciphers", "DEFAULT@SECLEVEL=0").didSucceed))
    #expect(try curl(server, "/", "--tls-max", "1.2").didSucceed)
    #expect(try curl(server, "/", "--tlsv1.3").didSucceed)
    let client = try server.client()
    client.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n")
    let (bytes, _) = client.receiveAll()
    #expect(!bytes.starts(with: "HTTP".utf8))
    #expect(try curl(server, "/").didSucceed)
  }

  @Test func `a client that never finishes the handshake is cut off`() throws {
    let server = try server { $0.limits.requestSeconds = 0.3 }
    let client = try server.client()
    client.send([0x16, 0x03, 0x01])
    let start = monotonicSeconds()
    _ = client.receiveAll()
    #expect(monotonicSeconds() - start < 10)
  }

  @Test func `a new certificate is used by new connections, and a broken one is not`() throws {
    let server = try server()
    func subject() throws -> String {
      try shell(
        "openssl s_client -connect \"$1\" </dev/null 2>/dev/null | openssl x509 -noout -subject",
        server.address
      ).output
    }
    #expect(try subject().contains("first.test"))
    try makeCertificate("second.test")
    try server.server.reloadTLS()
    #expect(try subject().contains("second.test"))
    try "broken".write(toFile: certificate, atomically: false, encoding: .utf8)
    #expect(throws: ServerError.self) { try server.server.reloadTLS() }
    #expect(try subject().contains("second.test"))
  }

  @Test func `files that do not belong together are refused at the start`() throws {
    let other = try TemporaryDirectory()
    try shell("openssl genpkey -algorithm ed25519 -out \"$1/key.pem\"", other.path)
    #expect(throws: ServerError.self) {
      try TestServer { $0.tls = TLSFiles(certificate: certificate, key: other.path("key.pem")) }
    }
    #expect(throws: ServerError.self) {
      try TestServer { $0.tls = TLSFiles(certificate: other.path("none"), key: key) }
    }
  }
}
