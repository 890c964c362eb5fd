// Detects writes by others to a tree between its capture and its exchange. A swap removes the old tree, and
// such writes are in no snapshot, so they would be lost.
//
// 1. The check runs after the exchange, on the old tree's temporary name: nobody can write to it by its path.
// 2. Every entry must be in the capture, and unchanged. Removed names are not a loss.
// 3. Inodes that the new tree links to differ only in their change time and link count.

import Ingest
import Platform

/// Compares a tree with its capture.
struct SwappedTreeCheck: Sendable {
  private let fileSystem: any FileSystem
  private let captured: CapturedDirectory?

  /// - Parameter captured: the captured tree; nil if it was not a directory.
  init(_ fileSystem: any FileSystem, _ captured: CapturedDirectory?) {
    self.fileSystem = fileSystem
    self.captured = captured
  }

  private struct PendingDirectory: Sendable {
    let location: ResolvedPath
    let path: RelativePath
    let captured: CapturedDirectory?
  }

  /// Returns the path of an entry that differs from the capture; nil if there is none.
  /// - Parameter name: the tree's current name.
  func firstDifference(at directory: Descriptor, _ name: [UInt8]) throws -> RelativePath? {
    let stat = try fileSystem.stat(at: directory.raw, name, followLink: false)
    guard stat.kind == .directory else { return .top }
    let top = PendingDirectory(
      location: ResolvedPath(directory: directory, name: name), path: .top, captured: captured)
    let found = Monitor<RelativePath?>(nil)
    try WorkStack().run([top], threads: diskThreadCount) { pending in
      if found.withLock({ $0 }) != nil { return [] }
      return try compare(pending) { path in found.withLock { $0 = $0 ?? path } }
    }
    return found.withLock { $0 }
  }

  /// Compares the entries of one directory.
  /// - Parameter differs: receives the path of the first entry that differs from the capture.
  /// - Returns: the directories in it.
  private func compare(
    _ pending: PendingDirectory, _ differs: (RelativePath) -> Void
  ) throws -> [PendingDirectory] {
    let open = try fileSystem.openDirectory(
      at: pending.location.directory.raw, pending.location.name)
    let captured = try pending.captured?.entries()
    var below: [PendingDirectory] = []
    for name in try fileSystem.names(of: open.raw) {
      guard let now = try fileSystem.statIfPresent(at: open.raw, name) else { continue }
      let path = { pending.path.appending(name) }
      guard let seen = captured?.stat(of: name), now.isUnchanged(since: seen) else {
        differs(path())
        return []
      }
      guard now.kind == .directory else { continue }
      below.append(
        PendingDirectory(
          location: ResolvedPath(directory: open, name: name), path: path(),
          captured: pending.captured?.directory(name)))
    }
    return below
  }
}
