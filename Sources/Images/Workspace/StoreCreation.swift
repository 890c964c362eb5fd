// Creates stores on purpose, and prevents their creation by accident.
//
// 1. Only commands that write create a store, and they print that. A command for all images creates none.
// 2. No store is created in the empty mount point of a file system that is in fstab(5) and not mounted. The
//    same holds for a path where `init` has created a store that no longer exists (StoreRegistry.swift);
//    only `init --force` creates one there.
// 3. `init --group` lets a group read. The store's directory gets the group and the setgid bit, and the group
//    can read all that is created in it later (`KernelFileSystem.sharing`). No other user gains the right to
//    write.

import Glibc
import Platform

/// The result of `imgstore init`.
public struct InitializedStore: Sendable {
  /// The store's directory.
  public let path: String
  /// Whether the store was created. False if it existed.
  public let isNew: Bool
}

extension Workspace {
  /// Creates the store, or lets a group read an existing one.
  /// - Parameters:
  ///   - group: the name or number of a group of this machine, whose members may read; nil for none.
  ///   - force: whether a store may be created where an earlier one no longer exists.
  /// - Throws: `ImageError`: `notFound` for an unknown group, `storeNotFound` if the store's file system is
  ///   not mounted; `StoreError`.
  public func initializeStore(group: String?, force: Bool = false) throws -> InitializedStore {
    try StoreCreation(context).initializeStore(group: group, force: force)
  }
}

/// Creates stores, and refuses to where one is probably just not mounted.
struct StoreCreation: Collaborator {
  let context: Context

  func initializeStore(group: String?, force: Bool = false) throws -> InitializedStore {
    guard !context.storePath.contains(0x0a) else {
      throw ImageError(
        .usage, "store \(printable(context.storePath))", "has a newline in its path",
        hint: "Name another directory")
    }
    let gid = try group.map(groupNumber)
    let isNew = context.absentStore != nil
    try requireMountedFileSystem()
    if isNew, !force { try requireNotRegistered() }
    if let gid, isNew { try makeSharedDirectory(gid) }
    let store = try context.store(create: true, isAnnounced: false)
    if let gid, !isNew {
      try store.changingAccess { try share(store.layout.root, gid, depth: 0) }
    }
    registerStore()
    return InitializedStore(path: printable(context.storePath), isNew: isNew)
  }

  /// Refuses to create a store where an existing one is probably just not mounted.
  func requireStoreMayBeMade() throws {
    try requireMountedFileSystem()
    try requireNotRegistered()
  }

  private func requireNotRegistered() throws {
    // Another process may have created it since: it records the store after that.
    guard storeRegistry?.stores.contains(context.storePath) == true, context.absentStore != nil
    else { return }
    throw ImageError(
      .storeNotFound, "store \(printable(context.storePath))",
      "does not exist, although 'imgstore init' created it: is its file system mounted?",
      hint:
        "Mount it; 'imgstore init --force --store \(shellQuoted(printable(context.storePath)))' creates a new one"
    )
  }

  /// Checks that the store exists. Commands for all images need this, because they create no store.
  /// - Throws: `ImageError` (`storeNotFound`); nothing was created.
  func requireStore() throws {
    guard let path = context.absentStore else { return }
    throw ImageError(
      .storeNotFound, "store \(path)", "does not exist",
      hint: "Mount its file system, or name another store; 'imgstore init \(path)' makes one")
  }

  // MARK: Mounts

  /// Checks that the file system of the store is mounted.
  /// - Throws: `ImageError` (`storeNotFound`) if the store would lie in a mount point of fstab(5) where
  ///   nothing is mounted and that is empty.
  private func requireMountedFileSystem() throws {
    guard let text = try? read("/etc/fstab"), let mounts = MountTable.current(context.fileSystem),
      let path = AbsolutePath(context.storePath)
    else { return }
    for point in FileSystemTable(parsing: text).points(above: path)
    where !mounts.isMountPoint(point.bytes) && isEmptyDirectory(point) {
      throw ImageError(
        .storeNotFound, "store \(printable(context.storePath))",
        "does not exist, and the file system of \(point.text) is not mounted (/etc/fstab)",
        hint: "Mount it: 'mount \(point.text)'")
    }
  }

