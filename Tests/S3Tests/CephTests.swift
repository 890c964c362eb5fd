// The client against a real Ceph RADOS gateway, which the suite starts and stops. Without root or the programs of
// Ceph it is skipped by name.

import DepotTestSupport
import Foundation
import ObjectStorage
import ObjectStorageTestSupport
import Platform
import S3
import TestSupport
import Testing

/// The gateway of the suite. It takes 12 s to start, so all tests share one, until the process ends.
struct CephGateway {
  private static let script = "\(packageRoot)/Tests/Support/ceph.sh"
  private static let directory = "/var/tmp/imgstore-ceph-\(randomName())"
  let variables: [String: String]

  /// Whether the gateway can be started here.
  static let isAvailable =
    !TestSelection.isFast && (try? run(script, "check"))?.didSucceed == true

  static let shared = Result { try CephGateway() }

  private init() throws {
    atexit {
      _ = try? run(CephGateway.script, "stop", CephGateway.directory)
      _ = try? run("rm", "-rf", "--one-file-system", CephGateway.directory)
    }
    let result = try run(CephGateway.script, "start", CephGateway.directory)
    guard result.didSucceed else { throw TestFailure("ceph.sh start: \(result.errors)") }
    var variables: [String: String] = [:]
    for line in result.output.split(separator: "\n") {
      let name = line.prefix { $0 != "=" }
      variables[String(name)] = String(line.dropFirst(name.count + 1))
    }
    self.variables = variables
  }

  /// Returns a storage in a new bucket.
  func storage(
    _ bucket: String, _ change: (inout S3Settings) -> Void = { _ in }
  ) throws -> S3Storage {
    var settings = try S3Settings.find(
      try #require(S3URL(bucket: bucket, prefix: "depot")),
      origin: S3Settings.Origin(variables: variables))
    change(&settings)
    let storage = S3Storage(settings)
    try storage.createBucket()
    return storage
  }

  var port: UInt16 {
    variables["AWS_ENDPOINT_URL"]?.split(separator: ":").last.flatMap { UInt16($0) } ?? 0
  }
}

@Suite(.usesTools, .serialized, .enabled(if: CephGateway.isAvailable, "needs root and Ceph"))
struct CephTests {
  private func gateway() throws -> CephGateway { try CephGateway.shared.get() }

  @Test func `the storage has the contract of ObjectStorage on Ceph`() throws {
    let storage = try gateway().storage("conformance") { settings in
      settings.limits.keysPerPage = 7
      settings.limits.minPartBytes = 5 << 20
      settings.limits.partBytes = 5 << 20
      settings.limits.multipartBytes = 8 << 20
    }
    try ObjectStorageConformance(storage, largeBytes: 17_000_001).run()
  }

  @Test func `Ceph passes the probe`() throws {
    let report = try gateway().storage("probed").probe()
    #expect(report.error == nil, "\(report.checks)")
    #expect(
      report.checks.filter { $0.outcome != .ok }.map(\.name) == [.tls], "\(report.checks)")
  }

  @Test func `uploads that a crash left are aborted`() throws {
    let gateway = try gateway()
    // Neither the second part nor the client's own abort reach the service.
    let proxy = try FaultProxy(to: gateway.port) { _, request in
      request.method == "DELETE" || request.query["partNumber"] == "2"
        ? .answer(.error(403, "AccessDenied")) : .none
    }
    defer { proxy.stop() }
    func change(_ settings: inout S3Settings) {
      settings.limits.minPartBytes = 5 << 20
      settings.limits.partBytes = 5 << 20
      settings.limits.multipartBytes = 8 << 20
    }
    let crashing = try gateway.storage("stale") { settings in
      change(&settings)
      if let endpoint = try? S3Endpoint(
        parsing: "http://127.0.0.1:\(proxy.port)", origin: "a test")
      {
        settings.endpoint = endpoint
      }
    }
    for name in ["a", "b"] {
      #expect(throws: StorageError.self) {
        try crashing.write(
          try #require(ObjectKey(name)), .bytes([UInt8](repeating: 1, count: 12_000_000)))
      }
    }
    let storage = try gateway.storage("stale", change)
    #expect(try storage.abortStaleUploads(olderThanSeconds: 3600) == 0)
    // An age below zero: the clock of the service has full seconds.
    #expect(try storage.abortStaleUploads(olderThanSeconds: -60) == 2)
    #expect(try storage.abortStaleUploads(olderThanSeconds: -60) == 0)
  }

  /// A few seconds in each run, minutes with IMGSTORE_SOAK_SECONDS (`make test-depot-soak`).
  @Test func `writers and collectors at once leave a whole depot on Ceph`() throws {
    let seconds = ProcessInfo.processInfo.environment["IMGSTORE_SOAK_SECONDS"].flatMap {
      Double($0)
    }
    let report = try DepotSoak(gateway().storage("soak"), Universe()).run(seconds: seconds ?? 5)
    print("soak on Ceph: \(report)")
    #expect(report.problems == [])
    #expect(report.pushes > 0 && report.collections > 0)
  }

  @Test func `wrong keys and a missing bucket are named`() throws {
    let gateway = try gateway()
    _ = try gateway.storage("rights")
    var variables = gateway.variables
    variables["AWS_SECRET_ACCESS_KEY"] = "wrong"
    let key = try #require(ObjectKey("x"))
    func storage(_ bucket: String, _ variables: [String: String]) throws -> S3Storage {
      S3Storage(
        try S3Settings.find(
          try #require(S3URL(bucket: bucket)), origin: S3Settings.Origin(variables: variables)))
    }
    let denied = #expect(throws: StorageError.self) {
      try storage("rights", variables).size(of: key)
    }
    #expect(denied?.kind == .denied)
    let missing = #expect(throws: StorageError.self) {
      try storage("no-such-bucket", gateway.variables).size(of: key)
    }
    #expect(missing?.kind == .settings)
  }

  @Test(arguments: [
    "dropRequest", "dropAnswer", "truncated head", "truncated body", "stalled body",
    "duplicateRequest", "503 after execution", "500",
  ])
  func `objects are whole behind a faulty network`(_ name: String) throws {
    let gateway = try gateway()
    let fault = try #require(NamedFault.all.first { $0.name == name }).fault
    let proxy = try FaultProxy(to: gateway.port) { number, _ in
      number > 0 && number % 4 == 0 ? fault : .none
    }
    defer { proxy.stop() }
    // The proxy changes no signed header: the client signs its own endpoint.
    let storage = try gateway.storage(
      "faults-\(name.filter { $0.isLetter || $0.isNumber }.lowercased())"
    ) { settings in
      settings.limits.readSeconds = 3
      settings.limits.pauseSeconds = 0.01
      if let endpoint = try? S3Endpoint(
        parsing: "http://127.0.0.1:\(proxy.port)", origin: "a test")
      {
        settings.endpoint = endpoint
      }
      settings.limits.minPartBytes = 5 << 20
      settings.limits.partBytes = 5 << 20
      settings.limits.multipartBytes = 8 << 20
    }
    for index in 0..<12 {
      let content = (0..<(index == 6 ? 12_000_000 : 200_000))
        .map { UInt8(truncatingIfNeeded: $0 &* 3 ^ $0 >> 7 ^ index) }
      let key = try #require(ObjectKey("o/\(index)"))
      #expect(try storage.create(key, .bytes(content), isUnique: true))
      var bytes: [UInt8] = []
      try storage.download(key, sizeBytes: UInt64(content.count)) { bytes += $0 }
      #expect(bytes == content)
    }
    #expect(proxy.requestCount < 90)
  }
}
