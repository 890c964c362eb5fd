// A server with answers of every kind, for the tests of this module.

import Codec
import Glibc
import HTTPServer
import Platform
import TestSupport

/// Answers by the first segment of the path.
struct TestHandler: RequestHandler {
  let file: Descriptor
  let content: [UInt8]
  /// The files of /growing/NAME.
  let growing: Monitor<[String: GrowingFile]>
  let gate: Monitor<Bool>

  /// 2026-11-01 00:00:00 UTC.
  static let modified = Timestamp(seconds: 1_793_491_200, nanoseconds: 500)

  /// Uses at least 8 KiB of the stack for each level.
  @inline(never) private static func descend(_ levels: Int) -> Int {
    withUnsafeTemporaryAllocation(byteCount: 8192, alignment: 16) { buffer in
      buffer.initializeMemory(as: UInt8.self, repeating: 1)
      return levels == 0 ? 0 : descend(levels - 1) + Int(buffer[levels % 8192])
    }
  }

  func respond(to request: HTTPRequest) -> HTTPResponse {
    let words = request.path.segments.map { String(decoding: $0, as: UTF8.self) }
    switch words.first {
    case "file":
      return HTTPResponse(
        .ok, contentType: "application/octet-stream",
        body: .file(file, offset: 0, sizeBytes: UInt64(content.count)), entityTag: "f1",
        lastModified: TestHandler.modified)
    case "bytes":
      return HTTPResponse(
        .ok, contentType: "text/plain", body: .bytes(content), entityTag: "b1",
        lastModified: TestHandler.modified)
    case "digits":
      return HTTPResponse(
        .ok, contentType: "text/plain", body: .bytes(Array("0123456789".utf8)), entityTag: "d1")
    case "growing":
      guard let file = growing.withLock({ $0[words.last ?? ""] }) else { break }
      return HTTPResponse(
        .ok, contentType: "application/gzip", body: .growing(file), entityTag: "g1")
    case "echo":
      let text =
        "\(request.path.segments.dropFirst().map { printable($0) }) \(request.query.items.map { "\($0.name)=\(printable($0.value))" }) \(request.method)"
      return .text(.ok, text)
    case "secret":
      return request.isAuthorized ? .text(.ok, "secret") : .text(.unauthorized, "no")
    case "evil":
      return HTTPResponse(
        .ok, contentType: "text/plain\r\nX-Evil: 1", body: .bytes([]), entityTag: "a\"b\r\nX: 1",
        headers: [
          ("X-Name", "a\r\nX-Evil: 1"), ("Bad Name", "1"), ("Content-Length", "7"),
          ("x-content-type-options", "nosniff"),
        ])
    case "gate":
      gate.wait { $0 ? () : nil }
      return .text(.ok, "open")
    case "deep": return .text(.ok, "\(TestHandler.descend(4000))")
    case nil: return .text(.ok, "top")
    default: break
    }
    return .text(.notFound, "not found")
  }
}

/// A server that ends with the last reference to it.
final class TestServer: Sendable {
  let directory: TemporaryDirectory
  let server: RunningServer
  let content: [UInt8]
  let growing = Monitor<[String: GrowingFile]>([:])
  let gate = Monitor(false)
  let records = Monitor<[AccessRecord]>([])

  var address: String { server.addresses[0] }

  init(
    sizeBytes: Int = 300_000, addresses: [ListenAddress] = [.ip("127.0.0.1", port: 0)],
    _ change: (inout ServerConfiguration) -> Void = { _ in }
  ) throws {
    directory = try TemporaryDirectory()
    content = TestServer.bytes(sizeBytes, seed: 7)
    let file = try TestServer.file(directory.path("content"), content)
    var configuration = ServerConfiguration(addresses)
    configuration.limits.tickSeconds = 0.05
    configuration.limits.handlerThreads = 4
    configuration.limits.drainSeconds = 5
    configuration.log = { [records] record in records.update { $0.append(record) } }
    change(&configuration)
    server = try RunningServer(
      configuration, TestHandler(file: file, content: content, growing: growing, gate: gate))
  }

  deinit {
    gate.update { $0 = true }
    server.stop()
  }

  func client(receiveBytes: Int32? = nil) throws -> RawClient {
    try RawClient(address, receiveBytes: receiveBytes)
  }

  /// Sends one request on a connection of its own.
  func get(_ target: String, _ fields: String..., method: String = "GET") throws -> Answer {
    let lines = fields.map { $0 + "\r\n" }.joined()
    return try client().exchange(
      "\(method) \(target) HTTP/1.1\r\nHost: test\r\n\(lines)\r\n", isHead: method == "HEAD")
  }

  /// Returns pseudo-random bytes.
  static func bytes(_ count: Int, seed: UInt64) -> [UInt8] {
    var state = seed | 1
    return (0..<count).map { _ in
      state ^= state << 13
      state ^= state >> 7
      state ^= state << 17
      return UInt8(truncatingIfNeeded: state >> 32)
    }
  }

  /// Creates a file, and opens it for reading and writing.
  static func file(_ path: String, _ content: [UInt8]) throws -> Descriptor {
    let files = KernelFileSystem.shared
    let file = try files.openFile(
      at: files.workingDirectory, Array(path.utf8), [.readWrite, .create])
    try content.withUnsafeBytes { try files.write(file.raw, at: 0, $0) }
    return file
  }
}

/// A file that a test writes step by step.
final class GrowingWriter: Sendable {
  let file: GrowingFile
  let content: [UInt8]

  init(_ server: TestServer, _ name: String, _ count: Int, isSized: Bool) throws {
    content = TestServer.bytes(count, seed: 99)
    let descriptor = try TestServer.file(server.directory.path(name), [])
    file = GrowingFile(descriptor, totalBytes: isSized ? UInt64(count) : nil)
    server.growing.withLock { $0[name] = file }
  }

  func write(_ range: Range<Int>) throws {
    try content[range].withUnsafeBytes {
      try KernelFileSystem.shared.write(file.descriptor.raw, at: UInt64(range.lowerBound), $0)
    }
    file.report(.growing(availableBytes: UInt64(range.upperBound)))
  }

  func finish() { file.report(.finished(sizeBytes: UInt64(content.count))) }
}
