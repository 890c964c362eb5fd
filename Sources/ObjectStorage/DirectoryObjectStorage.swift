// A bucket in a directory: an object is a file of the same name below it. For disks, NFS and tests.
//
// 1. A file is complete and synced before it gets its name, so readers never see a part of one.
// 2. `create` gives the name with link(2), which replaces nothing. link(2) decides between processes of
//    all hosts, also on NFS; if its answer is lost, the number of links of the temporary file tells
//    (open(2), O_EXCL).
// 3. Temporary names start with a dot, which no key part with this suffix can: `.NAME.RANDOM.part~`.
//    Listings skip them.
// 4. Listings are atomic for one directory at most, as those of other services are for one page.

import Codec
import Platform

/// A bucket in a directory.
public final class DirectoryObjectStorage: ObjectStorage {
  private static let pageSize = 1000
  private static let temporarySuffix = Array(".part~".utf8)
  private let fileSystem: any FileSystem
  private let root: Descriptor
  public let name: String

  /// Opens the directory at `path`, which must exist.
  /// - Throws: `StorageError` if there is no directory, or the system refuses it.
  public init(
    path: [UInt8], _ fileSystem: any FileSystem = KernelFileSystem.shared
  ) throws(StorageError) {
    self.fileSystem = fileSystem
    name = "file://\(printable(path))"
    do throws(SystemError) {
      root = try fileSystem.openDirectory(at: fileSystem.workingDirectory, path, followLink: true)
    } catch {
      guard error.isAbsent else { throw StorageError(.system(error), name, error.message) }
      throw StorageError(
        .settings, name, "is not a directory", hint: "Create the directory, or mount its disk")
    }
  }

  // MARK: Reading

  public func read(
    _ key: ObjectKey, range: Range<UInt64>?, limitBytes: Int
  ) throws(StorageError) -> [UInt8] {
    let (file, sizeBytes) = try open(key)
    let range = range ?? 0..<sizeBytes
    guard range.upperBound <= sizeBytes else {
      throw damaged(key, "has \(sizeBytes) bytes, fewer than expected")
    }
    guard range.count <= limitBytes else {
      throw StorageError(
        .tooLarge, subject(key), "has more than the limit of \(limitBytes) bytes")
    }
    var bytes = [UInt8](repeating: 0, count: range.count)
    let readBytes = try explain(key) { () throws(SystemError) in
      try bytes.withUnsafeMutableBytes { (bytes) throws(SystemError) in
        try fileSystem.readFully(file.raw, at: range.lowerBound, into: bytes)
      }
    }
    guard readBytes == range.count else { throw damaged(key, "became shorter") }
    return bytes
  }

  public func download(
    _ key: ObjectKey, sizeBytes: UInt64, _ body: (UnsafeRawBufferPointer) throws -> Void
  ) throws {
    let (file, actualBytes) = try open(key)
    guard actualBytes == sizeBytes else {
      throw damaged(key, "has \(actualBytes) bytes instead of \(sizeBytes)")
    }
    let buffer = UnsafeMutableRawBufferPointer.allocate(byteCount: 1 << 20, alignment: 64)
    defer { buffer.deallocate() }
    var offset: UInt64 = 0
    while offset < sizeBytes {
      let count = Int(min(UInt64(buffer.count), sizeBytes - offset))
      let part = UnsafeMutableRawBufferPointer(rebasing: buffer[..<count])
      let readBytes = try explain(key) { () throws(SystemError) in
        try fileSystem.readFully(file.raw, at: offset, into: part)
      }
      guard readBytes == count else { throw damaged(key, "became shorter") }
      try body(UnsafeRawBufferPointer(part))
      offset += UInt64(count)
    }
  }

  public func size(of key: ObjectKey) throws(StorageError) -> UInt64? {
    let stat = try explain(key) { () throws(SystemError) in
      try fileSystem.statIfPresent(at: root.raw, path(key))
    }
    return stat?.kind == .file ? stat?.size : nil
  }

  private func open(_ key: ObjectKey) throws(StorageError) -> (file: Descriptor, sizeBytes: UInt64)
  {
    do throws(SystemError) {
      let file = try fileSystem.openFile(
        at: root.raw, path(key), [.read, .noFollow, .nonBlocking])
      let stat = try fileSystem.stat(file.raw)
      guard stat.kind == .file else { throw SystemError(code: .notFound, "open", path(key)) }
      return (file, stat.size)
    } catch {
      guard error.isAbsent || error.code == .loop else { throw failure(error, key) }
      throw StorageError(.notFound, subject(key), "does not exist")
    }
  }

  // MARK: Writing

  public func create(
    _ key: ObjectKey, _ body: ObjectBody, isUnique: Bool
  ) throws(StorageError) -> Bool {
    let (directory, name) = try prepareDirectory(key)
    return try publish(key, body, directory) { (temporary, file) throws(SystemError) in
      do throws(SystemError) {
        try fileSystem.link(at: directory.raw, temporary, to: directory.raw, name)
        return true
      } catch {
        // On NFS, the first answer may have been lost: then the file has two names.
        if try fileSystem.stat(file.raw).links == 2 { return true }
        guard error.code == .exists else { throw error }
        return false
      }
    }
  }

  public func write(_ key: ObjectKey, _ body: ObjectBody) throws(StorageError) {
    let (directory, name) = try prepareDirectory(key)
    try publish(key, body, directory) { (temporary, _) throws(SystemError) in
      try fileSystem.rename(
        at: directory.raw, temporary, to: directory.raw, name, exclusively: false)
    }
  }

