// One piece of a capture, as the kernel described its entries: inodes, times, numbers of names. Snapshots
// do not hold these; a change of the live image compares them before it replaces an entry.

import Platform
import Store

/// The live entries of one captured piece. Belongs to one thread at a time.
public final class CapturedComponent {
  private let top: ScannedEntry
  private var counts: [Inode: Int]?
  /// The directory that was asked about last, with its path.
  private var latest: (path: [UInt8], directory: ScannedDirectory)?

  private struct Inode: Hashable {
    let device: UInt64
    let number: UInt64
  }

  init(_ top: ScannedEntry) { self.top = top }

  /// The piece's own entry.
  public var stat: FileStat { top.stat }

  /// Returns what the capture saw of an entry.
  /// - Parameter path: relative to the piece; empty for the piece itself.
  public func stat(at path: ArraySlice<UInt8>) -> FileStat? {
    let names = path.split(separator: 0x2f).map { Array($0) }
    guard let name = names.last else { return top.stat }
    guard let directory = directory(names.dropLast()) else { return nil }
    return directory.stat(of: name)
  }

  private func directory(_ names: ArraySlice<[UInt8]>) -> ScannedDirectory? {
    guard case .directory(var directory) = top.content else { return nil }
    let path = Array(names.joined(separator: [0x2f]))
    if let latest, latest.path == path { return latest.directory }
    for name in names {
      guard let child = directory.directory(name) else { return nil }
      directory = child
    }
    latest = (path, directory)
    return directory
  }

  /// The piece as a directory; nil where it is none, or nothing below it was captured.
  public var directory: CapturedDirectory? {
    guard case .directory(let directory) = top.content else { return nil }
    return CapturedDirectory(directory)
  }

  /// Returns how many names an inode has in the piece.
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

  /// Whether there is anything but directories in the piece. An unreadable directory may hold files.
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

  /// Visits the piece itself and every entry below it.
  /// - Parameter body: gets the path relative to the piece by a function, as most visits need none.
  public func forEachEntry(_ body: (FileStat, () -> [UInt8]) -> Void) {
    body(top.stat) { [] }
    guard case .directory(let directory) = top.content else { return }
    var todo = [directory]
    while let directory = todo.popLast() {
      directory.forEachEntry { entry in
        let stat = entry.pointee.stat
        body(stat) { directory.path(of: entry.pointee.name) }
        if case .directory(let child) = entry.pointee.content { todo.append(child) }
      }
    }
  }
}

extension CaptureResult {
  /// Returns what was captured at a piece's path.
  public func piece(at path: [UInt8]) -> CapturedComponent? {
    live.entries.first { $0.name == path }.map(CapturedComponent.init)
  }
}

/// A directory of a captured piece. Several threads may look into it.
public struct CapturedDirectory: Sendable {
  private let live: ScannedDirectory

  init(_ live: ScannedDirectory) { self.live = live }

  /// Returns what the capture saw of an entry.
  public func stat(of name: [UInt8]) -> FileStat? { live.stat(of: name) }

  /// Returns an entry that is a directory whose entries were captured.
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

  /// Finds a name; entries are in byte order.
  private func index(of name: [UInt8]) -> Int? {
    var low = 0
    var high = entries.count
    while low < high {
      let middle = (low + high) / 2
      let order = entries[middle].name.withUnsafeBytes { compareNames($0, name) }
      if order == 0 { return middle }
      if order < 0 { low = middle + 1 } else { high = middle }
    }
    return nil
  }
}
