// The examination of a service before it is trusted with a depot.
//
// 1. It writes below `probe/<random name>` only, and removes what it wrote.
// 2. A check that depends on a failed one is skipped, and says so.
// 3. The report is for people and for programs. Errors of single requests are in it, and are not thrown.

import Codec
import ObjectStorage
import Platform

/// One check of a service.
public struct ProbeCheck: Sendable {
  /// The subject of a check. Its raw value is for programs.
  public enum Name: String, Sendable, CaseIterable {
    /// Whether an answer arrives, signed and accepted.
    case reach
    /// Whether the connection is encrypted, and the certificate verified.
    case tls
    /// Whether both clocks agree.
    case clock
    case list
    case put
    case get
    /// Whether a range of an object can be read.
    case range
    /// Whether a second conditional write of one key fails, and changes nothing.
    case conditionalPut = "conditional-put"
    /// Whether large objects can be written in parts.
    case multipart
    case delete
  }

  /// The result of a check.
  public enum Outcome: String, Sendable {
    case ok
    case failed
    case skipped
    /// It works, and deserves attention.
    case warning
  }

  public let name: Name
  public let outcome: Outcome
  /// A description for people; may be empty.
  public let detail: String
  /// The error of a failed check.
  public let error: StorageError?
}

/// The results of all checks, in their order.
public struct ProbeReport: Sendable {
  public internal(set) var checks: [ProbeCheck] = []

  /// The first failed check's error; nil if the service may be used.
  public var error: StorageError? { checks.first { $0.outcome == .failed }?.error }

  func passed(_ name: ProbeCheck.Name) -> Bool {
    checks.contains { $0.name == name && ($0.outcome == .ok || $0.outcome == .warning) }
  }
}

extension S3Storage {
  /// Examines reach, rights, conditional writes, and the clock.
  public func probe() -> ProbeReport {
    var probe = S3Probe(self)
    probe.run()
    return probe.report
  }
}

struct S3Probe {
  private let storage: S3Storage
  private(set) var report = ProbeReport()
  private let directory: String
  private let content: [UInt8]
  /// The keys to remove.
  private var written: [ObjectKey] = []

  /// The difference of the clocks above which signatures are refused is 15 minutes.
  private static let warningSkewSeconds: Int64 = 60

  init(_ storage: S3Storage) {
    self.storage = storage
    directory = "probe/" + randomName() + randomName()
    content = Array("imgstore probe \(directory)\n".utf8)
  }

  mutating func run() {
    reach()
    tls()
    let isReached = report.passed(.reach)
    check(.list, if: isReached, "nothing was reached") { (probe) throws(StorageError) in
      try probe.list()
    }
    check(.put, if: isReached, "nothing was reached") { (probe) throws(StorageError) in
      try probe.put()
    }
    let isWritten = report.passed(.put)
    let reason = "no object could be written"
    check(.get, if: isWritten, reason) { (probe) throws(StorageError) in try probe.get() }
    check(.range, if: isWritten, reason) { (probe) throws(StorageError) in try probe.range() }
    check(.conditionalPut, if: report.passed(.get), reason) { (probe) throws(StorageError) in
      try probe.conditionalPut()
    }
    check(.multipart, if: isWritten, reason) { (probe) throws(StorageError) in
      try probe.multipart()
    }
    check(.delete, if: isWritten, reason) { (probe) throws(StorageError) in try probe.delete() }
  }

  private mutating func check(
    _ name: ProbeCheck.Name, if condition: Bool, _ otherwise: String,
    _ body: (inout S3Probe) throws(StorageError) -> String
  ) {
    guard condition else { return add(name, .skipped, otherwise) }
    do throws(StorageError) {
      add(name, .ok, try body(&self))
    } catch {
      if name == .delete, error.kind == .denied {
        // An account of a machine that only adds snapshots.
        return add(name, .warning, "this account cannot delete; \(directory) stays", error)
      }
      add(name, .failed, error.reason, error)
    }
  }

  private mutating func add(
    _ name: ProbeCheck.Name, _ outcome: ProbeCheck.Outcome, _ detail: String,
    _ error: StorageError? = nil
  ) {
    report.checks.append(ProbeCheck(name: name, outcome: outcome, detail: detail, error: error))
  }

