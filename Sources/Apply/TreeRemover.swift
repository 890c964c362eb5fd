// Removing a whole tree that a change has left over, by descriptors: no link is followed, no mount
// point is entered (`MountBoundary`), the store is never removed, and a tree that is half gone already
// is removed all the same.

import Platform

/// Removes trees.
public struct TreeRemover: Sendable {
  private let fileSystem: any FileSystem
  /// The store's folder, open.
  private let store: Descriptor?

  /// - Parameter store: the store's folder; a tree that holds it is not removed.
  public init(_ fileSystem: any FileSystem, store: Descriptor? = nil) {
    self.fileSystem = fileSystem
    self.store = store
  }

  /// Removes an entry, with everything below it where it is a directory.
  /// - Throws: `SystemError`; EBUSY where something is mounted in the tree, or the store lies in it.
  /// - Returns: how many entries were removed.
  @discardableResult
  public func remove(at directory: Int32, _ name: [UInt8]) throws(SystemError) -> Int {
    guard let stat = try fileSystem.statIfPresent(at: directory, name) else { return 0 }
    guard stat.kind == .directory else {
      try fileSystem.remove(at: directory, name, isDirectory: false)
      return 1
    }
    if let store, try fileSystem.isInside(store, FileIdentity(stat)) {
      throw SystemError(code: .busy, "remove", name)
    }
    try makeAccessible(at: directory, name, stat)
    let inside = try fileSystem.openDirectory(at: directory, name)
    let boundary = MountBoundary(of: stat, inside, on: fileSystem)
    let removed = try removeEntries(of: inside, path: [], boundary)
    try fileSystem.remove(at: directory, name, isDirectory: true)
    return removed + 1
  }

  /// Removes what is in a directory.
  /// - Parameter path: of the directory, below the tree's root.
  private func removeEntries(
    of directory: Descriptor, path: [UInt8], _ boundary: MountBoundary
  ) throws(SystemError) -> Int {
    let mounts = boundary.entries(of: path)
    var removed = 0
    for name in try fileSystem.names(of: directory.raw) {
      // Most entries are no directories, so that is tried first.
      do throws(SystemError) {
        try fileSystem.remove(at: directory.raw, name, isDirectory: false)
        removed += 1
        continue
      } catch {
        if error.code == .notFound { continue }
        guard error.code == .isDirectory || error.code == .notPermitted else { throw error }
        let stat = try fileSystem.stat(at: directory.raw, name, followLink: false)
        guard stat.kind == .directory else { throw error }
        guard !mounts.isMounted(name, stat) else {
          throw SystemError(code: .busy, "remove", name)
        }
        try makeAccessible(at: directory.raw, name, stat)
      }
      let inside = try fileSystem.openDirectory(at: directory.raw, name)
      removed += try removeEntries(
        of: inside, path: path.isEmpty ? name : path + [0x2f] + name, boundary)
      try fileSystem.remove(at: directory.raw, name, isDirectory: true)
      removed += 1
    }
    return removed
  }

  private func makeAccessible(
    at directory: Int32, _ name: [UInt8], _ stat: FileStat
  ) throws(SystemError) {
    if !isRoot, stat.mode & 0o700 != 0o700 {
      try fileSystem.setMode(at: directory, name, 0o700)
    }
  }
}
