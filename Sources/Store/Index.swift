// The SQLite index: where each object is. It holds nothing that the packs do not say.
//
// 1. index.sqlite may be missing, old or garbage at any moment. `index.stamp` names the exact file
//    (inode, size, times) that we last left; any other file is made anew from the packs.
// 2. Every row follows from the packs alone, and so does its place: packs are numbered by the
//    first 63 bits of their names, and of two copies of an object the one with the smaller
//    (pack, offset) is kept. An index that was made anew equals the old one, dump for dump.
// 3. Writers hold locks/index exclusively from before the change until the new stamp is written;
//    whoever checks the stamp holds it shared.
//
//        missing, foreign or damaged ──rebuild──▶ ┌─────────┐ ◀──insert── packs of a session
//        packs that it does not know ──add──────▶ │ current │
//        rows of packs that are gone ──remove───▶ └─────────┘ ──damage found in use──▶ rebuild

import Codec
import Platform
import SQLite

/// Where an object is.
struct ObjectPlace: Sendable {
  let address: FrameAddress
  let frameBytes: Int
  let start: Int
  let length: Int
}

/// The index of one store. Any thread may call it.
final class Index: Sendable {
  private let layout: Layout
  private let reader: PackReader
  private let connection: Monitor<Database?>
  private let report: @Sendable (String) -> Void

  private static let name = Array("index.sqlite".utf8)
  private static let newName = Array("index.sqlite.new".utf8)
  private static let stampName = Array("index.stamp".utf8)
  static let lockName = Array("index".utf8)

  /// Opens the index and brings it up to date.
  init(
    _ layout: Layout, _ reader: PackReader, report: @escaping @Sendable (String) -> Void
  ) throws(StoreError) {
    self.layout = layout
    self.reader = reader
    self.report = report
    connection = Monitor(nil)
    try bringUpToDate()
  }

  private var path: String { String(decoding: layout.path + [0x2f] + Index.name, as: UTF8.self) }

  // MARK: Opening

  private func bringUpToDate() throws(StoreError) {
    // The shared lock must be gone before the exclusive one is asked for: hence the function.
    if try openIfCurrent() { return }
    try repairExclusively()
  }

  private func openIfCurrent() throws(StoreError) -> Bool {
    let shared = try lock(exclusive: false)
    defer { withExtendedLifetime(shared) {} }
    guard try isStamped() else { return false }
    do throws(SQLiteError) {
      let database = try Database(path: path, .read)
      guard try differences(database) == nil else { return false }
      connection.withLock { $0 = database }
      return true
    } catch {
      return false  // what cannot be read is rebuilt
    }
  }

  private func repairExclusively() throws(StoreError) {
    let exclusive = try lock(exclusive: true)
    defer { withExtendedLifetime(exclusive) {} }
    if try isStamped() {
      do throws(StoreError) {
        let database = try opening { () throws(SQLiteError) in try Database(path: path, .write) }
        try unsynced(database)
        guard let change = try opening({ () throws(SQLiteError) in try differences(database) })
        else {
          connection.withLock { $0 = database }
          return
        }
        try insert(change.missing.map(scan), removing: change.gone, into: database)
        try stamp()
        if !change.missing.isEmpty {
          report("index: added \(change.missing.count) packs that were not in it yet")
        }
        if !change.gone.isEmpty {
          layout.removeStatCaches()
          report("index: dropped \(change.gone.count) packs that are no longer there")
        }
        connection.withLock { $0 = database }
        return
      } catch {
        guard error.kind == .index else { throw error }
      }
    }
    try rebuildLocked()
  }

  /// Makes the index anew from the packs.
  /// - Parameter remark: what to say of it.
  func rebuild(remark: String? = nil) throws(StoreError) {
    let exclusive = try lock(exclusive: true)
    defer { withExtendedLifetime(exclusive) {} }
    try rebuildLocked(isAsked: true)
    if let remark { report(remark) }
  }

