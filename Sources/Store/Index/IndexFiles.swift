// The index's files: index.sqlite, its stamp, its lock, and whatever somebody has put in their place.
//
// 1. `index.stamp` names the exact file (inode, size, times) that this program last left. Any other
//    file, or a stamp that is odd in any way, means "rebuild".
// 2. What cannot be replaced by a rename (a folder), or would make SQLite wait or act (a journal that
//    is not ours), is moved to quarantine/ first.

import Platform
import SQLite

extension Index {
  static let name = Array("index.sqlite".utf8)
  static let newName = Array("index.sqlite.new".utf8)
  private static let stampName = Array("index.stamp".utf8)
  private static let lockName = Array("index".utf8)
  /// What SQLite keeps next to a database in journal modes that this index does not use.
  private static let companions = ["-journal", "-wal", "-shm"].map { name + Array($0.utf8) }
  /// What an index under construction may leave: older programs let SQLite keep a journal of it.
  private static let unfinished =
    [newName]
    + ["-journal", "-wal", "-shm"].map {
      newName + Array($0.utf8)
    }
  /// The stamp is padded to this length and written in place: that needs no space.
  private static let stampBytes = 128
  private static let maxStampBytes = 4096

  var path: String { Index.path(in: layout) }

  static func path(in layout: Layout) -> String {
    String(decoding: layout.path + [0x2f] + Index.name, as: UTF8.self)
  }

  var newPath: String { String(decoding: layout.path + [0x2f] + Index.newName, as: UTF8.self) }

  /// Rule 6 of Index.swift.
  /// - Returns: nil in a store that cannot be written.
  func lock(exclusive: Bool) throws(StoreError) -> FileLock? {
    connection.withLock { $0?.endReading() }
    return try explaining("the index") { () throws(SystemError) in
      try layout.lock(Index.lockName, exclusive: exclusive)
    }
  }

  /// Whether the file is the very one that was last left.
  func isStamped() throws(StoreError) -> Bool {
    try explaining("the index") { () throws(SystemError) in
      let fileSystem = layout.fileSystem
      guard let stat = try fileSystem.statIfPresent(at: layout.root.raw, Index.name),
        stat.kind == .file,
        case .content(let text) = try layout.read(
          layout.root, Index.stampName, limitBytes: Index.maxStampBytes),
        text == Index.stampText(stat)
      else { return false }
      for companion in Index.companions.prefix(2)
      where try fileSystem.statIfPresent(at: layout.root.raw, companion) != nil {
        return false
      }
      return true
    }
  }

  /// Writes the stamp of the index as it is now. The exclusive lock is held.
  func stamp() throws(StoreError) {
    try explaining("the index") { () throws(SystemError) in
      let fileSystem = layout.fileSystem
      let database = try fileSystem.openFile(
        at: layout.root.raw, Index.name, [.read, .noFollow, .nonBlocking])
      try fileSystem.sync(database.raw)
      let text = Index.stampText(try fileSystem.stat(database.raw))
      let file = try fileSystem.openFile(
        at: layout.root.raw, Index.stampName, [.write, .create, .noFollow, .nonBlocking])
      try fileSystem.write(file.raw, text)
      if try fileSystem.stat(file.raw).size != UInt64(text.count) {
        try fileSystem.truncate(file.raw, to: UInt64(text.count))
      }
    }
  }

  /// Runs `body`, which changes who may read the store's files and none of their bytes: the index stays valid.
  func keepingStamp(_ body: () throws -> Void) throws {
    let exclusive = try lock(exclusive: true)
    defer { withExtendedLifetime(exclusive) {} }
    let wasStamped = try isStamped()
    try body()
    if wasStamped { try stamp() }
  }

  private static func stampText(_ stat: FileStat) -> [UInt8] {
    let text =
      "\(stat.inode) \(stat.size) \(stat.modified.seconds).\(stat.modified.nanoseconds) "
      + "\(stat.changed.seconds).\(stat.changed.nanoseconds)"
    let bytes = Array(text.utf8)
    return bytes + Array(repeating: 0x20, count: max(0, stampBytes - 1 - bytes.count)) + [0x0a]
  }

  /// Makes the empty file that a new index grows in: SQLite would make it readable for all. The
  /// exclusive lock is held.
  func makeNewFile() throws(StoreError) {
    try explaining("the index") { () throws(SystemError) in
      _ = try layout.fileSystem.openFile(
        at: layout.root.raw, Index.newName, [.write, .create, .exclusive, .noFollow])
    }
  }

  /// Removes what a power cut left of an index under construction. The exclusive lock is held.
  func removeUnfinished() throws(StoreError) {
    try explaining("the index") { () throws(SystemError) in
      for name in Index.unfinished where try kind(of: name) == .file {
        try layout.fileSystem.remove(at: layout.root.raw, name, isDirectory: false)
      }
    }
  }

  /// Removes the stamp and an unfinished index, and whatever stands in the way of a new one.
  /// - Returns: whether there was an index.
  func clearForRebuild() throws(StoreError) -> Bool {
    try explaining("the index") { () throws(SystemError) in
      let fileSystem = layout.fileSystem
      var wasThere = false
      for name in [Index.stampName, Index.name] + Index.unfinished + Index.companions {
        guard let kind = try kind(of: name) else { continue }
        if name == Index.name { wasThere = true }
        if kind != .file {
          try layout.quarantine(layout.root, name, as: printable(name))
        } else if name != Index.name {
          try fileSystem.remove(at: layout.root.raw, name, isDirectory: false)
        }
      }
      return wasThere
    }
  }

  private func kind(of name: [UInt8]) throws(SystemError) -> FileKind? {
    try layout.fileSystem.statIfPresent(at: layout.root.raw, name)?.kind
  }
}
