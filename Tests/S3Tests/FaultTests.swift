// Every operation with every fault of the proxy: a right result or a fitting error, in bounded time, with a bounded
// number of requests.

import ObjectStorage
import ObjectStorageTestSupport
import Platform
import S3
import TestSupport
import Testing

@Suite(.sweep) struct FaultTests {
  private static let content = (0..<300_000).map { UInt8(truncatingIfNeeded: $0 &* 11 ^ $0 >> 7) }
  private static let large = (0..<1_000_000).map { UInt8(truncatingIfNeeded: $0 &* 5 ^ $0 >> 6) }
  private static let names = (0..<10).map { "data/\($0)" }

  @Test func `there are more than a thousand cases`() { #expect(FaultCase.all.count > 1000) }

  @Test(arguments: Sweep.some(of: FaultCase.all, every: 13))
  func `a fault leads to the right result or to a fitting error`(_ fault: FaultCase) throws {
    let bucket = try TestBucket()
    defer { bucket.stop() }
    fill(bucket, fault.operation)
    let proxy = try FaultProxy(to: bucket.port) { number, _ in
      fault.applies(to: number) ? fault.fault.fault : .none
    }
    defer { proxy.stop() }
    let storage = try testStorage(port: proxy.port)
    let start = monotonicSeconds()
    var result: Bool?
    var failure: (any Error)?
    do { result = try perform(fault.operation, storage) } catch { failure = error }
    #expect(monotonicSeconds() - start < 20)
    #expect(proxy.requestCount <= (isLarge(fault.operation) ? 48 : 18))
    if fault.fault.invisible.contains(fault.operation) {
      #expect(failure == nil || failure is StorageError)
      return
    }
    guard let failure else {
      #expect(result == true)
      return checkContent(bucket, fault.operation)
    }
    let error = try #require(failure as? StorageError)
    let mustSucceed = fault.occurrence != .always && fault.fault.isRepaired
    #expect(!mustSucceed, "\(error.messageWithHint)")
    #expect(fault.fault.kinds.contains(error.kind), "\(error.messageWithHint)")
    #expect(error.message.contains("s3://bucket/depot"), "\(error.message)")
    #expect(!error.hint.isEmpty || error.kind == .notFound || error.kind == .damaged)
  }

  private func isLarge(_ operation: Operation) -> Bool {
    operation == .upload || operation == .createLarge
  }

  private func fill(_ bucket: TestBucket, _ operation: Operation) {
    bucket.state.withLock { state in
      switch operation {
      case .list: for name in FaultTests.names { state.objects["depot/\(name)"] = [1, 2] }
      case .createExisting: state.objects["depot/k"] = [7, 7, 7]
      case .createUnique, .createShared, .write, .upload, .createLarge: break
      default: state.objects["depot/k"] = FaultTests.content
      }
    }
  }

  /// Performs an operation. Returns whether its result is right.
  private func perform(_ operation: Operation, _ storage: S3Storage) throws -> Bool {
    let key = try #require(ObjectKey("k"))
    let content = FaultTests.content
    switch operation {
    case .read: return try storage.read(key, range: nil, limitBytes: 400_000) == content
    case .readRange:
      return try storage.read(key, range: 1000..<90_000, limitBytes: 90_000)
        == Array(content[1000..<90_000])
    case .download:
      var bytes: [UInt8] = []
      try storage.download(key, sizeBytes: UInt64(content.count)) { bytes += $0 }
      return bytes == content
    case .createUnique: return try storage.create(key, .bytes(content), isUnique: true)
    case .createShared:
      // After a lost answer false is right, too: another writer may have written the same.
      _ = try storage.create(key, .bytes(content), isUnique: false)
      return true
    case .createExisting: return try !storage.create(key, .bytes(content), isUnique: true)
    case .write:
      try storage.write(key, .bytes(content))
      return true
    case .size: return try storage.size(of: key) == UInt64(content.count)
    case .list:
      var names: [String] = []
      try storage.list("data/") { page in
        names += page.map(\.key.text)
        return true
      }
      return names == FaultTests.names
    case .delete:
      try storage.delete(key)
      return true
    case .upload:
      try storage.write(key, .bytes(FaultTests.large))
      return true
    case .createLarge: return try storage.create(key, .bytes(FaultTests.large), isUnique: true)
    }
  }

  /// Checks what the service has after a success.
  private func checkContent(_ bucket: TestBucket, _ operation: Operation) {
    let object = bucket.state.withLock { $0.objects["depot/k"] }
    switch operation {
    case .createUnique, .createShared, .write: #expect(object == FaultTests.content)
    case .createExisting: #expect(object == [7, 7, 7])
    case .upload, .createLarge: #expect(object == FaultTests.large)
    case .delete: #expect(object == nil)
    default: break
    }
  }

  @Test func `a download continues where it broke, and passes each byte once`() throws {
    let bucket = try TestBucket()
    defer { bucket.stop() }
    bucket.state.withLock { $0.objects["depot/k"] = FaultTests.large }
    let proxy = try FaultProxy(to: bucket.port) { number, _ in
      number < 2 ? .truncateBody(bytes: 400_000) : .none
    }
    defer { proxy.stop() }
    let storage = try testStorage(port: proxy.port)
    var bytes: [UInt8] = []
    try storage.download(
      try #require(ObjectKey("k")), sizeBytes: UInt64(FaultTests.large.count)
    ) { bytes += $0 }
    #expect(bytes == FaultTests.large)
    #expect(proxy.requestCount == 3)
  }

  @Test func `an object that changes during a download is an error`() throws {
    let bucket = try TestBucket()
    defer { bucket.stop() }
    bucket.state.withLock { $0.objects["depot/k"] = FaultTests.large }
    let proxy = try FaultProxy(to: bucket.port) { number, _ in
      if number == 0 { return .truncateBody(bytes: 400_000) }
      bucket.state.withLock { $0.objects["depot/k"] = FaultTests.large.reversed() }
      return .none
    }
    defer { proxy.stop() }
    let storage = try testStorage(port: proxy.port)
    let error = #expect(throws: StorageError.self) {
      try storage.download(
        try #require(ObjectKey("k")), sizeBytes: UInt64(FaultTests.large.count)
      ) { _ in }
    }
    #expect(error?.kind == .damaged)
  }
}
