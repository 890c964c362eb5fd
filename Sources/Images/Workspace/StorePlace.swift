// Making a store on purpose, and not making one by accident.
//
// 1. Only commands that write make a store, and say so; a command for all images makes none. None is made in the
//    empty mount point of a file system that fstab(5) names and that is not mounted, nor where `init` has made one
//    that is not there any more.
// 2. `init --group` lets a group read: the store's folder gets the group and the setgid bit, and whatever is made in
//    it from then on can be read by the group (`KernelFileSystem.sharing`). Nobody else gains the right to write.

import Glibc
import Platform
import Store

/// What `imgstore init` did.
public struct InitializedStore: Sendable {
  public let path: String
  public let isNew: Bool
}

extension Workspace {
  /// Makes the store, or lets a group read the one that is there.
  /// - Parameter group: a group of this machine, whose members may read; nil for nobody.
  /// - Throws: `ImageError` (`notFound`) for a group that is not there; `StoreError`.
  public func initializeStore(group: String?) throws -> InitializedStore {
    let gid = try group.map(groupNumber)
    let isNew = absentStore != nil
    try requireMountedPlace()
    if let gid, isNew { try makeSharedFolder(gid) }
    let store = try store(create: true, isAnnounced: false)
    if let gid, !isNew {
      try store.changingAccess { try share(store.layout.root, gid, depth: 0) }
    }
    registerStore()
    return InitializedStore(path: printable(storePath), isNew: isNew)
  }

  /// Refuses to make a store where one is missing rather than not there yet.
  func requireStoreMayBeMade() throws {
    try requireMountedPlace()
    guard registeredStores().contains(storePath) else { return }
    throw ImageError(
      .notFound, "store \(printable(storePath))",
      "is not there, and 'imgstore init' has made one: is its file system mounted?",
      advice: "Mount it; 'imgstore init --store \(printable(storePath))' makes a new one")
  }

  /// Refuses what relies on a store that is there already: a command for every image, whatever images there are.
  /// - Throws: `ImageError` (`notFound`). Nothing was made.
  public func requireStore() throws {
    guard let place = absentStore else { return }
    throw ImageError(
      .notFound, "store \(place)", "is not there",
      advice: "Mount its file system, or name another store; 'imgstore init \(place)' makes one")
  }

  // MARK: Mounts

  /// - Throws: `ImageError` where fstab(5) has a mount point that the store would lie in, nothing is mounted there,
  ///   and the directory is empty, as that of a file system that is away.
  private func requireMountedPlace() throws {
    guard let text = try? read("/etc/fstab"), let mounts = MountTable.current(fileSystem),
      let path = AbsolutePath(storePath)
    else { return }
    for point in FileSystemTable(parsing: text).points(above: path)
    where !mounts.isMountPoint(point.bytes) && isEmptyDirectory(point) {
      throw ImageError(
        .notFound, "store \(printable(storePath))",
        "is not there, and the file system of \(point.text) is not mounted (/etc/fstab)",
        advice: "Mount it: 'mount \(point.text)'")
    }
  }

  /// Also where nothing is.
  private func isEmptyDirectory(_ path: AbsolutePath) -> Bool {
    guard
      let directory = try? fileSystem.openDirectory(
        at: fileSystem.workingDirectory, path.bytes, followLink: true),
      let names = try? fileSystem.names(of: directory.raw)
    else { return true }
    return names.isEmpty
  }

  private func read(_ path: String) throws(SystemError) -> [UInt8] {
    try fileSystem.readSmallFile(at: fileSystem.workingDirectory, Array(path.utf8))
  }

  // MARK: Stores that were made on purpose

  /// The file that lists them: a path a line.
  private var registry: [UInt8]? {
    if let folder = options.environment["IMGSTORE_CONFIG_DIR"], !folder.isEmpty {
      return Array("\(absolute(folder))/stores".utf8)
    }
    if geteuid() == 0 { return Array("/etc/imgstore/stores".utf8) }
    let base =
      options.environment["XDG_CONFIG_HOME"] ?? options.environment["HOME"].map { $0 + "/.config" }
    return base.map { Array("\($0)/imgstore/stores".utf8) }
  }

  private func registeredStores() -> Set<[UInt8]> {
    guard let registry,
      let bytes = try? fileSystem.readSmallFile(at: fileSystem.workingDirectory, registry)
    else { return [] }
    return Set(bytes.split(separator: 0x0a).map(Array.init))
  }

  /// Adds the store to the list; a list that cannot be written is no reason to fail.
  private func registerStore() {
    guard let registry, !registeredStores().contains(storePath) else { return }
    let folder = Array(registry[..<(registry.lastIndex(of: 0x2f) ?? 0)])
    let here = fileSystem.workingDirectory
    do {
      do throws(SystemError) {
        try fileSystem.makeDirectory(at: here, folder, mode: 0o755)
      } catch { if error.code != .exists { throw error } }
      let old = (try? fileSystem.readSmallFile(at: here, registry)) ?? []
      let directory = try fileSystem.openDirectory(at: here, folder)
      let output = try OutputFile(
        fileSystem, in: directory, named: Array("stores".utf8), mode: 0o644)
      try output.publish(old + storePath + [0x0a])
    } catch {
      tell("the store is not remembered in \(printable(registry)): \(error)")
    }
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
      advice: "Make it with groupadd, or give its number")
  }

  private func makeSharedFolder(_ gid: UInt32) throws(SystemError) {
    let here = fileSystem.workingDirectory
    do {
      try fileSystem.makeDirectory(at: here, storePath, mode: 0o700)
    } catch { if error.code != .exists { throw error } }
    let folder = try fileSystem.openDirectory(at: here, storePath, followLink: true)
    try fileSystem.setOwner(folder.raw, uid: geteuid(), gid: gid)
    try fileSystem.setMode(folder.raw, 0o2750)
  }

  /// Gives a folder of the store, and all in it, to a group to read.
  private func share(_ folder: Descriptor, _ gid: UInt32, depth: Int) throws {
    guard depth < 8 else { return }
    try fileSystem.setOwner(folder.raw, uid: geteuid(), gid: gid)
    try fileSystem.setMode(folder.raw, 0o2750)
    for name in try fileSystem.names(of: folder.raw) {
      switch try fileSystem.statIfPresent(at: folder.raw, name)?.kind {
      case .directory:
        try share(try fileSystem.openDirectory(at: folder.raw, name), gid, depth: depth + 1)
      case .file:
        let file = try fileSystem.openFile(at: folder.raw, name, [.read, .noFollow, .nonBlocking])
        let mode = try fileSystem.stat(file.raw).mode & 0o7777
        try fileSystem.setOwner(file.raw, uid: geteuid(), gid: gid)
        try fileSystem.setMode(file.raw, mode | 0o040)
      default: break
      }
    }
  }
}
