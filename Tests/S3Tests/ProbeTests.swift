// The examination of services: what each lacks is named.

import ObjectStorage
import ObjectStorageTestSupport
import S3
import Testing

@Suite struct ProbeTests {
  private func outcomes(_ report: ProbeReport) -> [String: String] {
    Dictionary(uniqueKeysWithValues: report.checks.map { ($0.name.rawValue, $0.outcome.rawValue) })
  }

  @Test func `a suitable service passes, and nothing stays in it`() throws {
    let bucket = try TestBucket()
    defer { bucket.stop() }
    let report = try testStorage(port: bucket.port).probe()
    #expect(report.error == nil)
    #expect(
      outcomes(report) == [
        "reach": "ok", "tls": "warning", "clock": "ok", "list": "ok", "put": "ok", "get": "ok",
        "range": "ok", "conditional-put": "ok", "multipart": "ok", "delete": "ok",
      ])
    #expect(bucket.state.withLock { $0.objects.isEmpty && $0.uploads.isEmpty })
    #expect(
      bucket.state.withLock { state in
        state.requests.filter { $0.hasPrefix("PUT") }.allSatisfy { $0.contains("/depot/probe/") }
      })
  }

  @Test func `a service that ignores conditions is unsuitable`() throws {
    let bucket = try TestBucket(honoursConditions: false)
    defer { bucket.stop() }
    let report = try testStorage(port: bucket.port).probe()
    #expect(report.error?.kind == .unsuitable)
    #expect(report.error?.errorCode == .remoteUnsuitable)
    #expect(outcomes(report)["conditional-put"] == "failed")
    #expect(outcomes(report)["multipart"] == "ok")
    #expect(outcomes(report)["delete"] == "ok")
    #expect(bucket.state.withLock { $0.objects.isEmpty })
  }

  @Test func `a clock that differs by minutes is a warning`() throws {
    let bucket = try TestBucket(delaySeconds: 300)
    defer { bucket.stop() }
    let report = try testStorage(port: bucket.port).probe()
    #expect(outcomes(report)["clock"] == "warning")
    #expect(report.error == nil)
  }

  @Test func `an account that may not write or delete is named so`() throws {
    let bucket = try TestBucket()
    defer { bucket.stop() }
    func report(without method: String) throws -> ProbeReport {
      let proxy = try FaultProxy(to: bucket.port) { _, request in
        request.method == method ? .answer(.error(403, "AccessDenied")) : .none
      }
      defer { proxy.stop() }
      return try testStorage(port: proxy.port).probe()
    }
    let readOnly = try report(without: "PUT")
    #expect(readOnly.error?.kind == .denied)
    #expect(outcomes(readOnly)["put"] == "failed" && outcomes(readOnly)["get"] == "skipped")
    let appendOnly = try report(without: "DELETE")
    #expect(appendOnly.error == nil)
    #expect(outcomes(appendOnly)["delete"] == "warning")
  }

  @Test func `a service that does not answer fails at reach, and nothing else is tried`() throws {
    let proxy = try FaultProxy(to: 1) { _, _ in .dropRequest }
    defer { proxy.stop() }
    let report = try testStorage(port: proxy.port).probe()
    #expect(report.error?.kind == .unavailable)
    #expect(outcomes(report)["reach"] == "failed")
    #expect(report.checks.filter { $0.outcome == .skipped }.count == 8)
    #expect(proxy.requestCount == 3)
  }
}
