// The rows of the index, and their update from the packs: one set of rows a pack.

import Codec
import Platform
import SQLite

/// The changes that make the index match the directories.
struct IndexChange {
  var missing: [(name: Digest, isDoomed: Bool)] = []
  /// Packs that disappeared from packs/, where imgstore deletes none.
  var lost: [Digest] = []
  /// Packs that gc deleted from doomed/.
  var removed: [Digest] = []
  var moved: [(name: Digest, isDoomed: Bool)] = []

  var isEmpty: Bool { missing.isEmpty && lost.isEmpty && removed.isEmpty && moved.isEmpty }
}

/// The rows of one index. The caller guards the connection.
struct IndexRows {
  /// Ids are random, so an insertion touches a page for each object and copies it twice. 4 KiB take a
  /// quarter less time than 8 KiB (1,600 objects among 267,000: 28 ms instead of 37).
  private static let pageBytes = 4096

  private let database: Database

  init(_ database: Database) { self.database = database }

  /// Creates the tables of a new index.
  init(creating database: Database) throws(StoreError) {
    self.database = database
    try mapDatabaseErrors { () throws(SQLiteError) in
      try database.execute("PRAGMA page_size = \(IndexRows.pageBytes)")
    }
    // This comes before the first write, which `auto_vacuum` is. Otherwise a power cut would leave a
    // journal file.
    try disableSQLiteSync()
    try mapDatabaseErrors { () throws(SQLiteError) in
      try database.execute(
        """
        PRAGMA auto_vacuum = INCREMENTAL;
        CREATE TABLE pack(
          id INTEGER PRIMARY KEY, name BLOB NOT NULL UNIQUE, size INTEGER NOT NULL,
          doomed INTEGER NOT NULL, objects INTEGER NOT NULL, sum INTEGER NOT NULL);
        CREATE TABLE frame(
          pack INTEGER NOT NULL, offset INTEGER NOT NULL, stored INTEGER NOT NULL,
          raw INTEGER NOT NULL, depth INTEGER NOT NULL, PRIMARY KEY(pack, offset)) WITHOUT ROWID;
        CREATE INDEX frame_with_base ON frame(depth) WHERE depth > 0;
        CREATE TABLE object(
          id BLOB NOT NULL, kind INTEGER NOT NULL, pack INTEGER NOT NULL, frame INTEGER NOT NULL,
          start INTEGER NOT NULL, length INTEGER NOT NULL,
          PRIMARY KEY(id, kind, pack, frame, start)) WITHOUT ROWID;
        """)
    }
  }

  /// Disables SQLite's syncs, because the stamp makes the database durable.
  func disableSQLiteSync() throws(StoreError) {
    try mapDatabaseErrors { () throws(SQLiteError) in
      try database.execute(
        """
        PRAGMA journal_mode = MEMORY; PRAGMA synchronous = OFF; PRAGMA cache_size = -16000;
        PRAGMA temp_store = MEMORY
        """)
    }
  }

  /// Returns true if the tables have the columns of this version. Older ones lack the depth of frames.
  func hasAllColumns() throws(StoreError) -> Bool {
    try mapSQLiteErrors {
      try database.statement("SELECT count(*) FROM pragma_table_info('frame') WHERE name = 'depth'")
        .first { $0.integer(0) == 1 } ?? false
    }
  }

  /// Returns the differences between the directories and the rows. A pack's number is the beginning of its
  /// name, so both are read in the same order.
  /// - Throws: `index` if a row's number does not match its name.
  func differences(from listing: PackListing) throws(StoreError) -> IndexChange {
    var change = IndexChange()
    var remaining = listing.inOrder[...]
    try mapSQLiteErrors {
      try database.statement("SELECT id, name, doomed, sum FROM pack ORDER BY id").rows { row in
        guard let name = row.digest(1), row.integer(0) == packNumber(name) else {
          throw StoreError(.index, "the index", "has a pack with a wrong number")
        }
        let wasDoomed = row.integer(2) != 0
        while let next = remaining.first, next.name < name {
          change.missing.append(next)
          remaining = remaining.dropFirst()
        }
        if let next = remaining.first, next.name == name {
          if next.isDoomed != wasDoomed { change.moved.append(next) }
          remaining = remaining.dropFirst()
        } else if wasDoomed {
          change.removed.append(name)
        } else {
          change.lost.append(name)
        }
      }
    }
    change.missing += remaining
    return change
  }

