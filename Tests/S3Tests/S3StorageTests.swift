// The client against a service in the process of the tests.

import Codec
import Glibc
import ObjectStorage
import ObjectStorageTestSupport
import Platform
import S3
import TestSupport
import Testing

@Suite struct S3StorageTests {
  private let key = ObjectKey("a/b")

  @Test func `the storage has the contract of ObjectStorage`() throws {
    let bucket = try TestBucket()
    defer { bucket.stop() }
    try ObjectStorageConformance(try testStorage(port: bucket.port), largeBytes: 1_234_567).run()
    // Everything is below the prefix, and no upload was left.
    #expect(bucket.state.withLock { $0.objects.keys.allSatisfy { $0.hasPrefix("depot/") } })
    #expect(bucket.state.withLock { $0.uploads.isEmpty })
  }

  @Test func `a storage without a prefix has the contract of ObjectStorage`() throws {
    let bucket = try TestBucket()
    defer { bucket.stop() }
    try ObjectStorageConformance(
      try testStorage(port: bucket.port, prefix: ""), largeBytes: 1_234_567
    ).run()
  }

  @Test func `a missing bucket is an error of the settings in every call`() throws {
    let bucket = try TestBucket()
    defer { bucket.stop() }
    let storage = try testStorage(port: bucket.port) { settings in
      if let url = S3URL(bucket: "another") { settings.url = url }
    }
    let key = try #require(key)
    let calls: [() throws -> Void] = [
      { _ = try storage.read(key, range: nil, limitBytes: 1) },
      { _ = try storage.size(of: key) }, { try storage.delete(key) },
      { try storage.write(key, .bytes([1])) },
      { _ = try storage.create(key, .bytes([1]), isUnique: true) },
      { try storage.list("") { _ in true } },
      { try storage.download(key, sizeBytes: 1) { _ in } },
    ]
    for call in calls {
      let error = #expect(throws: StorageError.self) { try call() }
      #expect(error?.kind == .settings)
      #expect(error?.message.contains("another") == true)
    }
  }

  /// Answers every request of a client with one answer, and returns the error of a read.
  private func error(of answer: TestAnswer) throws -> (error: StorageError, requests: Int) {
    let proxy = try FaultProxy(to: 1) { _, _ in .answer(answer) }
    defer { proxy.stop() }
    let storage = try testStorage(port: proxy.port)
    let key = try #require(key)
    let error = #expect(throws: StorageError.self) {
      try storage.read(key, range: nil, limitBytes: 10)
    }
    return (try #require(error), proxy.requestCount)
  }

  @Test(arguments: [
    (403, "AccessDenied", StorageError.Kind.denied, 1),
    (403, "SignatureDoesNotMatch", .denied, 1), (403, "InvalidAccessKeyId", .denied, 1),
    (400, "ExpiredToken", .denied, 1), (401, "Unauthorized", .denied, 1),
    (404, "NoSuchKey", .notFound, 1), (404, "NoSuchBucket", .settings, 1),
    (301, "PermanentRedirect", .settings, 1), (400, "AuthorizationHeaderMalformed", .settings, 1),
    (400, "InvalidArgument", .unsuitable, 1), (501, "NotImplemented", .unsuitable, 1),
    (405, "MethodNotAllowed", .unsuitable, 1), (416, "InvalidRange", .damaged, 1),
    (500, "InternalError", .unavailable, 3), (503, "SlowDown", .unavailable, 3),
    (429, "TooManyRequests", .unavailable, 3), (400, "RequestTimeout", .unavailable, 3),
    (502, "BadGateway", .unavailable, 3), (504, "GatewayTimeout", .unavailable, 3),
  ])
  func `a refusal has its kind, and is repeated if that may help`(
    _ status: Int, _ code: String, _ kind: StorageError.Kind, _ requests: Int
  ) throws {
    let outcome = try error(of: .error(status, code))
    #expect(outcome.error.kind == kind)
    #expect(outcome.requests == requests)
    let empty = try error(of: TestAnswer(status))
    if status != 400, code != "NoSuchBucket" { #expect(empty.error.kind == kind) }
  }

  @Test func `a redirect names the region of the bucket, and is not followed`() throws {
    let other = try TestBucket()
    defer { other.stop() }
    var answer = TestAnswer.error(301, "PermanentRedirect")
    answer.head["x-amz-bucket-region"] = "eu-central-1"
    answer.head["Location"] = "http://127.0.0.1:\(other.port)/bucket/depot/a/b"
    let outcome = try error(of: answer)
    #expect(outcome.error.kind == .settings)
    #expect(outcome.error.hint.contains("'eu-central-1'"))
    #expect(other.state.withLock { $0.requests.isEmpty })
  }

  @Test func `a wrong clock is named with its difference`() throws {
    var answer = TestAnswer.error(403, "RequestTimeTooSkewed")
    answer.head["Date"] = "Sun, 06 Nov 1994 08:49:37 GMT"
    let outcome = try error(of: answer)
    #expect(outcome.error.kind == .clock)
    let seconds = now().seconds - 784_111_777
    #expect(
      (-2...2 as ClosedRange<Int64>).contains {
        outcome.error.reason.contains("\(seconds + $0) s behind")
      })
  }