  private func rebuildLocked(isAsked: Bool = false) throws(StoreError) {
    // What was remembered of files may rest on packs that are gone: nobody may vouch for it.
    layout.removeStatCaches()
    let fileSystem = layout.fileSystem
    let packs = try packNames()
    let wasThere = try explaining("the index") { () throws(SystemError) in
      for name in [Index.newName, Index.stampName] {
        if try fileSystem.statIfPresent(at: layout.root.raw, name) != nil {
          try fileSystem.remove(at: layout.root.raw, name, isDirectory: false)
        }
      }
      return try fileSystem.statIfPresent(at: layout.root.raw, Index.name) != nil
    }
    let newPath = String(decoding: layout.path + [0x2f] + Index.newName, as: UTF8.self)
    do {
      let database = try opening { () throws(SQLiteError) in
        let database = try Database(path: newPath, .create)
        try database.execute(
          """
          PRAGMA page_size = 8192;
          CREATE TABLE pack(
            id INTEGER PRIMARY KEY, name BLOB NOT NULL UNIQUE, size INTEGER NOT NULL);
          CREATE TABLE frame(
            pack INTEGER NOT NULL, offset INTEGER NOT NULL, stored INTEGER NOT NULL,
            raw INTEGER NOT NULL, PRIMARY KEY(pack, offset)) WITHOUT ROWID;
          CREATE TABLE object(
            id BLOB NOT NULL, kind INTEGER NOT NULL, pack INTEGER NOT NULL, frame INTEGER NOT NULL,
            start INTEGER NOT NULL, length INTEGER NOT NULL, PRIMARY KEY(id, kind)) WITHOUT ROWID;
          """)
        return database
      }
      try unsynced(database)
      var batch: [FinishedPack] = []
      for pack in packs {
        batch.append(try scan(pack))
        if batch.reduce(0, { $0 + $1.frames.count }) > 4096 {
          try insert(batch, removing: [], into: database)
          batch = []
        }
      }
      try insert(batch, removing: [], into: database)
    }
    try explaining("the index") { () throws(SystemError) in
      try fileSystem.rename(
        at: layout.root.raw, Index.newName, to: layout.root.raw, Index.name, exclusively: false)
      let journal = Index.name + Array("-journal".utf8)
      if try fileSystem.statIfPresent(at: layout.root.raw, journal) != nil {
        try fileSystem.remove(at: layout.root.raw, journal, isDirectory: false)
      }
    }
    try stamp()
    if !isAsked, wasThere || !packs.isEmpty {
      report(
        wasThere
          ? "index.sqlite was changed or copied from outside: made anew from the packs (normal)"
          : "index.sqlite was missing: made anew from the packs (normal)")
    }
    let database = try opening { () throws(SQLiteError) in try Database(path: path, .write) }
    try unsynced(database)
    connection.withLock { $0 = database }
  }

  /// Durability comes from the stamp, so the database itself need not sync on each commit.
  private func unsynced(_ database: Database) throws(StoreError) {
    try opening { () throws(SQLiteError) in
      try database.execute(
        "PRAGMA journal_mode = MEMORY; PRAGMA synchronous = OFF; PRAGMA cache_size = -16000")
    }
  }

  private func differences(
    _ database: Database
  ) throws(SQLiteError) -> (missing: [Digest], gone: [Digest])? {
    var known: Set<Digest> = []
    do {
      try database.statement("SELECT name FROM pack").rows { row in
        if let digest = Digest(row.bytes(0)) { known.insert(digest) }
      }
    } catch let error as SQLiteError {
      throw error
    } catch {
      throw SQLiteError(code: 1, message: "\(error)", path: database.path)
    }
    guard let present = try? packNames() else { return ([], []) }
    let missing = present.filter { !known.contains($0) }
    let gone = known.subtracting(present)
    return missing.isEmpty && gone.isEmpty ? nil : (missing, gone.sorted())
  }

  /// The packs on disk, in order of their names.
  func packNames() throws(StoreError) -> [Digest] {
    try explaining("the folder packs/") { () throws(SystemError) in
      try layout.fileSystem.names(of: layout.packs.raw).compactMap {
        Digest(hex: String(decoding: $0, as: UTF8.self))
      }.sorted()
    }
  }

