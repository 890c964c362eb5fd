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
  private var latest: (path: RelativePath, directory: ScannedDirectory)?

  private struct Inode: Hashable {
    let device: UInt64
    let number: UInt64
  }

  init(_ top: ScannedEntry) { self.top = top }

  /// The attributes of the component itself.
  public var stat: FileStat { top.stat }

  /// Returns an entry's attributes at the time of the capture.
  public func stat(at path: RelativePath) -> FileStat? {
    path.isTop ? top.stat : directory(path.parent)?.stat(of: path.lastComponent)
  }

  private func directory(_ path: RelativePath) -> ScannedDirectory? {
    guard case .directory(var directory) = top.content else { return nil }
    if let latest, latest.path == path { return latest.directory }
    for name in path.components {
      guard let child = directory.directory(name) else { return nil }
      directory = child
    }
    latest = (path, directory)
    return directory
  }

  /// The component as a directory; nil if it is not one, or if nothing in it was captured.
  public var directory: CapturedDirectory? {
    guard case .directory(let directory) = top.content else { return nil }
    return CapturedDirectory(directory)
  }

  /// Returns the number of names that an inode has in the component.
  public func nameCount(of stat: FileStat) -> Int {
    let counts = self.counts ?? countNames()
    self.counts = counts
    return counts[Inode(device: stat.device, number: stat.inode)] ?? 1
  }

  private func countNames() -> [Inode: Int] {
    var counts: [Inode: Int] = [:]
    forEachEntry { stat, _ in
      guard stat.links > 1, stat.kind != .directory else { return }
      counts[Inode(device: stat.device, number: stat.inode), default: 0] += 1
    }
    return counts
  }

  /// Whether the component contains entries other than directories. An unreadable directory may
  /// contain files.
  public var hasFiles: Bool {
    guard case .directory(let directory) = top.content else { return true }
    var todo = [directory]
    while let directory = todo.popLast() {
      if directory.isUnreadable { return true }
      for entry in directory.entries {
        switch entry.content {
        case .directory(let child): todo.append(child)
        case .excludedDirectory: break
        default: return true
        }
      }
    }
    return false
  }

  /// Visits the component itself and every entry below it.
  /// - Parameter body: receives the relative path as a function, because most visits do not need it.
  public func forEachEntry(_ body: (FileStat, () -> RelativePath) -> Void) {
    body(top.stat) { .top }
    guard case .directory(let directory) = top.content else { return }
    var todo = [directory]
    while let directory = todo.popLast() {
      directory.forEachEntry { entry in
        let stat = entry.pointee.stat
        body(stat) { directory.address(of: entry.pointee.name).path }
        if case .directory(let child) = entry.pointee.content { todo.append(child) }
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

  /// Returns an entry's attributes at the time of the capture.
  public func stat(of name: [UInt8]) -> FileStat? { live.stat(of: name) }

  /// Returns a subdirectory, or nil if the entry is not a directory or was not captured.
  public func directory(_ name: [UInt8]) -> CapturedDirectory? {
    live.directory(name).map(CapturedDirectory.init)
  }
}

extension ScannedDirectory {
  fileprivate func stat(of name: [UInt8]) -> FileStat? {
    index(of: name).map { entries[$0].stat }
  }

  fileprivate func directory(_ name: [UInt8]) -> ScannedDirectory? {
    guard let i = index(of: name), case .directory(let child) = entries[i].content else {
      return nil
    }
    return child
  }

  /// Finds a name by binary search; entries are in byte order.
  private func index(of name: [UInt8]) -> Int? {
    let index = entries.partitioningIndex {
      $0.name.withUnsafeBytes { compareNames($0, name) } >= 0
    }
    guard index < entries.count, entries[index].name == name else { return nil }
    return index
  }
}
