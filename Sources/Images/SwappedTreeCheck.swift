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
    let fileSystem = fileSystem
    let directories = OpenDirectories(
      base: try fileSystem.openDirectory(at: directory, name), limit: 64
    ) { parent, name throws(SystemError) in
      try fileSystem.openDirectory(at: parent.raw, name)
    }
    var waiting: [[UInt8]] = [[]]
    while let path = waiting.popLast() {
      let folder = try directories.open(path)
      for name in try fileSystem.names(of: folder.raw) {
        let below = path.isEmpty ? name : path + [0x2f] + name
        guard let now = try fileSystem.statIfPresent(at: folder.raw, name) else { continue }
        guard let seen = observed.stat(at: captured + [0x2f] + below), now.isUnchanged(since: seen)
        else { return captured + [0x2f] + below }
        if now.kind == .directory { waiting.append(below) }
      }
    }
    return nil
  }
}
