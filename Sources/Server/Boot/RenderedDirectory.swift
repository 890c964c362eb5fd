// The directory of rendered files:
//
//     lock              held while a server uses the directory
//     files/<key>       complete files
//     records/<key>     size and SHA-256 of a file, which stay when the file is evicted
//     tmp/              files that are being made; removed when a server starts
//     store/            caches of a store that the server cannot write: segments, objects and indexes of
//     remotes
//
// 1. A file appears in files/ complete and synced, by a rename after its record. Its size is that of its record.
// 2. Only the owner of the process can write in the directory, so its content is trusted.
// 3. Everything in it may be deleted while no server uses it.

import Codec
import Images
import Platform

/// The files of a cache on disk.
struct RenderedDirectory: Sendable {
  static let maxRecords = 20_000
  let fileSystem: any FileSystem
  let path: String
  private let files: Descriptor
  private let records: Descriptor
  private let temporary: Descriptor
  private let lock: FileLock

  /// Opens the directory, and creates it if it is missing.
  /// - Throws: `ImageError`: `busy` if another server uses it, `accessDenied` if others can write to it;
  ///   `SystemError`.
  init(_ path: String, on fileSystem: any FileSystem) throws {
    self.path = path
    self.fileSystem = fileSystem
    let object = "directory \(printable(path.utf8))"
    try fileSystem.makePrivatePath(Array(path.utf8))
    let top = try fileSystem.openDirectory(
      at: fileSystem.workingDirectory, Array(path.utf8), followLink: true)
    let stat = try fileSystem.stat(top.raw)
    guard isTrustedOwner(stat.uid), stat.mode & 0o022 == 0 else {
      throw ImageError(
        .accessDenied, object, "belongs to another user, or others can write to it",
        hint: "Name a directory of your own with --cache")
    }
    do throws(SystemError) {
      lock = try FileLock.acquire(
        fileSystem, at: top.raw, Array("lock".utf8), exclusive: true, waiting: .atMost(seconds: 0))
    } catch {
      guard error.code == .busy else { throw error }
      throw ImageError(
        .busy, object, "is in use by another server",
        hint: "Each server needs a directory of its own: name one with --cache")
    }
    func open(_ name: String) throws -> Descriptor {
      try fileSystem.makeDirectoryIfAbsent(at: top.raw, Array(name.utf8), .private)
      return try fileSystem.openDirectory(at: top.raw, Array(name.utf8))
    }
    (files, records, temporary) = (try open("files"), try open("records"), try open("tmp"))
    for name in try fileSystem.names(of: temporary.raw) {
      try fileSystem.remove(at: temporary.raw, name, isDirectory: false)
    }
    try removeOldRecords()
  }

  /// Returns the complete files with their sizes, least recently used first. A file without a record, or of another
  /// size, is removed.
  func list() throws -> [(key: Digest, sizeBytes: UInt64)] {
    var found: [(key: Digest, sizeBytes: UInt64, used: Timestamp)] = []
    for name in try fileSystem.names(of: files.raw) {
      guard let stat = try fileSystem.statIfPresent(at: files.raw, name) else { continue }
      guard stat.kind == .file, let key = Digest(hex: String(decoding: name, as: UTF8.self)),
        record(key)?.sizeBytes == stat.size
      else {
        try? fileSystem.remove(at: files.raw, name, isDirectory: stat.kind == .directory)
        continue
      }
      found.append((key, stat.size, stat.modified))
    }
    return found.sorted { $0.used < $1.used }.map { ($0.key, $0.sizeBytes) }
  }

  /// Returns what is known about a file; nil if nothing is.
  func record(_ key: Digest) -> RenderedRecord? {
    (try? fileSystem.readSmallFile(at: records.raw, name(key), limitBytes: 4096))
      .flatMap { RenderedRecord($0) }
  }

  func removeRecord(_ key: Digest) {
    try? fileSystem.remove(at: records.raw, name(key), isDirectory: false)
  }

  /// Opens a complete file; nil if it does not exist.
  func open(_ key: Digest) -> Descriptor? {
    try? fileSystem.openFile(at: files.raw, name(key), [.read, .noFollow, .nonBlocking])
  }

  /// Notes the use of a file, for the next server.
  func touch(_ key: Digest, _ time: Timestamp) {
    try? fileSystem.setModified(at: files.raw, name(key), time)
  }

  func remove(_ key: Digest) {
    try? fileSystem.remove(at: files.raw, name(key), isDirectory: false)
  }

  /// The number of bytes that can still be stored.
  func freeBytes() throws -> UInt64 { try fileSystem.freeBytes(files.raw) }

  // MARK: New files

  /// Creates an empty file for a rendering.
  func newFile() throws -> (file: Descriptor, name: [UInt8]) {
    let name = Array(randomName().utf8)
    let file = try fileSystem.openFile(
      at: temporary.raw, name, [.readWrite, .create, .exclusive, .noFollow])
    return (file, name)
  }

  /// Publishes a complete file with its record.
  func publish(_ file: (file: Descriptor, name: [UInt8]), as key: Digest, _ record: RenderedRecord)
    throws
  {
    try fileSystem.sync(file.file.raw)
    try fileSystem.replaceFile(at: records.raw, name(key), with: Array(record.text.utf8))
    try fileSystem.rename(
      at: temporary.raw, file.name, to: files.raw, name(key), exclusively: false)
  }

  func discard(_ name: [UInt8]) {
    try? fileSystem.remove(at: temporary.raw, name, isDirectory: false)
  }

  private func name(_ key: Digest) -> [UInt8] { Array(key.hex.utf8) }

  private func removeOldRecords() throws {
    let names = try fileSystem.names(of: records.raw)
    guard names.count > RenderedDirectory.maxRecords else { return }
    let dated = names.compactMap { name in
      (try? fileSystem.stat(at: records.raw, name, followLink: false)).map { (name, $0.modified) }
    }.sorted { $0.1 < $1.1 }
    for (name, _) in dated.prefix(names.count - RenderedDirectory.maxRecords / 2) {
      try? fileSystem.remove(at: records.raw, name, isDirectory: false)
    }
  }
}
