// The kernel's attributes of the entries of a captured component: inodes, times and link counts.
// Snapshots do not contain these. Before a change of the live image replaces an entry, it compares
// them with the current ones.

import Platform
import Store

/// The live entries of one captured component. Belongs to one thread at a time.
public final class CapturedComponent {
  private let top: ScannedEntry
  private var counts: [Inode: Int]?
  /// The directory of the latest request, with its path.
  private var latest: (path: RelativePath, entries: CapturedEntries)?

  private struct Inode: Hashable {
    let device: UInt64
    let number: UInt64
  }

  init(_ top: ScannedEntry) { self.top = top }

  /// The attributes of the component itself.
  public var stat: FileStat { top.stat }

  /// Returns an entry's attributes at the time of the capture.
  /// - Throws: `StoreError` if the stat cache, which holds those of unchanged directories, cannot be read
  ///   again.
  public func stat(at path: RelativePath) throws -> FileStat? {
    try path.isTop ? top.stat : entries(path.parent)?.stat(of: path.lastComponent)
  }

  private func entries(_ path: RelativePath) throws -> CapturedEntries? {
    guard case .directory(var directory) = top.content else { return nil }
    if let latest, latest.path == path { return latest.entries }
    for name in path.components {
      guard let child = directory.directory(name) else { return nil }
      directory = child
    }
    let entries = try CapturedEntries(directory)
    latest = (path, entries)
    return entries
  }

  /// The component as a directory; nil if it is not one, or if nothing in it was captured.
  public var directory: CapturedDirectory? {
    guard case .directory(let directory) = top.content else { return nil }
    return CapturedDirectory(directory)
  }

  /// Returns the number of names that an inode has in the component.
  /// - Throws: as `stat(at:)`.
  public func nameCount(of stat: FileStat) throws -> Int {
    let counts = try self.counts ?? countNames()
    self.counts = counts
    return counts[Inode(device: stat.device, number: stat.inode)] ?? 1
  }

  private func countNames() throws -> [Inode: Int] {
    var counts: [Inode: Int] = [:]
    guard case .directory(let directory) = top.content else { return counts }
    var todo = [directory]
    while let directory = todo.popLast() {
      todo += directory.summary.directories
      guard directory.summary.hasLinks else { continue }
      try directory.forEachStat { stat, _, _, _ in
        guard stat.links > 1, stat.kind != .directory else { return }
        counts[Inode(device: stat.device, number: stat.inode), default: 0] += 1
      }
    }
    return counts
  }

  /// Returns whether the component contains entries other than directories. An unreadable directory may
  /// contain files.
  /// - Throws: as `stat(at:)`.
  public func hasFiles() throws -> Bool {
    guard case .directory(let directory) = top.content else { return true }
    var todo = [directory]
    while let directory = todo.popLast() {
      if directory.isUnreadable { return true }
      var isFound = false
      try directory.forEachEntry { entry in
        switch entry.content {
        case .directory(let child): todo.append(child)
        case .excludedDirectory: break
        default: isFound = true
        }
      }
      if isFound { return true }
    }
    return false
  }

  /// Visits the component itself and every entry below it.
  /// - Parameter body: receives the relative path as a function, because most visits do not need it.
  /// - Throws: as `stat(at:)`.
  public func forEachEntry(_ body: (FileStat, () -> RelativePath) -> Void) throws {
    body(top.stat) { .top }
    guard case .directory(let directory) = top.content else { return }
    var todo = [directory]
    while let directory = todo.popLast() {
      try directory.forEachStat { stat, _, name, child in
        withoutActuallyEscaping(name) { name in
          body(stat) { directory.address(of: name()).path }
        }
        if let child { todo.append(child) }
      }
    }
  }
}

extension CaptureResult {
  /// Returns the captured component at a path.
  public func component(at path: [UInt8]) -> CapturedComponent? {
    live.entries.first { $0.name == path }.map(CapturedComponent.init)
  }
}

/// A directory of a captured component. Several threads may read it concurrently.
public struct CapturedDirectory: Sendable {
  private let live: ScannedDirectory

  init(_ live: ScannedDirectory) { self.live = live }

  /// Returns the entries at the time of the capture.
  /// - Throws: `StoreError` if the stat cache, which holds those of unchanged directories, cannot be read
  ///   again.
  public func entries() throws -> CapturedEntries { try CapturedEntries(live) }

  /// Returns a subdirectory, or nil if the entry is not a directory or was not captured.
  public func directory(_ name: [UInt8]) -> CapturedDirectory? {
    live.directory(name).map(CapturedDirectory.init)
  }
}

/// The entries of a captured directory.
public struct CapturedEntries {
  private let entries: [ScannedEntry]

  init(_ directory: ScannedDirectory) throws { entries = try directory.loadEntries() }

  /// The names of all entries, in byte order.
  public var names: [[UInt8]] { entries.map(\.name) }

  /// Returns an entry's attributes at the time of the capture, by binary search; entries are in byte order.
  public func stat(of name: [UInt8]) -> FileStat? {
    let index = entries.partitioningIndex {
      $0.name.withUnsafeBytes { compareNames($0, name) } >= 0
    }
    guard index < entries.count, entries[index].name == name else { return nil }
    return entries[index].stat
  }
}

extension ScannedDirectory {
  /// Returns the subdirectory of a name.
  fileprivate func directory(_ name: [UInt8]) -> ScannedDirectory? {
    let directories = summary.directories
    let index = directories.partitioningIndex {
      $0.name.withUnsafeBytes { compareNames($0, name) } >= 0
    }
    guard index < directories.count, directories[index].name == name else { return nil }
    return directories[index]
  }
}
