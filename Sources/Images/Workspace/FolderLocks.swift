// Images that share files or folders take turns: a change locks every path that it may change, and, shared,
// every folder above, so that a change of a folder and one of something in it exclude each other. A snapshot
// locks the same, shared: it is not taken in the middle of another image's change.
//
// 1. A path is known by its real path below the root, by its folder's inode, and by its place in the file
//    system: links and bind mounts do not make it another one.
// 2. Locks are taken in one order, after the image's own, so that nobody waits in a circle. They end with
//    the process.

import Apply
import Codec
import Ingest
import Platform
import Store
import XCAT

/// Held while this value lives.
final class FolderLocks: Sendable {
  private let lock: FileLock
  private let operation: ImageOperationLock?

  init(_ lock: FileLock, _ operation: ImageOperationLock?) {
    self.lock = lock
    self.operation = operation
  }
}

/// What a command does to the files that it locks.
enum FolderUse {
  case changes
  case reads
}

extension Workspace {
  /// Takes the locks of everything that a command may change or read, xCAT's own included. For reading
  /// xCAT's is only looked at: its commands would fail while somebody else has it.
  /// - Parameter locksTree: takes xCAT's lock too; false where the caller has it.
  /// - Throws: `ImageError` while xCAT works on the root tree, or while another image that shares a path
  ///   has an unfinished change.
  func lockFolders(
    _ image: ImageName, _ paths: [AbsolutePath], for use: FolderUse = .changes,
    locksTree: Bool = true
  ) throws -> FolderLocks {
    let store = try store()
    var keys = try lockKeys(paths)
    while true {
      let wanted = keys.map { byte, isChanged in
        FileLock.Key(byte: byte, isExclusive: isChanged && use == .changes)
      }
      let lock = try store.lockFolders(wanted, waiting: options.lockWait) {
        mention("waiting: another imgstore changes a folder that image \(image) uses")
      }
      // Who held a lock may have moved folders.
      let now = try lockKeys(paths)
      guard now != keys else {
        try requireNoneUnfinished(besides: image, paths)
        return FolderLocks(lock, locksTree ? try xcatLock(paths, for: use) : nil)
      }
      keys = now
    }
  }

  /// The same for everything that an image has now.
  func lockFolders(
    _ image: ImageName, _ definition: ImageDefinition, for use: FolderUse, locksTree: Bool = true
  ) throws -> FolderLocks {
    let latest = try store().refs.latestReadable(of: image)?.snapshot
    return try lockFolders(
      image, requests(definition, latest: latest).all.map(\.path), for: use, locksTree: locksTree)
  }

  /// The keys of the locks, and whether each is of something that may change.
  private func lockKeys(_ paths: [AbsolutePath]) throws -> [UInt64: Bool] {
    var keys: [UInt64: Bool] = [:]
    let mounts = MountTable.current(fileSystem)
    func lock(_ whole: [UInt8], _ key: ([UInt8]) -> UInt64) {
      keys[key(whole)] = true
      for end in whole.indices where whole[end] == 0x2f && end > 0 {
        let above = key(Array(whole[..<end]))
        keys[above] = keys[above] ?? false
      }
    }
    for path in Set(paths) {
      var folder = path.parent
      var place: ResolvedPath?
      // What is missing is made below the nearest folder that exists.
      while place == nil {
        do throws(SystemError) {
          let found = try resolver.resolve(
            folder == path.parent ? path : folder, followLast: folder != path.parent)
          place = found
        } catch {
          guard error.isAbsent || error.code == .loop, !folder.components.isEmpty else {
            throw error
          }
          folder = folder.parent
        }
      }
      guard let place else { continue }
      let real = realPath(place)
      let missing = path.components.dropFirst(folder.components.count + 1)
      let rest = missing.flatMap { (name: [UInt8]) -> [UInt8] in [0x2f] + name }
      lock(real + rest) { FolderKey.path($0) }
      if let (mount, inside) = mounts?.placeInFileSystem(of: real) {
        lock(inside + rest) { FolderKey.place(mount.device, $0) }
      }
      let parent = FileIdentity(try fileSystem.stat(place.directory.raw))
      keys[FolderKey.entry(parent, place.name)] = true
    }
    return keys
  }

  /// What a lock is known by: a hash of it, as a byte's place in the file of the locks.
  private enum FolderKey {
    static func path(_ path: [UInt8]) -> UInt64 { byte(Array("path ".utf8) + path) }

    static func place(_ device: [UInt8], _ path: [UInt8]) -> UInt64 {
      byte(Array("place ".utf8) + device + [0x20] + path)
    }

    static func entry(_ folder: FileIdentity, _ name: [UInt8]) -> UInt64 {
      byte(Array("entry \(folder.device) \(folder.inode) ".utf8) + name)
    }

    private static func byte(_ key: [UInt8]) -> UInt64 {
      // Offsets have 63 bits.
      SHA256.digest(of: key).bytes.prefix(8).reduce(0) { $0 << 8 | UInt64($1) } >> 2
    }
  }

  private func requireNoneUnfinished(besides image: ImageName, _ paths: [AbsolutePath]) throws {
    for other in try store().journals.images() where other != image {
      guard let journal = try? journal(of: other) else { continue }
      let ends = [journal.target, journal.before].compactMap { $0 }
        .compactMap { try? snapshot($0, of: other)?.snapshot }
      let theirs = Set(ends.flatMap { $0.requests.map(\.path) })
      guard let shared = paths.first(where: theirs.contains) else { continue }
      let change = try unfinished(other, journal)
      throw ImageError(
        .unfinished, "image \(image)",
        "shares \(shared.text) with the image \(other), of which \(change.words) has not ended",
        advice: change.advice)
    }
  }

  /// xCAT's lock of the root tree among the paths; for reading only looked at.
  private func xcatLock(
    _ paths: [AbsolutePath], for use: FolderUse
  ) throws -> ImageOperationLock? {
    // Whoever changes a boot file works in the folder of that image's root tree.
    let trees = Set(
      paths.compactMap { path in
        path.lastComponent == ImageFiles.rootTreeName
          ? path
          : ImageFiles.bootNames.contains(path.lastComponent)
            ? path.parent.appending(ImageFiles.rootTreeName) : nil
      })
    guard let tree = trees.sorted(by: { precedes($0.bytes, $1.bytes) }).first else { return nil }
    switch use {
    case .changes:
      return try ImageOperationLock.acquire(
        resolver, tree: tree, createsFolder: rootPath == [0x2f])
    case .reads:
      try ImageOperationLock.expectFree(resolver, tree: tree)
      return nil
    }
  }
}
