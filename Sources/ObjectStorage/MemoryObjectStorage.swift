// A bucket in memory, for tests: deterministic, with hooks for every request.
//
// 1. Each request, and each page of a listing, takes effect at one moment: between the hooks `before` and
//    `after`. A listing of several pages is not atomic, as in real services.
// 2. `before` may throw: the request has no effect. `after` may throw: it has its effect, and the answer is
//    lost. Both may block, so that a scheduler decides the order of requests.
// 3. `tamper` changes what a read returns, as a hostile service would.

import Codec
import Platform

/// A bucket in memory.
public final class MemoryObjectStorage: ObjectStorage {
  /// What tests add to requests.
  public struct Hooks: Sendable {
    public var before: @Sendable (StorageRequest) throws(StorageError) -> Void
    public var after: @Sendable (StorageRequest) throws(StorageError) -> Void
    public var tamper: @Sendable (StorageRequest, [UInt8]) -> [UInt8]

    /// Creates hooks that do nothing.
    public init() {
      before = { (_) throws(StorageError) in }
      after = { (_) throws(StorageError) in }
      tamper = { $1 }
    }
  }

  private let objects: Monitor<[ObjectKey: [UInt8]]>
  private let hooks: Hooks
  private let pageSize: Int
  public let name: String

  /// Creates an empty bucket.
  public init(name: String = "memory:", pageSize: Int = 1000, hooks: Hooks = Hooks()) {
    objects = Monitor([:])
    self.name = name
    self.pageSize = pageSize
    self.hooks = hooks
  }

  private init(_ other: MemoryObjectStorage, _ hooks: Hooks) {
    (objects, name, pageSize) = (other.objects, other.name, other.pageSize)
    self.hooks = hooks
  }

  /// Returns the same bucket with other hooks.
  public func with(_ hooks: Hooks) -> MemoryObjectStorage { MemoryObjectStorage(self, hooks) }

  /// The content of the bucket.
  public var content: [ObjectKey: [UInt8]] {
    get { objects.withLock { $0 } }
    set { objects.withLock { $0 = newValue } }
  }

  private func perform<R>(
    _ request: StorageRequest, _ body: (inout [ObjectKey: [UInt8]]) throws(StorageError) -> R
  ) throws(StorageError) -> R {
    try hooks.before(request)
    let result = try objects.withLock(body)
    try hooks.after(request)
    return result
  }

  private func missing(_ key: ObjectKey) -> StorageError {
    StorageError(.notFound, "object \(key) of \(name)", "does not exist")
  }

  public func read(
    _ key: ObjectKey, range: Range<UInt64>?, limitBytes: Int
  ) throws(StorageError) -> [UInt8] {
    let request = StorageRequest(.read, key.text)
    let bytes = try perform(request) { (objects) throws(StorageError) -> [UInt8] in
      guard let bytes = objects[key] else { throw missing(key) }
      guard let range else { return bytes }
      guard range.upperBound <= UInt64(bytes.count) else {
        throw StorageError(
          .damaged, "object \(key) of \(name)", "has \(bytes.count) bytes, fewer than expected")
      }
      return Array(bytes[Int(range.lowerBound)..<Int(range.upperBound)])
    }
    let result = hooks.tamper(request, bytes)
    guard result.count <= limitBytes else {
      throw StorageError(
        .tooLarge, "object \(key) of \(name)", "has more than \(limitBytes) bytes")
    }
    guard range.map({ UInt64($0.count) == UInt64(result.count) }) ?? true else {
      throw StorageError(.damaged, "object \(key) of \(name)", "was cut in transit")
    }
    return result
  }

  public func download(
    _ key: ObjectKey, sizeBytes: UInt64, _ body: (UnsafeRawBufferPointer) throws -> Void
  ) throws {
    let request = StorageRequest(.download, key.text)
    let stored = try perform(request) { (objects) throws(StorageError) -> [UInt8] in
      guard let bytes = objects[key] else { throw missing(key) }
      return bytes
    }
    let bytes = hooks.tamper(request, stored)
    guard UInt64(bytes.count) == sizeBytes else {
      throw StorageError(
        .damaged, "object \(key) of \(name)", "has \(bytes.count) bytes instead of \(sizeBytes)")
    }
    try bytes.withUnsafeBytes { bytes in
      for start in stride(from: 0, to: bytes.count, by: 1 << 20) {
        let end = min(start + 1 << 20, bytes.count)
        try body(UnsafeRawBufferPointer(rebasing: bytes[start..<end]))
      }
    }
  }

  public func create(
    _ key: ObjectKey, _ body: ObjectBody, isUnique: Bool
  ) throws(StorageError) -> Bool {
    let bytes = try body.read()
    return try perform(StorageRequest(.create, key.text)) { objects in
      guard objects[key] == nil else { return false }
      objects[key] = bytes
      return true
    }
  }

  public func write(_ key: ObjectKey, _ body: ObjectBody) throws(StorageError) {
    let bytes = try body.read()
    try perform(StorageRequest(.write, key.text)) { $0[key] = bytes }
  }

  public func size(of key: ObjectKey) throws(StorageError) -> UInt64? {
    try perform(StorageRequest(.size, key.text)) { $0[key].map { UInt64($0.count) } }
  }

  public func list(_ prefix: String, _ body: ([ListedObject]) throws -> Bool) throws {
    var last: ObjectKey?
    while true {
      let request = StorageRequest(.list, prefix, after: last)
      let page = try perform(request) { objects in
        var matches: [ListedObject] = []
        for (key, bytes) in objects
        where key.text.utf8.starts(with: prefix.utf8) && last.map({ $0 < key }) ?? true {
          matches.append(ListedObject(key: key, sizeBytes: UInt64(bytes.count)))
        }
        return matches.sorted { $0.key < $1.key }.prefix(pageSize)
      }
      guard try body(Array(page)), page.count == pageSize else { return }
      last = page.last?.key
    }
  }

  public func delete(_ key: ObjectKey) throws(StorageError) {
    try perform(StorageRequest(.delete, key.text)) { $0[key] = nil }
  }
}
