// Locks for images that share files or directories. A change takes an exclusive lock on every path that it
// may change, and a shared lock on every directory above. So a change of a directory and a change inside it
// exclude each other. A snapshot takes shared locks on all these paths, so it never captures the middle of
// another image's change.
//
// 1. A path has three keys: its real path below the root, its directory's inode with its name, and its path
//    inside the file system. So two names of one file (links, bind mounts) have a key in common.
// 2. Locks are taken in one order, after the image's own lock, so there is no deadlock. They end with the
//    process.

import Codec
import Platform
import Store
import XCAT

/// The locks of the paths of one command. They are held as long as this value exists.
final class DirectoryLocks: Sendable {
  private let lock: FileLock
  private let operation: ImageOperationLock?

  init(_ lock: FileLock, _ operation: ImageOperationLock?) {
    self.lock = lock
    self.operation = operation
  }
}

/// Whether a command changes or only reads the files that it locks.
enum LockUse {
  case changes
  case reads
}

/// Locks the directories of an image.
struct DirectoryLocker: Collaborator {
  let context: Context

  /// Locks everything that a command may change or read, including xCAT's own lock. A reader only checks that
  /// xCAT's lock is free: xCAT's commands fail while another process holds it.
  /// - Parameter locksTree: takes xCAT's lock too; false if the caller holds it.
  /// - Throws: `ImageError`: `imageLocked` while xCAT works on the root tree, `changeUnfinished` while
  ///   another image that shares a path has an unfinished change.
  func lockDirectories(
    _ image: ImageName, _ paths: [AbsolutePath], for use: LockUse = .changes,
    locksTree: Bool = true
  ) throws -> DirectoryLocks {
    let store = try context.store()
    var keys = try lockKeys(paths)
    while true {
      let locks = keys.map { byte, isChanged in
        FileLock.Key(byte: byte, isExclusive: isChanged && use == .changes)
      }
      let lock = try store.lockDirectories(locks, waiting: context.lockWait) {
        context.reporter.inform(
          "waiting: another imgstore changes a directory that image \(image) uses")
      }
      // A previous holder of a lock may have moved directories.
      let currentKeys = try lockKeys(paths)
      guard currentKeys != keys else {
        try requireNoneUnfinished(otherThan: image, paths)
        return DirectoryLocks(lock, locksTree ? try xcatLock(paths, for: use) : nil)
      }
      keys = currentKeys
    }
  }

  /// Locks everything that the live image consists of.
  func lockDirectories(
    _ image: ImageName, _ definition: ImageDefinition, for use: LockUse, locksTree: Bool = true
  ) throws -> DirectoryLocks {
    let latest = try context.store().refs.latestReadable(of: image)?.snapshot
    return try lockDirectories(
      image, ImageCapturer(context).requests(definition, latest: latest).all.map(\.path), for: use,
      locksTree: locksTree)
  }

  /// Returns the keys of the locks; the value says whether the entry of the key may change.
  private func lockKeys(_ paths: [AbsolutePath]) throws -> [UInt64: Bool] {
    var keys: [UInt64: Bool] = [:]
    let mounts = MountTable.current(context.fileSystem)
    func add(_ path: [UInt8], _ key: ([UInt8]) -> UInt64) {
      keys[key(path)] = true
      for slash in path.indices where path[slash] == 0x2f && slash > 0 {
        let above = key(Array(path[..<slash]))
        keys[above] = keys[above] ?? false
      }
    }
    for path in Set(paths) {
      var directory = path.parent
      var resolved: ResolvedPath?
      // Missing directories will be created below the nearest directory that exists.
      while resolved == nil {
        do throws(SystemError) {
          resolved = try context.resolver.resolve(
            directory == path.parent ? path : directory, followLast: directory != path.parent)
        } catch {
          guard error.isAbsent || error.code == .loop, !directory.isRoot else {
            throw error
          }
          directory = directory.parent
        }
      }
      guard let resolved else { continue }
      let real = try LivePaths(context).kernelPath(resolved)
      let missing = path.components.dropFirst(directory.components.count + 1)
      let rest = missing.flatMap { (name: [UInt8]) -> [UInt8] in [0x2f] + name }
      add(real + rest) { LockKey.path($0) }
      if let (mount, inside) = mounts?.locationInFileSystem(of: real) {
        add(inside + rest) { LockKey.pathOnDevice(mount.device, $0) }
      }
      let parent = FileIdentity(try context.fileSystem.stat(resolved.directory.raw))
      keys[LockKey.entry(parent, resolved.name)] = true
    }
    return keys
  }