  @Test func `keys that a service repeats do not get into messages`() throws {
    for secret in ["secret-key", "session-token"] {
      let outcome = try error(of: .error(403, "AccessDenied", "the key \(secret) is wrong"))
      #expect(!outcome.error.messageWithHint.contains(secret))
    }
    let outcome = try error(of: .error(403, "AccessDenied", "two\nlines \u{1b}[31m \u{202e}x"))
    #expect(!outcome.error.message.contains("\n") && !outcome.error.message.contains("\u{1b}"))
  }

  @Test func `a pause that the service asks for is kept, up to the limit`() throws {
    let bucket = try TestBucket()
    defer { bucket.stop() }
    var answer = TestAnswer.error(503, "SlowDown")
    answer.head["Retry-After"] = "100000"
    let refusal = answer
    let proxy = try FaultProxy(to: bucket.port) { number, _ in
      number == 0 ? .answer(refusal) : .none
    }
    defer { proxy.stop() }
    let storage = try testStorage(port: proxy.port) { $0.limits.maxPauseSeconds = 0.3 }
    let start = monotonicSeconds()
    try storage.write(try #require(key), .bytes([1]))
    #expect((0.3..<5).contains(monotonicSeconds() - start))
  }

  @Test func `the retries of all requests together are limited`() throws {
    let proxy = try FaultProxy(to: 1) { _, _ in .answer(.error(503, "SlowDown")) }
    defer { proxy.stop() }
    let storage = try testStorage(port: proxy.port) { settings in
      settings.limits.tries = 7
      settings.limits.retryReserve = 10
    }
    let key = try #require(key)
    for _ in 0..<100 { try? storage.delete(key) }
    // 100 requests, 10 retries of the reserve, and 20 that the requests add.
    #expect((100...131).contains(proxy.requestCount))
  }

  @Test func `no more requests than the limit are sent at once`() throws {
    let running = Monitor((now: 0, most: 0))
    let bucket = try TestBucket()
    defer { bucket.stop() }
    let proxy = try FaultProxy(to: bucket.port) { _, _ in
      running.withLock { $0 = ($0.now + 1, max($0.most, $0.now + 1)) }
      sleepMilliseconds(20)
      running.withLock { $0.now -= 1 }
      return .none
    }
    defer { proxy.stop() }
    let storage = try testStorage(port: proxy.port) { $0.limits.requestsAtOnce = 3 }
    try runThreads(12) { index in
      guard let key = ObjectKey("k\(index)") else { return }
      try storage.write(key, .bytes([1]))
    }
    #expect(running.withLock { $0.most } == 3)
  }

  @Test func `connections are used again`() throws {
    let bucket = try TestBucket()
    defer { bucket.stop() }
    let storage = try testStorage(port: bucket.port)
    let key = try #require(key)
    for _ in 0..<20 { try storage.write(key, .bytes([1])) }
    // Two event loops may each open one.
    #expect(bucket.connectionCount <= 2)
  }

  @Test func `stale uploads of the prefix are aborted, and others stay`() throws {
    let bucket = try TestBucket()
    defer { bucket.stop() }
    bucket.state.withLock { state in
      state.uploads["old"] = TestBucket.Upload(key: "depot/x")
      state.uploads["other"] = TestBucket.Upload(key: "elsewhere/x")
    }
    let storage = try testStorage(port: bucket.port)
    #expect(try storage.abortStaleUploads(olderThanSeconds: 100 * 366 * 86_400) == 0)
    #expect(try storage.abortStaleUploads(olderThanSeconds: 86_400) == 1)
    #expect(bucket.state.withLock { Set($0.uploads.keys) } == ["other"])
  }

  @Test func `a conditional write is one request, whatever its size`() throws {
    let bucket = try TestBucket()
    defer { bucket.stop() }
    let storage = try testStorage(port: bucket.port)
    let content = [UInt8](repeating: 3, count: 2_000_000)
    #expect(try storage.create(try #require(key), .bytes(content), isUnique: true))
    #expect(bucket.state.withLock { $0.requests.count } == 1)
  }

  @Test func `a failed upload in parts is aborted`() throws {
    let bucket = try TestBucket()
    defer { bucket.stop() }
    let proxy = try FaultProxy(to: bucket.port) { _, request in
      request.query["partNumber"] == "3" ? .answer(.error(403, "AccessDenied")) : .none
    }
    defer { proxy.stop() }
    let storage = try testStorage(port: proxy.port)
    let key = try #require(key)
    let error = #expect(throws: StorageError.self) {
      try storage.write(key, .bytes([UInt8](repeating: 1, count: 1_000_000)))
    }
    #expect(error?.kind == .denied)
    #expect(bucket.state.withLock { $0.uploads.isEmpty && $0.objects.isEmpty })
  }

  @Test func `a file that becomes shorter during its upload is an error of the system`() throws {
    let bucket = try TestBucket()
    defer { bucket.stop() }
    let storage = try testStorage(port: bucket.port)
    let system = KernelFileSystem.shared
    let file = try system.openFile(at: system.workingDirectory, Array("/dev/null".utf8), [.read])
    for size: UInt64 in [10, 700_000, 2_000_000] {
      let error = #expect(throws: StorageError.self) {
        try storage.write(
          try #require(key), .file(descriptor: file.raw, sizeBytes: size, sha256: .zero))
      }
      #expect(error?.errorCode == .systemError)
    }
    #expect(bucket.state.withLock { $0.objects.isEmpty })
  }
}

func sleepMilliseconds(_ count: UInt32) { usleep(count * 1000) }