  /// Returns whether a directory is empty or cannot be read.
  private func isEmptyDirectory(_ path: AbsolutePath) -> Bool {
    guard
      let directory = try? context.fileSystem.openDirectory(
        at: context.fileSystem.workingDirectory, path.bytes, followLink: true),
      let names = try? context.fileSystem.names(of: directory.raw)
    else { return true }
    return names.isEmpty
  }

  private func read(_ path: String) throws(SystemError) -> [UInt8] {
    try context.fileSystem.readSmallFile(at: context.fileSystem.workingDirectory, Array(path.utf8))
  }

  /// Records the store. A list that cannot be written causes only a warning.
  private func registerStore() {
    guard let registry = storeRegistry else { return }
    do { try registry.add(context.storePath) } catch {
      context.reporter.warn("cannot record the store in \(printable(registry.path)): \(error)")
    }
  }

  /// The list of the stores that `init` created; nil if the environment has no home directory.
  private var storeRegistry: StoreRegistry? {
    if let directory = context.options.environment["IMGSTORE_CONFIG_DIR"], !directory.isEmpty {
      return StoreRegistry(context.fileSystem, directory: absolute(directory))
    }
    if geteuid() == 0 { return StoreRegistry(context.fileSystem, directory: "/etc/imgstore") }
    let base =
      context.options.environment["XDG_CONFIG_HOME"]
      ?? context.options.environment["HOME"].map { $0 + "/.config" }
    return base.map { StoreRegistry(context.fileSystem, directory: "\($0)/imgstore") }
  }

  // MARK: Groups

  private func groupNumber(_ name: String) throws -> UInt32 {
    if let number = UInt32(name) { return number }
    let groups = (try? read("/etc/group")) ?? []
    for line in groups.split(separator: 0x0a) {
      let fields = line.split(separator: 0x3a, omittingEmptySubsequences: false)
      guard fields.count > 2, Array(fields[0]) == Array(name.utf8),
        let number = UInt32(String(decoding: fields[2], as: UTF8.self))
      else { continue }
      return number
    }
    throw ImageError(
      .notFound, "group '\(name)'", "is not in /etc/group",
      hint: "Make it with groupadd, or give its number")
  }

  private func makeSharedDirectory(_ gid: UInt32) throws(SystemError) {
    let base = context.fileSystem.workingDirectory
    do {
      try context.fileSystem.makeDirectory(at: base, context.storePath, mode: 0o700)
    } catch { if error.code != .exists { throw error } }
    let directory = try context.fileSystem.openDirectory(
      at: base, context.storePath, followLink: true)
    try context.fileSystem.setOwner(directory.raw, uid: geteuid(), gid: gid)
    try context.fileSystem.setMode(directory.raw, 0o2750)
  }

  /// Lets a group read a directory of the store and everything in it.
  private func share(_ directory: Descriptor, _ gid: UInt32, depth: Int) throws {
    guard depth < 8 else { return }
    try context.fileSystem.setOwner(directory.raw, uid: geteuid(), gid: gid)
    try context.fileSystem.setMode(directory.raw, 0o2750)
    for name in try context.fileSystem.names(of: directory.raw) {
      switch try context.fileSystem.statIfPresent(at: directory.raw, name)?.kind {
      case .directory:
        try share(
          try context.fileSystem.openDirectory(at: directory.raw, name), gid, depth: depth + 1)
      case .file:
        let file = try context.fileSystem.openFile(
          at: directory.raw, name, [.read, .noFollow, .nonBlocking])
        let mode = try context.fileSystem.stat(file.raw).mode & 0o7777
        try context.fileSystem.setOwner(file.raw, uid: geteuid(), gid: gid)
        try context.fileSystem.setMode(file.raw, mode | 0o040)
      default: break
      }
    }
  }
}