  /// Writes a complete, synced file under a temporary name, which `body` turns into the object's name.
  private func publish<R>(
    _ key: ObjectKey, _ content: ObjectBody, _ directory: Descriptor,
    _ body: (_ temporary: [UInt8], _ file: Descriptor) throws(SystemError) -> R
  ) throws(StorageError) -> R {
    let temporary = Array(".\(randomName())".utf8) + DirectoryObjectStorage.temporarySuffix
    let file = try explain(key) { () throws(SystemError) in
      try fileSystem.openFile(
        at: directory.raw, temporary, [.readWrite, .create, .exclusive, .noFollow])
    }
    defer { try? fileSystem.remove(at: directory.raw, temporary, isDirectory: false) }
    try content.forEachPart(fileSystem) { (part) throws(StorageError) in
      try explain(key) { () throws(SystemError) in try fileSystem.write(file.raw, part) }
    }
    return try explain(key) { () throws(SystemError) in
      try fileSystem.sync(file.raw)
      let result = try body(temporary, file)
      try fileSystem.sync(directory.raw)
      return result
    }
  }

  /// Opens the directory of an object, and creates the directories above it.
  private func prepareDirectory(
    _ key: ObjectKey
  ) throws(StorageError) -> (directory: Descriptor, name: [UInt8]) {
    var parts = key.text.split(separator: "/").map { Array($0.utf8) }
    let name = parts.removeLast()
    return try explain(key) { () throws(SystemError) in
      var directory = root
      for part in parts {
        do throws(SystemError) {
          directory = try fileSystem.openDirectory(at: directory.raw, part)
        } catch {
          guard error.code == .notFound else { throw error }
          try fileSystem.makeDirectoryIfAbsent(at: directory.raw, part, .private)
          try fileSystem.sync(directory.raw)
          directory = try fileSystem.openDirectory(at: directory.raw, part)
        }
      }
      return (directory, name)
    }
  }

  public func delete(_ key: ObjectKey) throws(StorageError) {
    try explain(key) { () throws(SystemError) in
      do throws(SystemError) {
        try fileSystem.remove(at: root.raw, path(key), isDirectory: false)
      } catch {
        guard error.isAbsent else { throw error }
      }
    }
  }

  // MARK: Listing

  public func list(_ prefix: String, _ body: ([ListedObject]) throws -> Bool) throws {
    let top = prefix.split(separator: "/", omittingEmptySubsequences: false).dropLast()
    var page: [ListedObject] = []
    var isEnded = false
    func visit(_ directory: Descriptor, _ path: String) throws {
      // The order of whole keys: "a/b" follows "a-b".
      var entries: [(sortKey: String, name: [UInt8], stat: FileStat)] = []
      for name in try fileSystem.names(of: directory.raw) {
        if name.starts(with: [0x2e]), name.hasSuffix(DirectoryObjectStorage.temporarySuffix) {
          continue
        }
        guard let stat = try fileSystem.statIfPresent(at: directory.raw, name),
          stat.kind == .file || stat.kind == .directory
        else { continue }
        let text = String(decoding: name, as: UTF8.self)
        entries.append((path + text + (stat.kind == .directory ? "/" : ""), name, stat))
      }
      entries.sort { $0.sortKey.utf8.lexicographicallyPrecedes($1.sortKey.utf8) }
      for entry in entries where !isEnded {
        let key = entry.sortKey
        if entry.stat.kind == .directory {
          guard key.utf8.starts(with: prefix.utf8) || prefix.utf8.starts(with: key.utf8) else {
            continue
          }
          guard let child = try? fileSystem.openDirectory(at: directory.raw, entry.name) else {
            continue
          }
          try visit(child, key)
        } else if key.utf8.starts(with: prefix.utf8), let key = ObjectKey(key) {
          page.append(ListedObject(key: key, sizeBytes: entry.stat.size))
          if page.count == DirectoryObjectStorage.pageSize {
            isEnded = try !body(page)
            page = []
          }
        }
      }
    }
    do {
      var directory = root
      for part in top {
        directory = try fileSystem.openDirectory(at: directory.raw, Array(part.utf8))
      }
      try visit(directory, top.map { $0 + "/" }.joined())
    } catch let error as SystemError {
      guard error.isAbsent else { throw StorageError(.system(error), name, error.message) }
    }
    if !isEnded, !page.isEmpty { _ = try body(page) }
  }

  // MARK: Errors

  private func path(_ key: ObjectKey) -> [UInt8] { Array(key.text.utf8) }
  private func subject(_ key: ObjectKey) -> String { "object \(key) of \(name)" }

  private func damaged(_ key: ObjectKey, _ reason: String) -> StorageError {
    StorageError(.damaged, subject(key), reason)
  }

  private func failure(_ error: SystemError, _ key: ObjectKey) -> StorageError {
    StorageError(.system(error), subject(key), error.message)
  }

  private func explain<R>(
    _ key: ObjectKey, _ body: () throws(SystemError) -> R
  ) throws(StorageError) -> R {
    do throws(SystemError) { return try body() } catch { throw failure(error, key) }
  }
}

extension [UInt8] {
  fileprivate func hasSuffix(_ suffix: [UInt8]) -> Bool {
    count >= suffix.count && self[(count - suffix.count)...] == suffix[...]
  }
}
