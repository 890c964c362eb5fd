// What every bucket promises, shown for the one in memory and the one in a directory.

import Codec
import Foundation
import ObjectStorage
import Platform
import Testing

@Suite struct ObjectStorageTests {
  private final class Bucket {
    let storage: any ObjectStorage
    private let path: String?

    init(_ kind: String) throws {
      guard kind == "directory" else {
        storage = MemoryObjectStorage()
        path = nil
        return
      }
      let path = FileManager.default.temporaryDirectory.path + "/bucket-\(randomName())"
      try FileManager.default.createDirectory(atPath: path, withIntermediateDirectories: true)
      storage = try DirectoryObjectStorage(path: Array(path.utf8))
      self.path = path
    }

    deinit { if let path { try? FileManager.default.removeItem(atPath: path) } }
  }

  private static let kinds = ["memory", "directory"]

  private func key(_ text: String) throws -> ObjectKey { try #require(ObjectKey(text)) }

  @Test func `keys have one spelling and no parts that file systems treat specially`() {
    for text in ["a", "a/b", "a-b_c.d+e%20@f=", "..a/b..", String(repeating: "x", count: 900)] {
      #expect(ObjectKey(text)?.text == text)
    }
    for text in [
      "", "/", "/a", "a/", "a//b", ".", "..", "a/../b", "a/./b", "a b", "a\0", "ä", "a~",
      String(repeating: "x", count: 901),
    ] { #expect(ObjectKey(text) == nil, "\(text)") }
  }

  @Test(arguments: kinds) func `an object is created once and its bytes are read`(kind: String)
    throws
  {
    let bucket = try Bucket(kind)
    let storage = bucket.storage
    let key = try key("a/b/c")
    #expect(try storage.size(of: key) == nil)
    #expect(try storage.create(key, .bytes([1, 2, 3]), isUnique: false))
    #expect(try !storage.create(key, .bytes([4]), isUnique: false))
    #expect(try storage.read(key, range: nil, limitBytes: 3) == [1, 2, 3])
    #expect(try storage.read(key, range: 1..<3, limitBytes: 3) == [2, 3])
    #expect(try storage.size(of: key) == 3)
    var error = #expect(throws: StorageError.self) {
      try storage.read(key, range: nil, limitBytes: 2)
    }
    #expect(error?.kind == .tooLarge)
    error = #expect(throws: StorageError.self) {
      try storage.read(key, range: 1..<4, limitBytes: 9)
    }
    #expect(error?.kind == .damaged)
    try storage.write(key, .bytes([9]))
    #expect(try storage.read(key, range: nil, limitBytes: 3) == [9])
    try storage.delete(key)
    try storage.delete(key)
    error = #expect(throws: StorageError.self) { try storage.read(key, range: nil, limitBytes: 3) }
    #expect(error?.kind == .notFound)
  }

  @Test(arguments: kinds) func `a file is uploaded and downloaded whole`(kind: String) throws {
    let bucket = try Bucket(kind)
    let fileSystem = KernelFileSystem.shared
    let file = try fileSystem.openNamelessFile(in: Array("/tmp".utf8))
    let bytes = (0..<3_000_000).map { UInt8(truncatingIfNeeded: $0 &* 7 >> 3) }
    try fileSystem.write(file.raw, bytes)
    let key = try key("packs/x")
    let body = ObjectBody.file(
      descriptor: file.raw, sizeBytes: UInt64(bytes.count), sha256: SHA256.digest(of: bytes))
    try bucket.storage.write(key, body)
    var read: [UInt8] = []
    try bucket.storage.download(key, sizeBytes: UInt64(bytes.count)) { read += $0 }
    #expect(read == bytes)
    let error = #expect(throws: StorageError.self) {
      try bucket.storage.download(key, sizeBytes: UInt64(bytes.count) - 1) { _ in }
    }
    #expect(error?.kind == .damaged)
    let short = ObjectBody.file(
      descriptor: file.raw, sizeBytes: UInt64(bytes.count) + 1, sha256: SHA256.digest(of: bytes))
    #expect(throws: StorageError.self) { try bucket.storage.write(key, short) }
    #expect(try bucket.storage.size(of: key) == UInt64(bytes.count))
  }

  @Test(arguments: kinds) func `six writers that race for names win each once`(kind: String) throws
  {
    let bucket = try Bucket(kind)
    let storage = bucket.storage
    let wins = Monitor<[Int: Int]>([:])
    try runThreads(6) { thread in
      for name in 0..<50 {
        let key = try #require(ObjectKey("refs/\(name)"))
        if try storage.create(key, .bytes([UInt8(thread)]), isUnique: false) {
          let existing = wins.withLock { wins in wins.updateValue(thread, forKey: name) }
          #expect(existing == nil)
        }
      }
    }
    let winners = wins.withLock { $0 }
    #expect(winners.count == 50)
    for (name, thread) in winners {
      #expect(
        try storage.read(try key("refs/\(name)"), range: nil, limitBytes: 9) == [UInt8(thread)])
    }
  }

  @Test(arguments: kinds) func `a listing has the keys of a prefix in the order of their bytes`(
    kind: String
  ) throws {
    let bucket = try Bucket(kind)
    let texts = ["a/b/c", "a/b-c", "a/b/a", "a/c", "b", "ab", "a/b0", "a/b.x"]
    for text in texts { try bucket.storage.write(try key(text), .bytes([1])) }
    func list(_ prefix: String) throws -> [String] {
      var result: [String] = []
      try bucket.storage.list(prefix) { page in
        result += page.map(\.key.text)
        return true
      }
      return result
    }
    for prefix in ["", "a", "a/", "a/b", "a/b/", "a/b/c", "a/b/c/", "x", "x/y"] {
      let expected = texts.filter { $0.hasPrefix(prefix) }
        .sorted { $0.utf8.lexicographicallyPrecedes($1.utf8) }
      #expect(try list(prefix) == expected, "\(prefix)")
    }
  }

  @Test func `a listing of many keys comes in pages and can be ended`() throws {
    for kind in ObjectStorageTests.kinds {
      let bucket = try Bucket(kind)
      for number in 0..<2500 { try bucket.storage.write(try key("k/\(number)"), .bytes([])) }
      var counts: [Int] = []
      try bucket.storage.list("k/") { page in
        counts.append(page.count)
        return true
      }
      #expect(counts == [1000, 1000, 500])
      counts = []
      try bucket.storage.list("k/") { page in
        counts.append(page.count)
        return false
      }
      #expect(counts == [1000])
    }
  }

  @Test func `hooks see every request, and may fail it before or after its effect`() throws {
    let seen = Monitor<[String]>([])
    var hooks = MemoryObjectStorage.Hooks()
    hooks.before = { request throws(StorageError) in
      seen.withLock { $0.append(request.description) }
      if request.key == "x" { throw StorageError(.unavailable, "x", "fails") }
    }
    hooks.after = { request throws(StorageError) in
      if request.key == "y" { throw StorageError(.unavailable, "y", "is lost") }
    }
    let plain = MemoryObjectStorage(pageSize: 1)
    let storage = plain.with(hooks)
    #expect(throws: StorageError.self) { try storage.write(try key("x"), .bytes([1])) }
    #expect(throws: StorageError.self) { try storage.write(try key("y"), .bytes([1])) }
    #expect(plain.content.keys.map(\.text) == ["y"])
    try storage.list("") { _ in true }
    #expect(seen.withLock { $0 } == ["write x", "write y", "list ", "list "])
  }
}
