// What others wrote into a tree between its capture and its exchange. A swap takes the whole tree away: what
// came in meanwhile is in no snapshot, and would go with it.
//
// 1. The tree is compared after the exchange, under its temporary name: nothing new gets in by path then.
// 2. Every entry must be one that the capture saw, and unchanged. Names that went are no loss.
// 3. Inodes that the new tree links to have a new change time and number of names, and nothing else.

import Apply
import Ingest
import Platform

/// Compares a tree with what a capture saw of it.
struct SwappedTreeCheck: Sendable {
  private let fileSystem: any FileSystem
  private let captured: CapturedDirectory?

  /// - Parameter captured: the tree; nil where it was no directory.
  init(_ fileSystem: any FileSystem, _ captured: CapturedDirectory?) {
    self.fileSystem = fileSystem
    self.captured = captured
  }

  private struct Folder: Sendable {
    let place: ResolvedPath
    /// Below the tree's top.
    let path: [UInt8]
    let captured: CapturedDirectory?
  }

  /// Finds an entry that the capture did not see as it is.
  /// - Parameter name: what the tree is called now.
  /// - Returns: its path below the top, which is empty for the top itself; nil where there is none.
  func firstDifference(at directory: Descriptor, _ name: [UInt8]) throws -> [UInt8]? {
    let stat = try fileSystem.stat(at: directory.raw, name, followLink: false)
    guard stat.kind == .directory else { return [] }
    let top = Folder(
      place: ResolvedPath(directory: directory, name: name), path: [], captured: captured)
    let found = Monitor<[UInt8]?>(nil)
    try WorkStack().run([top], threads: diskThreadCount) { folder in
      if found.withLock({ $0 }) != nil { return [] }
      return try compare(folder) { path in found.withLock { $0 = $0 ?? path } }
    }
    return found.withLock { $0 }
  }

  /// Compares the entries of one folder.
  /// - Parameter differs: gets the path of the first that is not as it was seen.
  /// - Returns: the folders in it.
  private func compare(
    _ folder: Folder, _ differs: ([UInt8]) -> Void
  ) throws(SystemError) -> [Folder] {
    let open = try fileSystem.openDirectory(at: folder.place.directory.raw, folder.place.name)
    var below: [Folder] = []
    for name in try fileSystem.names(of: open.raw) {
      guard let now = try fileSystem.statIfPresent(at: open.raw, name) else { continue }
      let path = { folder.path.isEmpty ? name : folder.path + [0x2f] + name }
      guard let seen = folder.captured?.stat(of: name), now.isUnchanged(since: seen) else {
        differs(path())
        return []
      }
      guard now.kind == .directory else { continue }
      below.append(
        Folder(
          place: ResolvedPath(directory: open, name: name), path: path(),
          captured: folder.captured?.directory(name)))
    }
    return below
  }
}
