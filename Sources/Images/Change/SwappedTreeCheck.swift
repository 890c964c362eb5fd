// Detects writes by others to a tree between its capture and its exchange. A swap removes the old tree, and
// such writes are in no snapshot, so they would be lost.
//
// 1. The check runs after the exchange, on the old tree's temporary name: nobody can write to it by its path.
// 2. Every entry must be in the capture, and unchanged. Removed names are not a loss. The names of a
//    directory whose own times did not change for a minute are those of the capture.
// 3. Inodes that the new tree links to differ only in their change time and link count.

import Ingest
import Platform

/// Compares a tree with its capture.
struct SwappedTreeCheck: Sendable {
  private let fileSystem: any FileSystem
  private let captured: CapturedDirectory?
  /// The names of directories that changed later are listed again: two changes may have the same time.
  private let trustedUntil: Timestamp

  /// - Parameter captured: the captured tree; nil if it was not a directory.
  init(_ fileSystem: any FileSystem, _ captured: CapturedDirectory?) {
    self.fileSystem = fileSystem
    self.captured = captured
    trustedUntil = Timestamp(seconds: now().seconds - 60, nanoseconds: 0)
  }

  private struct PendingDirectory: Sendable {
    let location: ResolvedPath
    let path: RelativePath
    let captured: CapturedDirectory?
    /// The attributes at the time of the capture; nil for the top, and if the times have changed.
    let seen: FileStat?
  }

  /// Returns the path of an entry that differs from the capture; nil if there is none.
  /// - Parameter name: the tree's current name.
  func firstDifference(at directory: Descriptor, _ name: [UInt8]) throws -> RelativePath? {
    let stat = try fileSystem.stat(at: directory.raw, name, followLink: false)
    guard stat.kind == .directory else { return .top }
    let top = PendingDirectory(
      location: ResolvedPath(directory: directory, name: name), path: .top, captured: captured,
      seen: nil)
    let found = Monitor<RelativePath?>(nil)
    try WorkStack().run([top], threads: diskThreadCount) { pending in
      if found.withLock({ $0 }) != nil { return [] }
      return try compare(pending) { path in found.withLock { $0 = $0 ?? path } }
    }
    return found.withLock { $0 }
  }

  /// Returns the names of a directory. Those of an unchanged directory are the captured ones, if its last
  /// change is so old that another one must show in its times.
  private func names(
    in open: Descriptor, _ pending: PendingDirectory, _ captured: CapturedEntries?
  ) throws(SystemError) -> [[UInt8]] {
    if let seen = pending.seen, let captured, seen.changed < trustedUntil { return captured.names }
    return try fileSystem.names(of: open.raw)
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
    for name in try names(in: open, pending, captured) {
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
          captured: pending.captured?.directory(name),
          seen: now.changed == seen.changed && now.modified == seen.modified ? seen : nil))
    }
    return below
  }
}
