// Removes a whole tree that a change left over, through descriptors. No link is followed, no mount point is
// entered (`MountBoundary`), and the store is never removed. A partly removed tree is removed completely.
//
// 1. Few descriptors are open, however deep the tree is. The remover returns to a parent through
//    "..", which must lead to the same directory.
// 2. Protecting flags (`chattr +i`) are cleared. An inode with other names gets them back.
// 3. Files that have other names are recorded, if the caller asks for it.

import Platform

/// Removes trees.
public struct TreeRemover: Sendable {
  private let fileSystem: any FileSystem
  /// The store's directory, open.
  private let store: Descriptor?
  /// Receives the files that lose a name.
  private let unlinked: Monitor<UnlinkedFiles>?
  /// The maximum number of open directories on the current path.
  private static let maxOpenDirectories = 64

  /// Creates a remover.
  /// - Parameters:
  ///   - store: the store's directory; a tree that contains it is not removed.
  ///   - unlinked: receives the files that lose a name.
  public init(
    _ fileSystem: any FileSystem, store: Descriptor? = nil, unlinked: Monitor<UnlinkedFiles>? = nil
  ) {
    self.fileSystem = fileSystem
    self.store = store
    self.unlinked = unlinked
  }

  /// A directory between the top and the current position.
  private struct Level {
    let name: [UInt8]
    /// The path relative to the top.
    let path: RelativePath
    let device: UInt64
    let inode: UInt64
    /// The names that remain to be removed.
    var names: [[UInt8]]
    /// Nil if closed while deeper directories are removed.
    var directory: Descriptor?
  }

  /// Removes an entry and, if it is a directory, everything below it.
  /// - Returns: the number of removed entries.
  /// - Throws: `SystemError`; EBUSY if something is mounted in the tree, if the store is inside it,
  ///   or if another process moves its directories.
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
    let top = try open(at: directory, name, stat, path: .top)
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
      // The directory is empty: return to its parent, which removes it.
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

  /// Removes an entry that is not a directory, or opens one that is.
  private func removeOrOpen(
    at directory: Int32, _ name: [UInt8], in level: Level, _ boundary: MountBoundary,
    _ removed: inout Int
  ) throws(SystemError) -> Level? {
    // Most entries are not directories, so try to unlink first.
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
        at: directory, name, stat, path: level.path.appending(name))
    }
  }

  /// Opens a directory to empty it.
  private func open(
    at directory: Int32, _ name: [UInt8], _ stat: FileStat, path: RelativePath
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

  /// Removes one entry.
  /// - Returns: the number of removed entries: 0 if it no longer exists.
  private func removeEntry(
    at directory: Int32, _ name: [UInt8], isDirectory: Bool
  ) throws(SystemError) -> Int {
    let observed = isDirectory ? nil : try observe(at: directory, name)
    do throws(SystemError) {
      try fileSystem.remove(at: directory, name, isDirectory: isDirectory)
      if let (file, before) = observed, let after = try? fileSystem.stat(file.raw) {
        unlinked?.withLock { $0.add(before, after) }
      }
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

  /// Returns a handle of a file that has other names, and its attributes, if the caller asked for such files.
  private func observe(
    at directory: Int32, _ name: [UInt8]
  ) throws(SystemError) -> (file: Descriptor, before: FileStat)? {
    guard unlinked != nil,
      let file = try? fileSystem.openFile(at: directory, name, [.handle, .noFollow]),
      let stat = try? fileSystem.stat(file.raw), stat.kind == .file, stat.links > 1
    else { return nil }
    return (file, stat)
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
