// The contract of `ObjectStorage`, as checks that run on any implementation: the real gateway, the service in the
// process of the tests, and storage in memory.

import Codec
import Glibc
import ObjectStorage
import Platform
import Testing

/// Checks an empty storage.
public struct ObjectStorageConformance {
  private let storage: any ObjectStorage
  /// The number of bytes of the largest object.
  private let largeBytes: Int

  /// Creates checks of a storage.
  /// - Parameter largeBytes: a size above the limit from which the storage sends parts.
  public init(_ storage: any ObjectStorage, largeBytes: Int) {
    self.storage = storage
    self.largeBytes = largeBytes
  }

  /// Runs all checks.
  public func run() throws {
    try checkCreation()
    try checkReads()
    try checkFiles()
    try checkLargeObjects()
    try checkListing()
    try checkDeletion()
    try checkRaces()
  }

  private func key(_ text: String) throws -> ObjectKey { try #require(ObjectKey(text)) }

  private func kind(_ body: () throws -> Void) -> StorageError.Kind? {
    do {
      try body()
      return nil
    } catch {
      return (error as? StorageError)?.kind
    }
  }

  private func downloaded(_ key: ObjectKey, _ size: Int) throws -> [UInt8] {
    var bytes: [UInt8] = []
    try storage.download(key, sizeBytes: UInt64(size)) { bytes += $0 }
    return bytes
  }

  private func checkCreation() throws {
    let a = try key("create/a")
    #expect(try storage.size(of: a) == nil)
    #expect(kind { _ = try storage.read(a, range: nil, limitBytes: 10) } == .notFound)
    #expect(try storage.create(a, .bytes([1, 2, 3]), isUnique: true))
    #expect(try !storage.create(a, .bytes([4, 5]), isUnique: true))
    #expect(try !storage.create(a, .bytes([4, 5]), isUnique: false))
    #expect(try storage.read(a, range: nil, limitBytes: 3) == [1, 2, 3])
    #expect(try storage.size(of: a) == 3)
    // Content that other writers may write, too: the first one counts.
    #expect(try !storage.create(a, .bytes([1, 2, 3]), isUnique: false))
    let empty = try key("create/empty")
    #expect(try storage.create(empty, .bytes([]), isUnique: false))
    #expect(try storage.read(empty, range: nil, limitBytes: 0) == [])
    #expect(try downloaded(empty, 0) == [])
    #expect(try storage.size(of: empty) == 0)
    let written = try key("create/b=1@2+3%4_5.6-7")
    try storage.write(written, .bytes([7]))
    try storage.write(written, .bytes([7]))
    #expect(try storage.read(written, range: nil, limitBytes: 1) == [7])
  }

  private func checkReads() throws {
    let content = (0..<100_000).map { UInt8(truncatingIfNeeded: $0 &* 7 ^ $0 >> 8) }
    let a = try key("read/a")
    try storage.write(a, .bytes(content))
    #expect(try storage.read(a, range: nil, limitBytes: 100_000) == content)
    #expect(kind { _ = try storage.read(a, range: nil, limitBytes: 99_999) } == .tooLarge)
    for range: Range<UInt64> in [0..<1, 0..<100_000, 99_999..<100_000, 512..<1024, 5..<5] {
      let bytes = try storage.read(a, range: range, limitBytes: 100_000)
      #expect(bytes == Array(content[Int(range.lowerBound)..<Int(range.upperBound)]))
    }
    #expect(kind { _ = try storage.read(a, range: 0..<11, limitBytes: 10) } == .tooLarge)
    #expect(kind { _ = try storage.read(a, range: 99_990..<100_001, limitBytes: 99) } == .damaged)
    #expect(kind { _ = try storage.read(a, range: 200_000..<200_001, limitBytes: 99) } == .damaged)
    #expect(try downloaded(a, 100_000) == content)
    #expect(kind { _ = try downloaded(a, 99_999) } == .damaged)
    #expect(kind { _ = try downloaded(a, 100_001) } == .damaged)
    #expect(kind { _ = try downloaded(try key("read/b"), 1) } == .notFound)
    struct Stop: Error {}
    #expect(throws: Stop.self) {
      try storage.download(a, sizeBytes: 100_000) { _ in throw Stop() }
    }
  }

