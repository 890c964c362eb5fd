// The files of the index: index.sqlite, its stamp, its lock, and unexpected files with their names.
//
// 1. `index.stamp` names the exact file (inode, size, times) that this program wrote last. Any other file,
//    or an invalid stamp, causes a rebuild.
// 2. A file that a rename cannot replace (a directory), or that would make SQLite wait or act (a foreign
//    journal), moves to quarantine/ first.

import Platform
import SQLite

/// The files of an index. The caller of each change holds the exclusive lock.
struct IndexFiles {
  let layout: Layout

  static let name = Array("index.sqlite".utf8)
  static let newName = Array("index.sqlite.new".utf8)
  private static let stampName = Array("index.stamp".utf8)
  /// The files that SQLite keeps next to a database in journal modes that this index does not use.
  private static let companions = ["-journal", "-wal", "-shm"].map { name + Array($0.utf8) }
  /// The files that an unfinished rebuild may leave. Older versions let SQLite keep a journal of it.
  private static let unfinished =
    [newName]
    + ["-journal", "-wal", "-shm"].map {
      newName + Array($0.utf8)
    }
  /// The stamp is padded to this length and overwritten in place, which needs no free space.
  private static let stampBytes = 128
  private static let maxStampBytes = 4096

  var path: String { String(decoding: layout.path + [0x2f] + IndexFiles.name, as: UTF8.self) }
  var newPath: String { String(decoding: layout.path + [0x2f] + IndexFiles.newName, as: UTF8.self) }

  /// Returns true if the file is the one that was stamped last.
  func isStamped() throws(StoreError) -> Bool {
    try mapSystemErrors("the index") { () throws(SystemError) in
      let fileSystem = layout.fileSystem
      guard let stat = try fileSystem.statIfPresent(at: layout.root.raw, IndexFiles.name),
        stat.kind == .file,
        case .content(let text) = try layout.read(
          layout.root, IndexFiles.stampName, limitBytes: IndexFiles.maxStampBytes),
        text == IndexFiles.stampText(stat)
      else { return false }
      for companion in IndexFiles.companions.prefix(2)
      where try fileSystem.statIfPresent(at: layout.root.raw, companion) != nil {
        return false
      }
      return true
    }
  }

  /// Syncs the index and writes its stamp. The caller holds the exclusive lock.
  func stamp() throws(StoreError) {
    try mapSystemErrors("the index") { () throws(SystemError) in
      let fileSystem = layout.fileSystem
      let database = try fileSystem.openFile(
        at: layout.root.raw, IndexFiles.name, [.read, .noFollow, .nonBlocking])
      try fileSystem.sync(database.raw)
      let text = IndexFiles.stampText(try fileSystem.stat(database.raw))
      let file = try fileSystem.openFile(
        at: layout.root.raw, IndexFiles.stampName, [.write, .create, .noFollow, .nonBlocking])
      try fileSystem.write(file.raw, text)
      if try fileSystem.stat(file.raw).size != UInt64(text.count) {
        try fileSystem.truncate(file.raw, to: UInt64(text.count))
      }
    }
  }

  private static func stampText(_ stat: FileStat) -> [UInt8] {
    let text =
      "\(stat.inode) \(stat.size) \(stat.modified.seconds).\(stat.modified.nanoseconds) "
      + "\(stat.changed.seconds).\(stat.changed.nanoseconds)"
    let bytes = Array(text.utf8)
    return bytes + Array(repeating: 0x20, count: max(0, stampBytes - 1 - bytes.count)) + [0x0a]
  }

  /// Creates the empty file for a new index: SQLite would make it readable for all users. The caller holds
  /// the exclusive lock.
  func makeNewFile() throws(StoreError) {
    try mapSystemErrors("the index") { () throws(SystemError) in
      _ = try layout.fileSystem.openFile(
        at: layout.root.raw, IndexFiles.newName, [.write, .create, .exclusive, .noFollow])
    }
  }

  /// Deletes the remains of an interrupted rebuild. The caller holds the exclusive lock.
  func removeUnfinished() throws(StoreError) {
    try mapSystemErrors("the index") { () throws(SystemError) in
      for name in IndexFiles.unfinished where try kind(of: name) == .file {
        try layout.fileSystem.remove(at: layout.root.raw, name, isDirectory: false)
      }
    }
  }

  /// Deletes the stamp and an unfinished index, and moves obstacles to a new one away.
  /// - Returns: true if there was an index.
  func clearForRebuild() throws(StoreError) -> Bool {
    try mapSystemErrors("the index") { () throws(SystemError) in
      let fileSystem = layout.fileSystem
      var existed = false
      for name in [IndexFiles.stampName, IndexFiles.name] + IndexFiles.unfinished
        + IndexFiles.companions
      {
        guard let kind = try kind(of: name) else { continue }
        if name == IndexFiles.name { existed = true }
        if kind != .file {
          try layout.quarantine(layout.root, name, as: printable(name))
        } else if name != IndexFiles.name {
          try fileSystem.remove(at: layout.root.raw, name, isDirectory: false)
        }
      }
      return existed
    }
  }

  private func kind(of name: [UInt8]) throws(SystemError) -> FileKind? {
    try layout.fileSystem.statIfPresent(at: layout.root.raw, name)?.kind
  }
}

extension Index {
  private static let lockName = Array("index".utf8)

  var files: IndexFiles { IndexFiles(layout: layout) }

  /// Takes the lock of the index. Ends the read transaction first (invariant 6 of Index.swift).
  /// - Returns: nil in a read-only store whose lock file cannot be opened.
  func lock(exclusive: Bool) throws(StoreError) -> FileLock? {
    connection.withLock { $0?.endReading() }
    return try mapSystemError("the index", try layout.lock(Index.lockName, exclusive: exclusive))
  }

  /// Runs `body`, which changes who may read the store's files and none of their bytes: the index stays
  /// valid.
  func keepingStamp(_ body: () throws -> Void) throws {
    let exclusive = try lock(exclusive: true)
    defer { withExtendedLifetime(exclusive) {} }
    let wasStamped = try files.isStamped()
    try body()
    if wasStamped { try files.stamp() }
  }
}
