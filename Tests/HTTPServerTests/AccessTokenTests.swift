// Tokens: their file, and the two forms in which clients send them.

import Foundation
import HTTPServer
import Platform
import TestSupport
import Testing

@Suite struct AccessTokenTests {
  private static let token = "0123456789abcdef0123"
  private static let text = "# a comment\n\n\(token)  monitoring\nother-token-with-16+  # x\n"

  private func server() throws -> TestServer {
    let tokens = try AccessTokens(parsing: Array(AccessTokenTests.text.utf8))
    return try TestServer { $0.access = .tokens(tokens) }
  }

  @Test func `a token is accepted as Bearer and as the password of Basic`() throws {
    let server = try server()
    let basic = Data("admin:\(AccessTokenTests.token)".utf8).base64EncodedString()
    for field in [
      "Authorization: Bearer \(AccessTokenTests.token)",
      "authorization: bearer  \(AccessTokenTests.token)",
      "Authorization: Bearer other-token-with-16+", "Authorization: Basic \(basic)",
    ] { #expect(try server.get("/secret", field).text == "secret\n", "\(field)") }
  }

  @Test func `everything else is not authorized, and asks for both forms`() throws {
    let server = try server()
    let wrong = Data("admin:\(AccessTokenTests.token)x".utf8).base64EncodedString()
    for fields in [
      [], ["Authorization: Bearer"], ["Authorization: Bearer "],
      ["Authorization: \(AccessTokenTests.token)"],
      ["Authorization: Bearer \(AccessTokenTests.token)x"], ["Authorization: Bearer monitoring"],
      ["Authorization: Bearer #"], ["Authorization: Basic \(wrong)"], ["Authorization: Basic ===="],
      ["Authorization: Basic YQ"], ["Authorization: Digest \(AccessTokenTests.token)"],
      ["Authorization: Bearer \(AccessTokenTests.token)", "Authorization: Bearer x"],
      ["Cookie: token=\(AccessTokenTests.token)"],
    ] {
      let client = try server.client()
      let lines = fields.map { $0 + "\r\n" }.joined()
      let answer = try client.exchange("GET /secret HTTP/1.1\r\nHost: a\r\n\(lines)\r\n")
      #expect(answer.status == 401, "\(fields)")
      let challenges = answer.headers.filter { $0.name == "www-authenticate" }.map(\.value)
      #expect(
        challenges.count == 2 && challenges[0].hasPrefix("Bearer")
          && challenges[1].hasPrefix("Basic"))
    }
  }

  @Test func `new tokens replace the old ones without a restart`() throws {
    let server = try server()
    let client = try server.client()
    let request =
      "GET /secret HTTP/1.1\r\nHost: a\r\nAuthorization: Bearer \(AccessTokenTests.token)\r\n\r\n"
    #expect(try client.exchange(request).status == 200)
    server.server.setAccess(.tokens(try AccessTokens(parsing: Array("another-token-0123".utf8))))
    #expect(try client.exchange(request).status == 401)
    server.server.setAccess(.closed)
    #expect(try client.exchange(request).status == 401)
  }

  @Test func `without tokens, only requests by a loopback name are authorized`() throws {
    let server = try TestServer { $0.access = .loopback }
    for (host, status) in [
      ("localhost:7070", 200), ("127.0.0.1", 200), ("[::1]:80", 200), ("127.0.0.1:80", 200),
      ("evil.example:7070", 401), ("127.0.0.1.evil.example", 401), ("localhost.evil.example", 401),
      ("10.0.0.1", 401), ("[fe80::1]", 401), ("", 401),
    ] {
      let answer = try server.client().exchange("GET /secret HTTP/1.1\r\nHost: \(host)\r\n\r\n")
      #expect(answer.status == status, "\(host)")
    }
  }

  @Test(arguments: [
    "", "# only\n", "short\n", "0123456789abcde\n", "tökentökentökentöken\n",
    "\u{0}123456789abcdef0\n",
  ])
  func `a file without a usable token is refused`(_ text: String) {
    #expect(throws: ServerError.self) { try AccessTokens(parsing: Array(text.utf8)) }
  }

  @Test func `a file that others can read or change is refused`() throws {
    let directory = try TemporaryDirectory()
    let path = directory.path("tokens")
    try AccessTokenTests.text.write(toFile: path, atomically: false, encoding: .utf8)
    for (mode, isAllowed) in [
      (0o600, true), (0o400, true), (0o640, true), (0o644, false), (0o604, false), (0o660, false),
      (0o602, false),
    ] {
      chmod(path, mode_t(mode))
      let tokens = try? AccessTokens(path: path)
      #expect((tokens != nil) == isAllowed, "\(String(mode, radix: 8))")
      if isAllowed { #expect(tokens?.count == 2) }
    }
    #expect(throws: ServerError.self) { try AccessTokens(path: directory.path) }
    #expect(throws: SystemError.self) { try AccessTokens(path: directory.path("none")) }
  }
}