  /// Applies the change in one transaction.
  func apply(
    _ change: IndexChange, _ scan: (Digest) throws(StoreError) -> FinishedPack
  ) throws(StoreError) {
    try mapSQLiteErrors {
      try database.transaction {
        try remove(change.lost + change.removed)
        for (name, isDoomed) in change.moved {
          try database.statement("UPDATE pack SET doomed = ? WHERE id = ?")
            .run(.integer(isDoomed ? 1 : 0), .integer(packNumber(name)))
        }
        for (name, isDoomed) in change.missing {
          try addRows([try scan(name)]) { _ in isDoomed }
        }
      }
      // The pages of deleted rows return to the file system, which needs no free space.
      if !change.lost.isEmpty || !change.removed.isEmpty {
        try database.execute("PRAGMA incremental_vacuum")
      }
    }
  }

  /// Adds the rows of packs that the index does not list, or lists in part.
  func insert(_ packs: [FinishedPack], isDoomed: (Digest) -> Bool) throws(StoreError) {
    try mapSQLiteErrors { try database.transaction { try addRows(packs, isDoomed) } }
  }

  /// Deletes the rows of packs.
  private func remove(_ packs: [Digest]) throws {
    if packs.isEmpty { return }
    // One pass over the objects, however many packs are deleted, because objects are sorted by id.
    try database.execute(
      "CREATE TEMP TABLE IF NOT EXISTS gone(pack INTEGER PRIMARY KEY); DELETE FROM gone")
    let insert = try database.statement("INSERT OR IGNORE INTO gone VALUES(?)")
    for pack in packs { try insert.run(.integer(packNumber(pack))) }
    for table in ["object WHERE pack", "frame WHERE pack", "pack WHERE id"] {
      try database.execute("DELETE FROM \(table) IN (SELECT pack FROM gone)")
    }
  }

  private func addRows(_ packs: [FinishedPack], _ isDoomed: (Digest) -> Bool) throws {
    let insertPack = try database.statement("INSERT INTO pack VALUES(?, ?, ?, ?, ?, ?)")
    let insertFrame = try database.statement("INSERT INTO frame VALUES(?, ?, ?, ?, ?)")
    let insertObject = try database.statement(
      "INSERT INTO object VALUES(?, ?, ?, ?, ?, ?) ON CONFLICT DO NOTHING")
    for pack in packs {
      let number = packNumber(pack.name)
      let knownFrames = try database.statement(
        "SELECT (SELECT count(*) FROM frame WHERE pack = id) FROM pack WHERE id = ?"
      ).first(.integer(number)) { $0.integer(0) }
      if knownFrames == Int64(pack.frames.count) { continue }
      // An older program has indexed the pack, and left out the frames that it does not know.
      if knownFrames != nil { try remove([pack.name]) }
      var sum = RowChecksum(pack.name, sizeBytes: Int64(clamping: pack.sizeBytes))
      // The places of the objects: a copy of them would take five times as much memory.
      var rows: [(frame: UInt32, object: UInt32, start: UInt32)] = []
      rows.reserveCapacity(pack.frames.reduce(0) { $0 + $1.objects.count })
      for (frameIndex, frame) in pack.frames.enumerated() {
        try insertFrame.run(
          .integer(number), .integer(Int64(frame.offset)), .integer(Int64(frame.frameBytes)),
          .integer(Int64(frame.rawBytes)), .integer(Int64(frame.depth)))
        sum.addFrame(
          offset: Int64(frame.offset), frameBytes: Int64(frame.frameBytes),
          rawBytes: Int64(frame.rawBytes), depth: Int64(frame.depth))
        var start = 0
        for (index, object) in frame.objects.enumerated() {
          // A frame has at most 16 MiB, and a pack far fewer frames than fit into a file.
          rows.append(
            (UInt32(clamping: frameIndex), UInt32(clamping: index), UInt32(clamping: start)))
          start += object.length
        }
      }
      // In key order the b-tree is filled from left to right.
      func object(_ row: (frame: UInt32, object: UInt32, start: UInt32)) -> (
        kind: ObjectKind, id: Digest, length: Int
      ) {
        pack.frames[Int(row.frame)].objects[Int(row.object)]
      }
      rows.sort { object($0).id < object($1).id }
      for row in rows {
        let (kind, id, length) = object(row)
        let frame = Int64(pack.frames[Int(row.frame)].offset)
        try insertObject.run(
          .blob(id.bytes), .integer(Int64(kind.rawValue)), .integer(number), .integer(frame),
          .integer(Int64(row.start)), .integer(Int64(length)))
        // Two empty objects at one location are one row.
        if database.changes == 0 { continue }
        sum.addObject(
          id, kind: Int64(kind.rawValue), frame: frame, start: Int64(row.start),
          length: Int64(length))
      }
      try insertPack.run(
        .integer(number), .blob(pack.name.bytes), .integer(Int64(clamping: pack.sizeBytes)),
        .integer(isDoomed(pack.name) ? 1 : 0), .integer(sum.objects), .integer(sum.stored))
    }
  }
}

/// Returns the number of a pack in the index: the first 63 bits of its name.
func packNumber(_ pack: Digest) -> Int64 { Int64(pack.prefix >> 1) }
