// Files that are written before they enter the store. They are created in tmp/, locked while their writer
// lives, and renamed when complete. A file whose lock is free was left by a dead process and is removed.

import Platform

/// A file in `tmp/` that is deleted unless it is published.
final class TemporaryFile: Sendable {
  let file: Descriptor
  let name: [UInt8]
  private let layout: Layout

  init(_ layout: Layout) throws(SystemError) {
    self.layout = layout
    let fileSystem = layout.fileSystem
    while true {
      let name = Array(randomName().utf8)
      let file = try fileSystem.openFile(
        at: layout.temporary.raw, name, [.readWrite, .create, .exclusive, .noFollow])
      _ = try fileSystem.lock(file.raw, exclusive: true, wait: true)
      // Before the lock was taken, a sweep may have removed the file as one of a dead process.
      let inode = try fileSystem.stat(file.raw).inode
      if try fileSystem.statIfPresent(at: layout.temporary.raw, name)?.inode == inode {
        (self.name, self.file) = (name, file)
        return
      }
    }
  }

  /// Renames the file to its final name. The caller has synced the file, and syncs the directory afterwards.
  /// - Throws: `SystemError`; EEXIST if `exclusively` is set and the name exists.
  func publish(
    in directory: Descriptor, as target: [UInt8], exclusively: Bool
  ) throws(SystemError) {
    let fileSystem = layout.fileSystem
    do {
      try fileSystem.rename(
        at: layout.temporary.raw, name, to: directory.raw, target, exclusively: exclusively)
    } catch {
      // File systems without RENAME_NOREPLACE (NFS) support link, which is always exclusive.
      guard exclusively, error.code == .invalid || error.code == .notSupported else { throw error }
      try fileSystem.link(at: layout.temporary.raw, name, to: directory.raw, target)
      try fileSystem.remove(at: layout.temporary.raw, name, isDirectory: false)
    }
  }

  /// Writes a small file under its final name. File and name are durable when this returns.
  /// - Throws: `SystemError`; EEXIST if `exclusively` is set and the name exists. Nothing of the new file
  ///   remains then.
  static func write(
    _ bytes: [UInt8], in directory: Descriptor, as name: [UInt8], exclusively: Bool,
    _ layout: Layout
  ) throws(SystemError) {
    let temporary = try TemporaryFile(layout)
    do throws(SystemError) {
      try layout.fileSystem.write(temporary.file.raw, bytes)
      try layout.fileSystem.sync(temporary.file.raw)
      try temporary.publish(in: directory, as: name, exclusively: exclusively)
    } catch {
      temporary.discard()
      throw error
    }
    try layout.fileSystem.sync(directory.raw)
  }

  /// Deletes the file. Has no effect after `publish`.
  func discard() {
    try? layout.fileSystem.remove(at: layout.temporary.raw, name, isDirectory: false)
  }

  /// Deletes the files of writers that no longer live.
  /// - Returns: the size of the deleted files in bytes.
  static func sweep(_ layout: Layout) throws(SystemError) -> UInt64 {
    if layout.isReadOnly { return 0 }
    return try abandonedBytes(layout) { name throws(SystemError) in
      try layout.fileSystem.remove(at: layout.temporary.raw, name, isDirectory: false)
    }
  }

  /// Returns the size of the files of writers that no longer live, in bytes.
  /// - Parameter body: is called for each of them, with its lock held.
  static func abandonedBytes(
    _ layout: Layout, _ body: ([UInt8]) throws(SystemError) -> Void = { _ in }
  ) throws(SystemError) -> UInt64 {
    let fileSystem = layout.fileSystem
    var bytes: UInt64 = 0
    for name in try fileSystem.names(of: layout.temporary.raw) {
      do {
        // A fifo, directory or link in tmp/ is not an unfinished file, and stays.
        guard case .file(let file, let stat) = try layout.openRegular(layout.temporary, name) else {
          continue
        }
        if try fileSystem.lock(file.raw, exclusive: true, wait: false) {
          try body(name)
          bytes &+= stat.size
        }
      } catch {
        // Another user's file cannot be examined.
        if error.code != .notFound, error.code != .accessDenied { throw error }
      }
    }
    return bytes
  }
}

extension ObjectStore {
  /// Returns the bytes of files in tmp/ that no process writes. `gc` removes them.
  public func unfinishedBytes() throws(StoreError) -> UInt64 {
    try mapSystemError("the directory tmp/", try TemporaryFile.abandonedBytes(layout))
  }

  /// The directory of files without a name: the store's own, or TMPDIR if the store is read-only.
  public var scratchDirectory: [UInt8] {
    layout.isReadOnly ? temporaryDirectoryPath : layout.path + Array("/tmp".utf8)
  }

  /// Opens a temporary file without a name. It disappears when its descriptor is closed.
  /// - Throws: `StoreError` that names the directory.
  public func openNamelessFile() throws(StoreError) -> Descriptor {
    try mapSystemErrors("temporary file in \(printable(scratchDirectory))") {
      () throws(SystemError) in
      guard layout.isReadOnly else {
        let file = try TemporaryFile(layout)
        file.discard()
        return file.file
      }
      return try layout.fileSystem.openNamelessFile(in: scratchDirectory)
    }
  }
}