  private func withFile(_ content: [UInt8], _ body: (ObjectBody) throws -> Void) throws {
    let system = KernelFileSystem.shared
    let directory = try system.openDirectory(at: system.workingDirectory, Array("/var/tmp".utf8))
    let name = Array("imgstore-conformance-\(randomName())".utf8)
    let file = try system.openFile(
      at: directory.raw, name, [.readWrite, .create, .exclusive])
    try system.remove(at: directory.raw, name, isDirectory: false)
    try system.write(file.raw, content)
    try body(
      .file(
        descriptor: file.raw, sizeBytes: UInt64(content.count), sha256: SHA256.digest(of: content)))
  }

  private func checkFiles() throws {
    let content = (0..<777_777).map { UInt8(truncatingIfNeeded: $0 &* 13 ^ $0 >> 9) }
    try withFile(content) { file in
      let (a, b) = (try key("file/a"), try key("file/b"))
      #expect(try storage.create(a, file, isUnique: true))
      try storage.write(b, file)
      #expect(try downloaded(a, content.count) == content)
      #expect(try storage.read(b, range: nil, limitBytes: content.count) == content)
    }
  }

  private func checkLargeObjects() throws {
    let content = (0..<largeBytes).map { UInt8(truncatingIfNeeded: $0 &* 31 ^ $0 >> 11) }
    try withFile(content) { file in
      let (a, b) = (try key("large/a"), try key("large/b"))
      #expect(try storage.create(a, file, isUnique: true))
      #expect(
        try !storage.create(a, .bytes([UInt8](repeating: 1, count: largeBytes)), isUnique: true))
      #expect(try downloaded(a, largeBytes) == content)
      try storage.write(b, .bytes(content))
      #expect(try downloaded(b, largeBytes) == content)
      let end = UInt64(largeBytes)
      #expect(try storage.read(b, range: (end - 9)..<end, limitBytes: 9) == content.suffix(9))
    }
  }

  private func checkListing() throws {
    var names: [String] = []
    for index in 0..<25 {
      let name = "list/\(index % 2 == 0 ? "x" : "Y-")\(index)"
      names.append(name)
      try storage.write(try key(name), .bytes([UInt8](repeating: 0, count: index)))
    }
    names.sort { $0.utf8.lexicographicallyPrecedes($1.utf8) }
    func listed(_ prefix: String) throws -> [ListedObject] {
      var objects: [ListedObject] = []
      try storage.list(prefix) { page in
        objects += page
        return true
      }
      return objects
    }
    let all = try listed("list/")
    #expect(all.map(\.key.text) == names)
    #expect(all.map(\.sizeBytes).sorted() == (0..<25).map { UInt64($0) })
    #expect(try listed("list/Y-").map(\.key.text) == names.filter { $0.hasPrefix("list/Y-") })
    #expect(try listed("none/").isEmpty)
    #expect(try listed("create/b=1").map(\.key.text) == ["create/b=1@2+3%4_5.6-7"])
    var pages = 0
    try storage.list("list/") { _ in
      pages += 1
      return false
    }
    #expect(pages == 1)
    struct Stop: Error {}
    #expect(throws: Stop.self) { try storage.list("list/") { _ in throw Stop() } }
  }

  private func checkDeletion() throws {
    let a = try key("list/x0")
    try storage.delete(a)
    #expect(try storage.size(of: a) == nil)
    try storage.delete(a)
    #expect(try storage.create(a, .bytes([9]), isUnique: true))
  }

  /// Six writers race for ten keys: each key has one winner, whose content stays.
  private func checkRaces() throws {
    let winners = Monitor([[Int]](repeating: [], count: 10))
    let storage = storage
    try runThreads(6) { writer in
      for index in 0..<10 {
        guard let key = ObjectKey("race/\(index)") else { return }
        if try storage.create(key, .bytes([UInt8(writer), UInt8(index)]), isUnique: true) {
          winners.withLock { $0[index].append(writer) }
        }
      }
    }
    for (index, winners) in winners.withLock({ $0 }).enumerated() {
      #expect(winners.count == 1)
      let bytes = try storage.read(try key("race/\(index)"), range: nil, limitBytes: 2)
      #expect(bytes == [UInt8(winners.first ?? 0), UInt8(index)])
    }
  }
}
