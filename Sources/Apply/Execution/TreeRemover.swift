// Removing a whole tree that a change has left over, by descriptors: no link is followed, no mount
// point is entered (`MountBoundary`), the store is never removed, and a tree that is half gone already is
// removed all the same.
//
// 1. Few descriptors are open, however deep the tree is: the way back up is "..", which must lead to the
//    directory that it led from.
// 2. Protecting flags (`chattr +i`) give way. An inode that has other names gets them back.

import Platform

/// Removes trees.
public struct TreeRemover: Sendable {
  private let fileSystem: any FileSystem
  /// The store's folder, open.
  private let store: Descriptor?
  /// Directories of the current path that are kept open.
  private static let maxOpenDirectories = 64

  /// - Parameter store: the store's folder; a tree that holds it is not removed.
  public init(_ fileSystem: any FileSystem, store: Descriptor? = nil) {
    self.fileSystem = fileSystem
    self.store = store
  }

  /// A directory on the way from the top to where the removal is.
  private struct Level {
    let name: [UInt8]
    /// Below the top; empty for the top itself.
    let path: [UInt8]
    let device: UInt64
    let inode: UInt64
    /// Names that are still to be removed.
    var names: [[UInt8]]
    /// nil while directories below are worked on, and after that.
    var directory: Descriptor?
  }

  /// Removes an entry, with everything below it where it is a directory.
  /// - Throws: `SystemError`; EBUSY where something is mounted in the tree, where the store lies in it, or
  ///   where somebody moves its directories meanwhile.
  /// - Returns: how many entries were removed.
  @discardableResult
  public func remove(at directory: Int32, _ name: [UInt8]) throws(SystemError) -> Int {
    guard let stat = try fileSystem.statIfPresent(at: directory, name) else { return 0 }
    var removed = 0
    guard stat.kind == .directory else {
      return try removeEntry(at: directory, name, isDirectory: false)
    }
    if let store, try fileSystem.isInside(store, FileIdentity(stat)) {
      throw SystemError(code: .busy, "remove", name)
    }
    let top = try open(at: directory, name, stat, path: [])
    guard let topDirectory = top.directory else { return 0 }
    let boundary = MountBoundary(of: stat, topDirectory, on: fileSystem)
    var path = [top]
    while var level = path.popLast() {
      guard let open = level.directory else { throw SystemError(code: .busy, "remove", level.name) }
      if let child = level.names.popLast() {
        let below = try removeOrOpen(at: open.raw, child, in: level, boundary, &removed)
        path.append(level)
        if let below {
          path.append(below)
          let farther = path.count - 1 - TreeRemover.maxOpenDirectories
          if farther >= 0 { path[farther].directory = nil }
        }
        continue
      }
      // Empty now: back to the directory above, which removes it.
      if path.isEmpty {
        removed += try removeEntry(at: directory, level.name, isDirectory: true)
        continue
      }
      var above = path.removeLast()
      if above.directory == nil { above.directory = try reopen(above, from: open) }
      if let parent = above.directory {
        removed += try removeEntry(at: parent.raw, level.name, isDirectory: true)
      }
      path.append(above)
    }
    return removed
  }

  /// Removes an entry that is no directory, or opens one that is.
  private func removeOrOpen(
    at directory: Int32, _ name: [UInt8], in level: Level, _ boundary: MountBoundary,
    _ removed: inout Int
  ) throws(SystemError) -> Level? {
    // Most entries are no directories, so that is tried first.
    do throws(SystemError) {
      removed += try removeEntry(at: directory, name, isDirectory: false)
      return nil
    } catch {
      guard error.code == .isDirectory || error.code == .notPermitted else { throw error }
      let stat = try fileSystem.stat(at: directory, name, followLink: false)
      guard stat.kind == .directory else { throw error }
      guard !boundary.entries(of: level.path).isMounted(name, stat) else {
        throw SystemError(code: .busy, "remove", name)
      }
      return try open(
        at: directory, name, stat, path: level.path.isEmpty ? name : level.path + [0x2f] + name)
    }
  }

  /// Opens a directory that is to be emptied.
  private func open(
    at directory: Int32, _ name: [UInt8], _ stat: FileStat, path: [UInt8]
  ) throws(SystemError) -> Level {
    if !isRoot, stat.mode & 0o700 != 0o700 {
      try fileSystem.setMode(at: directory, name, 0o700)
    }
    let inside = try fileSystem.openDirectory(at: directory, name)
    let stat = try fileSystem.stat(inside.raw)
    if !stat.flags.isDisjoint(with: .protecting) {
      _ = try ProtectingFlags.clear(fileSystem, inside)
    }
    return Level(
      name: name, path: path, device: stat.device, inode: stat.inode,
      names: try fileSystem.names(of: inside.raw), directory: inside)
  }

  /// - Returns: how many entries were removed: none where it is gone already.
  private func removeEntry(
    at directory: Int32, _ name: [UInt8], isDirectory: Bool
  ) throws(SystemError) -> Int {
    do throws(SystemError) {
      try fileSystem.remove(at: directory, name, isDirectory: isDirectory)
      return 1
    } catch {
      if error.code == .notFound { return 0 }
      guard error.code == .notPermitted else { throw error }
      guard let now = try fileSystem.statIfPresent(at: directory, name) else { return 0 }
      guard !isDirectory, now.kind != .directory,
        let flags = try ProtectingFlags.clear(fileSystem, at: directory, name, now)
      else { throw error }
      defer { flags.restoreIfInUse() }
      try fileSystem.remove(at: directory, name, isDirectory: false)
      return 1
    }
  }

  private func reopen(_ level: Level, from below: Descriptor) throws(SystemError) -> Descriptor {
    let directory = try fileSystem.openDirectory(at: below.raw, [0x2e, 0x2e])
    let stat = try fileSystem.stat(directory.raw)
    guard stat.device == level.device, stat.inode == level.inode else {
      throw SystemError(code: .busy, "remove", level.name)
    }
    return directory
  }
}
