// TLS: only trusted certificates for the right host are accepted, unless the settings say otherwise.

import Foundation
import ObjectStorage
import ObjectStorageTestSupport
import S3
import TestSupport
import Testing

@Suite(.usesTools) struct TLSTests {
  /// A relay that ends TLS before a port.
  private final class Relay {
    private let process = Process()
    private let input = Pipe()
    let port: UInt16

    init(_ certificate: String, _ key: String, to port: UInt16) throws {
      let output = Pipe()
      process.executableURL = URL(fileURLWithPath: fixture("scripts/processes/tls-relay.py"))
      process.arguments = [certificate, key, "\(port)"]
      process.standardInput = input
      process.standardOutput = output
      try process.run()
      let line = String(decoding: output.fileHandleForReading.availableData, as: UTF8.self)
      self.port = try #require(UInt16(line.filter(\.isNumber)))
    }

    deinit {
      try? input.fileHandleForWriting.close()
      process.waitUntilExit()
    }
  }

  /// Makes a self-signed certificate for a subject alternative name.
  private func certificate(_ name: String, _ directory: TemporaryDirectory) throws -> (
    String, String
  ) {
    let (certificate, key) = (directory.path("cert.pem"), directory.path("key.pem"))
    let result = try run(
      "openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1",
      "-nodes", "-days", "2", "-subj", "/CN=test", "-addext", "subjectAltName=\(name)", "-keyout",
      key, "-out", certificate)
    #expect(result.didSucceed, "\(result.errors)")
    return (certificate, key)
  }

  private func write(
    _ relay: Relay, _ change: (inout S3Settings) -> Void = { _ in }
  ) throws {
    let storage = try testStorage(port: relay.port) { settings in
      if let endpoint = try? S3Endpoint(
        parsing: "https://127.0.0.1:\(relay.port)", origin: "a test")
      {
        settings.endpoint = endpoint
      }
      change(&settings)
    }
    try storage.write(try #require(ObjectKey("k")), .bytes([1, 2, 3]))
  }

  @Test func `a certificate is verified with the bundle of the settings`() throws {
    let bucket = try TestBucket()
    defer { bucket.stop() }
    let directory = try TemporaryDirectory()
    let (certificate, key) = try certificate("IP:127.0.0.1", directory)
    let relay = try Relay(certificate, key, to: bucket.port)
    let error = #expect(throws: StorageError.self) { try write(relay) }
    #expect(error?.kind == .unavailable)
    #expect(error?.hint.contains("AWS_CA_BUNDLE") == true, "\(error?.messageWithHint ?? "")")
    #expect(bucket.state.withLock { $0.requests.isEmpty })
    try write(relay) { $0.caBundle = certificate }
    #expect(bucket.state.withLock { $0.objects["depot/k"] } == [1, 2, 3])
    try write(relay) { $0.isInsecure = true }
    #expect(throws: StorageError.self) {
      try write(relay) { $0.caBundle = directory.path("missing.pem") }
    }
  }

  @Test func `a certificate for another host is refused, though it is trusted`() throws {
    let bucket = try TestBucket()
    defer { bucket.stop() }
    let directory = try TemporaryDirectory()
    let (certificate, key) = try certificate("IP:127.0.0.9", directory)
    let relay = try Relay(certificate, key, to: bucket.port)
    #expect(throws: StorageError.self) { try write(relay) { $0.caBundle = certificate } }
    #expect(bucket.state.withLock { $0.requests.isEmpty })
  }

  @Test func `a client that does not verify says so`() throws {
    let storage = try testStorage(port: 1) { $0.isInsecure = true }
    #expect(storage.warning?.contains("not verified") == true)
    #expect(try testStorage(port: 1).warning == nil)
  }

  @Test func `a service without TLS is named`() throws {
    let bucket = try TestBucket()
    defer { bucket.stop() }
    let storage = try testStorage(port: bucket.port) { settings in
      if let endpoint = try? S3Endpoint(
        parsing: "https://127.0.0.1:\(bucket.port)", origin: "a test")
      {
        settings.endpoint = endpoint
      }
    }
    let error = #expect(throws: StorageError.self) {
      try storage.size(of: try #require(ObjectKey("k")))
    }
    #expect(error?.kind == .unavailable)
  }
}