  /// Reads the directories of a pack's frames.
  private func scan(_ name: Digest) throws(StoreError) -> FinishedPack {
    let file = try reader.open(name)
    var frames: [PackedFrame] = []
    var offset = UInt64(PackFormat.headerBytes)
    while let header = try reader.header(file, name, at: offset) {
      frames.append(
        PackedFrame(
          offset: offset, frameBytes: header.frameBytes, rawBytes: header.rawBytes,
          objects: header.objects.map { ($0.kind, $0.id, $0.length) }))
      offset += UInt64(header.frameBytes)
    }
    let size = try explaining("pack \(name.shortHex)") { () throws(SystemError) in
      try layout.fileSystem.stat(file.raw).size
    }
    return FinishedPack(name: name, sizeBytes: size, frames: frames)
  }

  // MARK: Writing

  /// Adds the packs of a session.
  func insert(_ packs: [FinishedPack]) throws(StoreError) {
    if packs.isEmpty { return }
    let exclusive = try lock(exclusive: true)
    defer { withExtendedLifetime(exclusive) {} }
    guard try isStamped() else {
      // Someone touched it since we opened it: made anew, it knows our packs as well.
      try rebuildLocked()
      return
    }
    do throws(StoreError) {
      let database = try opening { () throws(SQLiteError) in try Database(path: path, .write) }
      try unsynced(database)
      try insert(packs, removing: [], into: database)
      try stamp()
      connection.withLock { $0 = database }
    } catch {
      guard error.kind == .index else { throw error }
      try rebuildLocked()
    }
  }

  private static func number(_ pack: Digest) -> Int64 { Int64(pack.prefix >> 1) }

  private func insert(
    _ packs: [FinishedPack], removing gone: [Digest], into database: Database
  ) throws(StoreError) {
    try explainingSQLite {
      try database.transaction {
        for name in gone {
          let number = Index.number(name)
          for sql in [
            "DELETE FROM object WHERE pack = ?", "DELETE FROM frame WHERE pack = ?",
            "DELETE FROM pack WHERE id = ?",
          ] { try database.statement(sql).run(.integer(number)) }
        }
        let insertPack = try database.statement("INSERT INTO pack VALUES(?, ?, ?)")
        let insertFrame = try database.statement("INSERT INTO frame VALUES(?, ?, ?, ?)")
        let insertObject = try database.statement(
          """
          INSERT INTO object VALUES(?1, ?2, ?3, ?4, ?5, ?6) ON CONFLICT(id, kind) DO UPDATE
          SET pack = ?3, frame = ?4, start = ?5, length = ?6
          WHERE (?3, ?4, ?5) < (pack, frame, start)
          """)
        for pack in packs {
          let number = Index.number(pack.name)
          let known = try database.statement("SELECT 1 FROM pack WHERE id = ?")
            .first(.integer(number)) { $0.integer(0) }
          if known != nil { continue }
          try insertPack.run(
            .integer(number), .blob(pack.name.bytes), .integer(Int64(pack.sizeBytes)))
          var rows:
            [(object: (kind: ObjectKind, id: Digest, length: Int), frame: Int64, start: Int)] =
              []
          for frame in pack.frames {
            try insertFrame.run(
              .integer(number), .integer(Int64(frame.offset)), .integer(Int64(frame.frameBytes)),
              .integer(Int64(frame.rawBytes)))
            var start = 0
            for object in frame.objects {
              rows.append((object, Int64(frame.offset), start))
              start += object.length
            }
          }
          // In key order the b-tree is filled from left to right.
          rows.sort { $0.object.id < $1.object.id }
          for row in rows {
            try insertObject.run(
              .blob(row.object.id.bytes), .integer(Int64(row.object.kind.rawValue)),
              .integer(number), .integer(row.frame), .integer(Int64(row.start)),
              .integer(Int64(row.object.length)))
          }
        }
      }
    }
  }

  // MARK: Asking

  /// Where an object is; nil when no pack has it.
  func place(_ kind: ObjectKind, _ id: Digest) throws(StoreError) -> ObjectPlace? {
    try explainingSQLite {
      try connection.withLock { database throws -> ObjectPlace? in
        guard let database else { return nil }
        return try database.statement(
          """
          SELECT p.name, o.frame, f.stored, o.start, o.length FROM object o
          JOIN pack p ON p.id = o.pack JOIN frame f ON f.pack = o.pack AND f.offset = o.frame
          WHERE o.id = ? AND o.kind = ?
          """
        ).first(.blob(id.bytes), .integer(Int64(kind.rawValue))) { row -> ObjectPlace? in
          guard let pack = Digest(row.bytes(0)), row.integer(1) >= 0, row.integer(2) >= 0,
            row.integer(3) >= 0, row.integer(4) >= 0
          else { return nil }
          return ObjectPlace(
            address: FrameAddress(pack: pack, offset: UInt64(row.integer(1))),
            frameBytes: Int(row.integer(2)), start: Int(row.integer(3)),
            length: Int(row.integer(4)))
        } ?? nil
      }
    }
  }

