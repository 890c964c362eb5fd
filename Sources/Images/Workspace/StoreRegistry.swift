// The file `stores`, which lists the stores that `init` created, one path on each line.
//
// 1. Writers take turns: each holds a lock on the file `stores.lock` next to it, reads the list, and replaces
//    it by a longer one in one step. Readers need no lock.
// 2. A list that exists and cannot be read is not replaced.

import Platform

/// The list of the stores that `init` created.
struct StoreRegistry {
  private let fileSystem: any FileSystem
  private let directory: [UInt8]
  private static let name = Array("stores".utf8)
  private static let lockName = Array("stores.lock".utf8)

  init(_ fileSystem: any FileSystem, directory: String) {
    self.fileSystem = fileSystem
    self.directory = Array(directory.utf8)
  }

  /// The path of the list.
  var path: [UInt8] { directory + [0x2f] + StoreRegistry.name }

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
      try fileSystem.makeDirectory(at: base, directory, mode: 0o755)
    } catch { if error.code != .exists { throw error } }
    let descriptor = try fileSystem.openDirectory(at: base, directory, followLink: true)
    let lock = try FileLock.acquire(
      fileSystem, at: descriptor.raw, StoreRegistry.lockName, exclusive: true)
    defer { withExtendedLifetime(lock) {} }
    var list: [UInt8] = []
    do throws(SystemError) {
      list = try fileSystem.readSmallFile(at: descriptor.raw, StoreRegistry.name)
    } catch { if error.code != .notFound { throw error } }
    if list.split(separator: 0x0a).contains(store[...]) { return }
    if let last = list.last, last != 0x0a { list.append(0x0a) }
    let output = try OutputFile(
      fileSystem, in: descriptor, named: StoreRegistry.name, mode: 0o644)
    try output.publish(list + store + [0x0a])
  }
}
