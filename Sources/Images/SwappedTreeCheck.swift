// What others wrote into a tree between its capture and its exchange. A swap takes the whole tree away: what
// came in meanwhile is in no snapshot, and would go with it.
//
// 1. The tree is compared after the exchange, under its temporary name: nothing new gets in by path then.
// 2. Every entry must be one that the capture saw, and unchanged. Names that went are no loss.
// 3. Inodes that the new tree links to have a new change time and number of names, and nothing else.

import Apply
import Platform

/// Compares a tree with what a capture saw of it.
struct SwappedTreeCheck {
  private let fileSystem: any FileSystem
  private let observed: any ObservedTree

  init(_ fileSystem: any FileSystem, _ observed: any ObservedTree) {
    self.fileSystem = fileSystem
    self.observed = observed
  }

  /// Finds an entry that the capture did not see as it is.
  /// - Parameters:
  ///   - name: what the tree is called now.
  ///   - captured: what it was called when it was captured.
  /// - Returns: its path, beginning with `captured`; nil where there is none.
  func firstDifference(
    at directory: Int32, _ name: [UInt8], captured: [UInt8]
  ) throws(SystemError) -> [UInt8]? {
    let stat = try fileSystem.stat(at: directory, name, followLink: false)
    guard stat.kind == .directory else { return captured }
    return try firstDifference(
      in: try fileSystem.openDirectory(at: directory, name), path: captured)
  }

  private func firstDifference(
    in directory: Descriptor, path: [UInt8]
  ) throws(SystemError) -> [UInt8]? {
    for name in try fileSystem.names(of: directory.raw) {
      let below = path + [0x2f] + name
      guard let now = try fileSystem.statIfPresent(at: directory.raw, name) else { continue }
      guard let seen = observed.stat(at: below), now.isUnchanged(since: seen) else { return below }
      guard now.kind == .directory else { continue }
      let child = try fileSystem.openDirectory(at: directory.raw, name)
      if let found = try firstDifference(in: child, path: below) { return found }
    }
    return nil
  }
}
