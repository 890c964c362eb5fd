// Removing a whole tree that a change has left over, by descriptors: no link is followed, no mount
// point is entered, and a tree that is half gone already is removed all the same.

import Platform

/// Removes trees.
public struct TreeRemover: Sendable {
  private let fileSystem: any FileSystem

  public init(_ fileSystem: any FileSystem) { self.fileSystem = fileSystem }

  /// Removes an entry, with everything below it where it is a directory.
  /// - Throws: `SystemError`; EBUSY where something is mounted in the tree.
  /// - Returns: how many entries were removed.
  @discardableResult
  public func remove(at directory: Int32, _ name: [UInt8]) throws(SystemError) -> Int {
    guard let stat = try fileSystem.statIfPresent(at: directory, name) else { return 0 }
    return try remove(at: directory, name, device: stat.device)
  }

  private func remove(
    at directory: Int32, _ name: [UInt8], device: UInt64
  ) throws(SystemError) -> Int {
    // Most entries are no directories, so that is tried first.
    do throws(SystemError) {
      try fileSystem.remove(at: directory, name, isDirectory: false)
      return 1
    } catch {
      if error.code == .notFound { return 0 }
      guard error.code == .isDirectory || error.code == .notPermitted else { throw error }
      let stat = try fileSystem.stat(at: directory, name, followLink: false)
      guard stat.kind == .directory else { throw error }
      guard stat.device == device, !stat.isMountRoot else {
        throw SystemError(code: .busy, "remove", name)
      }
      if !isRoot, stat.mode & 0o700 != 0o700 {
        try fileSystem.setMode(at: directory, name, 0o700)
      }
    }
    var removed = 1
    let inside = try fileSystem.openDirectory(at: directory, name)
    for child in try fileSystem.names(of: inside.raw) {
      removed += try remove(at: inside.raw, child, device: device)
    }
    try fileSystem.remove(at: directory, name, isDirectory: true)
    return removed
  }
}
