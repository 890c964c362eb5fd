// Messages to the journal of systemd: the bytes of the native protocol, and a socket that is absent.

import Foundation
import Glibc
import Platform
import TestSupport
import Testing

@Suite struct SystemLogTests {
  @Test func `a message has its fields, and a value with newlines its length`() throws {
    let directory = try TemporaryDirectory()
    let path = directory.path("s")
    let server = socket(AF_UNIX, Int32(SOCK_DGRAM.rawValue), 0)
    #expect(server >= 0)
    defer { close(server) }
    var address = sockaddr_un()
    address.sun_family = sa_family_t(AF_UNIX)
    let bytes = Array(path.utf8)
    try #require(bytes.count < MemoryLayout.size(ofValue: address.sun_path))
    withUnsafeMutableBytes(of: &address.sun_path) { $0.copyBytes(from: bytes) }
    let bound = withUnsafePointer(to: &address) {
      $0.withMemoryRebound(to: sockaddr.self, capacity: 1) {
        bind(server, $0, socklen_t(MemoryLayout<sockaddr_un>.size))
      }
    }
    #expect(bound == 0)
    #expect(
      SystemLog.send(
        "image a", .warning, [("IMGSTORE_IMAGE", "a"), ("IMGSTORE_TEXT", "x\nyz")], to: path))
    var buffer = [UInt8](repeating: 0, count: 1000)
    let count = recv(server, &buffer, buffer.count, Int32(MSG_DONTWAIT))
    let expected =
      Array("MESSAGE=image a\nPRIORITY=4\nSYSLOG_IDENTIFIER=imgstore\nIMGSTORE_IMAGE=a\n".utf8)
      + Array("IMGSTORE_TEXT\n".utf8) + [4, 0, 0, 0, 0, 0, 0, 0] + Array("x\nyz\n".utf8)
    #expect(Array(buffer.prefix(max(0, count))) == expected)
  }

  @Test func `a message to an absent socket is not sent`() {
    #expect(!SystemLog.send("x", .error, to: "/nonexistent/socket"))
    #expect(!SystemLog.send("x", .error, to: "/" + String(repeating: "a", count: 200)))
    #expect(!SystemLog.isStandardError, "the tests do not run with the journal as standard error")
  }
}
