// Files on their way into the store: made in tmp/, locked while their writer lives, renamed into
// place when complete. What a dead writer left is recognised by its free lock and removed.

import Codec
import Platform

/// A file in `tmp/` that disappears unless it is published.
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
      // Before the lock was ours a sweep may have taken the file for a dead writer's.
      let inode = try fileSystem.stat(file.raw).inode
      if try fileSystem.statIfPresent(at: layout.temporary.raw, name)?.inode == inode {
        (self.name, self.file) = (name, file)
        return
      }
    }
  }

  /// Gives the file its place; fails with EEXIST where `exclusively` is set and the name is taken.
  /// The caller has synced the file, and syncs the directory after.
  func publish(
    in directory: Descriptor, as target: [UInt8], exclusively: Bool
  ) throws(SystemError) {
    let fileSystem = layout.fileSystem
    do {
      try fileSystem.rename(
        at: layout.temporary.raw, name, to: directory.raw, target, exclusively: exclusively)
    } catch {
      // File systems without RENAME_NOREPLACE (NFS) have link, which is exclusive by nature.
      guard exclusively, error.code == .invalid || error.code == .notSupported else { throw error }
      try fileSystem.link(at: layout.temporary.raw, name, to: directory.raw, target)
      try fileSystem.remove(at: layout.temporary.raw, name, isDirectory: false)
    }
  }

  /// Writes a small file and gives it its place. File and name are durable when this returns.
  /// - Throws: `SystemError`; EEXIST where `exclusively` is set and the name is taken. Nothing is left
  ///   of the new file then.
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

  /// Removes the file; harmless after `publish`.
  func discard() {
    try? layout.fileSystem.remove(at: layout.temporary.raw, name, isDirectory: false)
  }

  /// Removes what writers that no longer live have left.
  /// - Returns: the bytes that it had.
  static func sweep(_ layout: Layout) throws(SystemError) -> UInt64 {
    if layout.isReadOnly { return 0 }
    let fileSystem = layout.fileSystem
    var freedBytes: UInt64 = 0
    for name in try fileSystem.names(of: layout.temporary.raw) {
      do {
        // A fifo, a folder or a link there is nobody's unfinished file.
        guard case .file(let file, let stat) = try layout.openRegular(layout.temporary, name) else {
          continue
        }
        if try fileSystem.lock(file.raw, exclusive: true, wait: false) {
          try fileSystem.remove(at: layout.temporary.raw, name, isDirectory: false)
          freedBytes &+= stat.size
        }
      } catch {
        if error.code != .notFound { throw error }
      }
    }
    return freedBytes
  }
}

extension ObjectStore {
  /// The directory for bytes that must wait: the store's own, or TMPDIR where the store cannot be written.
  public var scratchDirectory: [UInt8] {
    layout.isReadOnly ? temporaryDirectoryPath : layout.path + Array("/tmp".utf8)
  }

  /// Opens a file without a name, for bytes that must wait; it is gone when its descriptor is.
  /// - Throws: `StoreError` that names the directory.
  public func openNamelessFile() throws(StoreError) -> Descriptor {
    try explaining("temporary file in \(printable(scratchDirectory))") { () throws(SystemError) in
      guard layout.isReadOnly else {
        let file = try TemporaryFile(layout)
        file.discard()
        return file.file
      }
      return try layout.fileSystem.openNamelessFile(in: scratchDirectory)
    }
  }
}