  /// Calls `body` with the id of every object.
  func forEachID(_ body: (ObjectKind, Digest) -> Void) throws(StoreError) {
    try explainingSQLite {
      try connection.withLock { database in
        try database?.statement("SELECT id, kind FROM object").rows { row in
          guard let kind = ObjectKind(rawValue: UInt8(truncatingIfNeeded: row.integer(1))) else {
            return
          }
          row.withBytes(0) { bytes in
            if bytes.count == 32, let base = bytes.baseAddress { body(kind, Digest(loading: base)) }
          }
        }
      }
    }
  }

  /// Objects and bytes that the packs hold.
  func totals() throws(StoreError) -> (packs: Int, objects: Int, storedBytes: UInt64) {
    try explainingSQLite {
      try connection.withLock { database in
        let first = try database?.statement(
          "SELECT (SELECT count(*) FROM pack), (SELECT count(*) FROM object), "
            + "(SELECT coalesce(sum(size), 0) FROM pack)"
        ).first { (Int($0.integer(0)), Int($0.integer(1)), UInt64(max(0, $0.integer(2)))) }
        return first ?? (0, 0, 0)
      }
    }
  }

  // MARK: Lock and stamp

  private func lock(exclusive: Bool) throws(StoreError) -> FileLock {
    try explaining("the index") { () throws(SystemError) in
      try FileLock.acquire(
        layout.fileSystem, at: layout.locks.raw, Index.lockName, exclusive: exclusive)
    }
  }

  /// The file is the very one that we last left.
  private func isStamped() throws(StoreError) -> Bool {
    try explaining("the index") { () throws(SystemError) in
      guard let stat = try layout.fileSystem.statIfPresent(at: layout.root.raw, Index.name),
        try layout.fileSystem.statIfPresent(at: layout.root.raw, Index.stampName) != nil
      else { return false }
      let text = try layout.fileSystem.readSmallFile(
        at: layout.root.raw, Index.stampName, limitBytes: 4096)
      return text == Array(stat.stampText.utf8)
    }
  }

  private func stamp() throws(StoreError) {
    try explaining("the index") { () throws(SystemError) in
      let fileSystem = layout.fileSystem
      let database = try fileSystem.openFile(at: layout.root.raw, Index.name, [.read])
      try fileSystem.sync(database.raw)
      let stat = try fileSystem.stat(database.raw)
      let new = Index.stampName + Array(".new".utf8)
      let file = try fileSystem.openFile(at: layout.root.raw, new, [.write, .create, .truncate])
      try fileSystem.write(file.raw, Array(stat.stampText.utf8))
      try fileSystem.rename(
        at: layout.root.raw, new, to: layout.root.raw, Index.stampName, exclusively: false)
    }
  }
}

extension FileStat {
  fileprivate var stampText: String {
    "\(inode) \(size) \(modified.seconds).\(modified.nanoseconds) "
      + "\(changed.seconds).\(changed.nanoseconds)\n"
  }
}

private func opening<R>(_ body: () throws(SQLiteError) -> R) throws(StoreError) -> R {
  do { return try body() } catch { throw indexError(error) }
}

private func explainingSQLite<R>(_ body: () throws -> R) throws(StoreError) -> R {
  do {
    return try body()
  } catch let error as SQLiteError {
    throw indexError(error)
  } catch let error as StoreError {
    throw error
  } catch {
    throw StoreError(.index, "the index", "\(error)")
  }
}

private func indexError(_ error: SQLiteError) -> StoreError {
  StoreError(
    .index, "the index", "SQLite says: \(error.message)",
    advice: error.isFull
      ? "Make room on the store's file system and run the command again; the store is intact"
      : "Run 'imgstore reindex'; the packs are the truth, the index is made from them")
}
