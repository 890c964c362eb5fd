// The file `stores`, which lists the stores that `init` created, one path on each line.
//
// 1. Writers take turns: each holds a lock on the file `stores.lock` next to it, reads the list, and replaces
//    it by a longer one in one step. Readers need no lock.
// 2. A list that exists and cannot be read is not replaced.

import Platform

/// The list of the stores that `init` created.
struct StoreRegistry {
  private let fileSystem: any FileSystem
  private let folder: [UInt8]
  private static let name = Array("stores".utf8)
  private static let lockName = Array("stores.lock".utf8)

  init(_ fileSystem: any FileSystem, folder: String) {
    self.fileSystem = fileSystem
    self.folder = Array(folder.utf8)
  }

  /// The path of the list.
  var path: [UInt8] { folder + [0x2f] + StoreRegistry.name }

  /// The paths in the list; none if it cannot be read.
  var stores: Set<[UInt8]> {
    let bytes = try? fileSystem.readSmallFile(at: fileSystem.workingDirectory, path)
    return Set((bytes ?? []).split(separator: 0x0a).map(Array.init))
  }

  /// Adds a store.
  func add(_ store: [UInt8]) throws(SystemError) {
    if stores.contains(store) { return }
    let base = fileSystem.workingDirectory
    do throws(SystemError) {
      try fileSystem.makeDirectory(at: base, folder, mode: 0o755)
    } catch { if error.code != .exists { throw error } }
    let directory = try fileSystem.openDirectory(at: base, folder, followLink: true)
    let lock = try FileLock.acquire(
      fileSystem, at: directory.raw, StoreRegistry.lockName, exclusive: true)
    defer { withExtendedLifetime(lock) {} }
    var list: [UInt8] = []
    do throws(SystemError) {
      list = try fileSystem.readSmallFile(at: directory.raw, StoreRegistry.name)
    } catch { if error.code != .notFound { throw error } }
    if list.split(separator: 0x0a).contains(store[...]) { return }
    if let last = list.last, last != 0x0a { list.append(0x0a) }
    let output = try OutputFile(
      fileSystem, in: directory, named: StoreRegistry.name, mode: 0o644)
    try output.publish(list + store + [0x0a])
  }
}