  /// Keys of locks: hashes that serve as byte offsets in the lock file.
  private enum LockKey {
    static func path(_ path: [UInt8]) -> UInt64 { byte(Array("path ".utf8) + path) }

    static func pathOnDevice(_ device: [UInt8], _ path: [UInt8]) -> UInt64 {
      byte(Array("place ".utf8) + device + [0x20] + path)
    }

    static func entry(_ directory: FileIdentity, _ name: [UInt8]) -> UInt64 {
      byte(Array("entry \(directory.device) \(directory.inode) ".utf8) + name)
    }

    private static func byte(_ key: [UInt8]) -> UInt64 {
      // Offsets have 63 bits.
      SHA256.digest(of: key).bytes.prefix(8).reduce(0) { $0 << 8 | UInt64($1) } >> 2
    }
  }

  private func requireNoneUnfinished(otherThan image: ImageName, _ paths: [AbsolutePath]) throws {
    for other in try context.store().journals.images() where other != image {
      guard let journal = try? ChangeJournal(context).journal(of: other) else { continue }
      let snapshots = [journal.target, journal.before].compactMap { $0 }
        .compactMap { try? ChangeJournal(context).findSnapshot($0, of: other)?.snapshot }
      let otherPaths = Set(snapshots.flatMap { $0.requests.map(\.path) })
      guard let shared = paths.first(where: otherPaths.contains) else { continue }
      let change = try ChangeJournal(context).unfinished(other, journal)
      throw ImageError(
        .changeUnfinished, "image \(image)",
        "shares \(shared.text) with the image \(other), which has an unfinished change: "
          + change.description,
        hint: change.hint)
    }
  }

  /// Checks, without taking a lock, that no change of another image and no command of xCAT prevents a change
  /// of these paths. It does not wait: the caller holds the image's lock, and `pack` takes that lock last.
  func expectDirectoriesFree(_ image: ImageName, _ paths: [AbsolutePath]) throws {
    try requireNoneUnfinished(otherThan: image, paths)
    if let tree = xcatTree(among: paths) {
      try ImageOperationLock.expectFree(context.resolver, tree: tree)
    }
  }

  /// Returns the first root tree among the paths that xCAT's commands lock; nil if there is none.
  func xcatTree(among paths: [AbsolutePath]) -> AbsolutePath? {
    // A change of a boot file happens in the directory of that image's root tree.
    let trees = Set(
      paths.compactMap { path in
        path.lastComponent == ImageFiles.rootTreeName
          ? path
          : ImageFiles.bootNames.contains(path.lastComponent)
            ? path.parent.appending(ImageFiles.rootTreeName) : nil
      })
    return trees.sorted(by: { precedes($0.bytes, $1.bytes) }).first
  }

  /// Returns xCAT's lock of the root tree among the paths. For reading, only checks that it is free, and
  /// returns nil.
  private func xcatLock(
    _ paths: [AbsolutePath], for use: LockUse
  ) throws -> ImageOperationLock? {
    guard let tree = xcatTree(among: paths) else { return nil }
    switch use {
    case .changes:
      return try ImageOperationLock.acquire(
        context.resolver, tree: tree, createsDirectory: context.rootPath == [0x2f],
        waiting: ImageLocks(context).treeLockWait)
    case .reads:
      try ImageOperationLock.expectFree(
        context.resolver, tree: tree, waiting: ImageLocks(context).treeLockWait)
      return nil
    }
  }
}