  /// Sends the simplest request, and compares the clocks with its answer.
  private mutating func reach() {
    let settings = storage.client.settings
    var request = S3Request("GET")
    request.query = [("list-type", "2"), ("max-keys", "1"), ("prefix", storage.prefixed(""))]
    request.limitBytes = S3XML.maxBytes
    do throws(StorageError) {
      let answer = try storage.client.send(request, "remote \(storage.name)")
      add(.reach, .ok, "\(settings.endpoint) with the \(settings.credentials)")
      guard let skew = RefusalReader.skewSeconds(answer.head) else {
        return add(.clock, .skipped, "the service sends no time")
      }
      let isFar = abs(skew) > S3Probe.warningSkewSeconds
      add(.clock, isFar ? .warning : .ok, "\(abs(skew)) s \(skew < 0 ? "behind" : "ahead")")
    } catch {
      // An account without the right to list may still read and write.
      guard error.kind == .denied else {
        add(.reach, .failed, error.reason, error)
        guard error.kind == .clock else { return add(.clock, .skipped, "nothing was reached") }
        return add(.clock, .failed, error.reason, error)
      }
      add(.reach, .ok, "\(settings.endpoint) with the \(settings.credentials)")
      add(.clock, .ok, "the service accepts signatures of this time")
    }
  }

  private mutating func tls() {
    let settings = storage.client.settings
    guard settings.endpoint.isSecure else {
      return add(.tls, .warning, "not encrypted: the endpoint begins with http://")
    }
    guard report.passed(.reach) else { return add(.tls, .skipped, "nothing was reached") }
    guard !settings.isInsecure else {
      return add(.tls, .warning, "the certificate is not verified")
    }
    add(.tls, .ok, settings.caBundle.map { "verified with \($0)" } ?? "verified")
  }

  private func key(_ name: String) throws(StorageError) -> ObjectKey {
    guard let key = ObjectKey("\(directory)/\(name)") else {
      throw StorageError(.settings, "the probe", "has an invalid name")
    }
    return key
  }

  private func list() throws(StorageError) -> String {
    _ = try storage.page(storage.prefixed("probe/"), nil, keys: 10, "the list of \(storage.name)")
    return ""
  }

  private mutating func put() throws(StorageError) -> String {
    let key = try key("object")
    written.append(key)
    try storage.write(key, .bytes(content))
    return ""
  }

  private func get() throws(StorageError) -> String {
    let bytes = try storage.read(try key("object"), range: nil, limitBytes: 4096)
    guard bytes == content else { throw changed("returns other bytes than were written") }
    return ""
  }

  private func range() throws(StorageError) -> String {
    let bytes = try storage.read(try key("object"), range: 3..<11, limitBytes: 8)
    guard bytes == Array(content[3..<11]) else { throw changed("returns another range") }
    return ""
  }

  private func changed(_ reason: String) -> StorageError {
    StorageError(
      .unsuitable, "remote \(storage.name)", reason, hint: "Use another service or endpoint")
  }

  private var ignoresCondition: StorageError {
    StorageError(
      .unsuitable, "remote \(storage.name)", "ignores If-None-Match",
      hint:
        "Upgrade the service (Ceph 16, MinIO of 2024, or later), or use another one: without it two "
        + "writers could replace each other's snapshots")
  }

  /// Creates a key twice with different content. The second write must fail, and leave the first content.
  private mutating func conditionalPut() throws(StorageError) -> String {
    let key = try key("conditional")
    written.append(key)
    guard try storage.create(key, .bytes(content), isUnique: true) else {
      throw changed("refuses a conditional write of a new key")
    }
    guard try !storage.create(key, .bytes(content + [0x21]), isUnique: true) else {
      throw ignoresCondition
    }
    guard try storage.read(key, range: nil, limitBytes: 4096) == content else {
      throw changed("replaces an object by a write that it refuses")
    }
    return ""
  }

  private mutating func multipart() throws(StorageError) -> String {
    let key = try key("multipart")
    written.append(key)
    try MultipartUpload(storage, key, RequestBody(bytes: content)).run()
    guard try storage.read(key, range: nil, limitBytes: 4096) == content else {
      throw changed("returns other bytes than were uploaded in parts")
    }
    return ""
  }

  private mutating func delete() throws(StorageError) -> String {
    for key in written { try storage.delete(key) }
    for key in written {
      guard try storage.size(of: key) == nil else {
        throw changed("still has an object that was deleted")
      }
    }
    written = []
    return ""
  }
}
