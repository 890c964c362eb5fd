// Asking the index.

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

/// One copy of an object, as the index has it.
struct ObjectRow {
  let kind: ObjectKind
  let id: Digest
  /// Its place among the survey's packs.
  let pack: Int
  let frame: UInt64
  let start: Int
  let length: Int
}

/// A pack, as the index has it.
struct PackRow {
  let name: Digest
  let sizeBytes: UInt64
  let isDoomed: Bool
}

/// A frame, as the index has it.
struct FrameRow {
  let pack: Int
  let offset: UInt64
  let frameBytes: Int
  let rawBytes: Int
  /// More than a frame or an object has.
  static let maxBytes: Int64 = 1 << 30
}

extension Index {
  /// Where an object is; nil when no pack has it. A copy that stays is preferred, then the shorter
  /// one: copies are equal, but for recipes, of which a blob may have one of chunks and one that makes
  /// it of other blobs. Who chooses among copies chooses so (`survey` as well): what a collection
  /// counts is what is read.
  func place(_ kind: ObjectKind, _ id: Digest) throws(StoreError) -> ObjectPlace? {
    if let kept = try place(kind, id, isDoomed: false) { return kept }
    return try place(kind, id, isDoomed: true)
  }

  /// Runs `body`, which looks many objects up, with the index's lock held over many look-ups: six
  /// system calls fewer each. Writers get their turn in between; who waits for a writer ends the crowd,
  /// and the look-ups that follow lock one by one.
  func withReadTransaction<R>(_ body: () throws -> R) rethrows -> R {
    let isBegun = connection.withLock { $0?.beginReading() ?? false }
    defer { if isBegun { connection.withLock { $0?.endReading() } } }
    return try body()
  }

  /// Where an object is in a pack that is not doomed.
  func keptPlace(_ kind: ObjectKind, _ id: Digest) throws(StoreError) -> ObjectPlace? {
    try place(kind, id, isDoomed: false)
  }

  private func place(
    _ kind: ObjectKind, _ id: Digest, isDoomed: Bool
  ) throws(StoreError) -> ObjectPlace? {
    try query { database in
      database.noteUse()
      return try Index.place(kind, id, isDoomed: isDoomed, in: database)
    }
  }

  /// Looks an object up in an open index, in packs that are doomed or in those that are not.
  static func place(
    _ kind: ObjectKind, _ id: Digest, isDoomed: Bool, in database: Database
  ) throws -> ObjectPlace? {
    // CROSS JOIN: the object first, by its key, whose order the first row then follows.
    let row = try database.statement(
      """
      SELECT p.name, o.frame, f.stored, o.start, o.length FROM object o
      CROSS JOIN pack p CROSS JOIN frame f
      WHERE o.id = ? AND o.kind = ? AND p.id = o.pack AND p.doomed = ?
      AND f.pack = o.pack AND f.offset = o.frame
      ORDER BY o.length, o.pack, o.frame, o.start LIMIT 1
      """
    ).first(
      .blob(id.bytes), .integer(Int64(kind.rawValue)), .integer(isDoomed ? 1 : 0)
    ) { row -> ObjectPlace? in
      guard let pack = row.digest(0), row.integer(1) >= 0, row.integer(2) >= 0,
        row.integer(3) >= 0, row.integer(4) >= 0
      else { return nil }
      return ObjectPlace(
        address: FrameAddress(pack: pack, offset: UInt64(row.integer(1))),
        frameBytes: Int(row.integer(2)), start: Int(row.integer(3)),
        length: Int(row.integer(4)))
    }
    guard let row else { return nil }
    guard let place = row else { throw StoreError.impossibleRow("object") }
    return place
  }

  /// Every copy of an object, those in packs that are not doomed first.
  func places(_ kind: ObjectKind, _ id: Digest) throws(StoreError) -> [ObjectPlace] {
    try query { database in
      var places: [ObjectPlace] = []
      try database.statement(
        """
        SELECT p.name, o.frame, f.stored, o.start, o.length FROM object o
        CROSS JOIN pack p CROSS JOIN frame f
        WHERE o.id = ? AND o.kind = ? AND p.id = o.pack
        AND f.pack = o.pack AND f.offset = o.frame
        ORDER BY p.doomed, o.length, o.pack, o.frame, o.start
        """
      ).rows(.blob(id.bytes), .integer(Int64(kind.rawValue))) { row in
        guard let pack = row.digest(0), row.integer(1) >= 0, row.integer(2) >= 0,
          row.integer(3) >= 0, row.integer(4) >= 0
        else { throw StoreError.impossibleRow("object") }
        places.append(
          ObjectPlace(
            address: FrameAddress(pack: pack, offset: UInt64(row.integer(1))),
            frameBytes: Int(row.integer(2)), start: Int(row.integer(3)),
            length: Int(row.integer(4))))
      }
      return places
    }
  }

  /// The bytes of each pack.
  func packSizes() throws(StoreError) -> [Digest: UInt64] {
    try query { database in
      var sizes: [Digest: UInt64] = [:]
      try database.statement("SELECT name, size FROM pack").rows { row in
        guard let name = row.digest(0) else { throw StoreError.impossibleRow("pack") }
        sizes[name] = UInt64(max(0, row.integer(1)))
      }
      return sizes
    }
  }

  /// A pack that is not doomed has the object: a new snapshot may rest on it.
  func keeps(_ kind: ObjectKind, _ id: Digest) throws(StoreError) -> Bool {
    try query { database in
      try database.statement(
        """
        SELECT 1 FROM object o CROSS JOIN pack p
        WHERE o.id = ? AND o.kind = ? AND p.id = o.pack AND p.doomed = 0 LIMIT 1
        """
      ).first(.blob(id.bytes), .integer(Int64(kind.rawValue))) { _ in true } ?? false
    }
  }

  /// Calls `body` with the id of every object, once a copy; again from the first where the index had
  /// to be rebuilt.
  func forEachID(_ body: (ObjectKind, Digest) -> Void) throws(StoreError) {
    try query { database in
      try database.statement("SELECT id, kind FROM object").rows { row in
        guard let kind = ObjectKind(rawValue: UInt8(truncatingIfNeeded: row.integer(1))),
          let id = row.digest(0)
        else { throw StoreError.impossibleRow("object") }
        body(kind, id)
      }
    }
  }

  /// How many objects there are, by the size of the index: nothing is counted.
  func roughCount() throws(StoreError) -> Int {
    try query { database in
      let pages = try database.statement("PRAGMA page_count").first { $0.integer(0) } ?? 0
      let pageBytes = try database.statement("PRAGMA page_size").first { $0.integer(0) } ?? 0
      // Measured: 61,569 objects in 4,087,808 bytes.
      return Int(max(0, pages.multipliedReportingOverflow(by: pageBytes).partialValue)) / 66
    }
  }

  /// Packs, objects (each copy) and bytes that the packs have.
  func totals() throws(StoreError) -> (packs: Int, objects: Int, storedBytes: UInt64) {
    try query { database in
      let first = try database.statement(
        "SELECT (SELECT count(*) FROM pack), (SELECT count(*) FROM object), "
          + "(SELECT coalesce(sum(size), 0) FROM pack)"
      ).first { (Int($0.integer(0)), Int($0.integer(1)), UInt64(max(0, $0.integer(2)))) }
      return first ?? (0, 0, 0)
    }
  }

  /// All packs and frames, then all objects, as one state.
  ///
  /// - Parameters:
  ///   - object: all copies of one object, the one that counts first: the shortest, in the first
  ///     pack that is not doomed. It must not ask the index anything. All three are called from the
  ///     first again, `packs` before the others, where the index had to be rebuilt.
  func survey(
    packs: ([PackRow]) -> Void, frame: (FrameRow) -> Void, object: ([ObjectRow]) -> Void
  ) throws(StoreError) {
    try query { database in
      database.endReading()
      try database.execute("BEGIN")
      defer { try? database.execute("COMMIT") }
      var numbers: [Int64: Int] = [:]
      var all: [PackRow] = []
      try database.statement("SELECT id, name, size, doomed FROM pack ORDER BY id").rows { row in
        guard let name = row.digest(1) else { throw StoreError.impossibleRow("pack") }
        numbers[row.integer(0)] = all.count
        all.append(
          PackRow(
            name: name, sizeBytes: UInt64(max(0, row.integer(2))), isDoomed: row.integer(3) != 0))
      }
      packs(all)
      try database.statement("SELECT pack, offset, stored, raw FROM frame ORDER BY pack, offset")
        .rows { row in
          guard let pack = numbers[row.integer(0)], row.integer(1) >= 0,
            (0...FrameRow.maxBytes).contains(row.integer(2)),
            (0...FrameRow.maxBytes).contains(row.integer(3))
          else { throw StoreError.impossibleRow("frame") }
          frame(
            FrameRow(
              pack: pack, offset: UInt64(max(0, row.integer(1))),
              frameBytes: Int(row.integer(2)), rawBytes: Int(row.integer(3))))
        }
      var copies: [ObjectRow] = []
      func flush() {
        if let kept = copies.firstIndex(where: { !all[$0.pack].isDoomed }), kept > 0 {
          copies.swapAt(0, kept)
        }
        if !copies.isEmpty { object(copies) }
        copies.removeAll(keepingCapacity: true)
      }
      try objectRows(database, numbers) { row in
        if let last = copies.last, last.id != row.id || last.kind != row.kind { flush() }
        copies.append(row)
      }
      flush()
    }
  }

  private func objectRows(
    _ database: Database, _ numbers: [Int64: Int], _ body: (ObjectRow) -> Void
  ) throws {
    try database.statement(
      "SELECT id, kind, pack, frame, start, length FROM object "
        + "ORDER BY id, kind, length, pack, frame, start"
    ).rows { row in
      guard let kind = ObjectKind(rawValue: UInt8(truncatingIfNeeded: row.integer(1))),
        let id = row.digest(0), let pack = numbers[row.integer(2)],
        (0...FrameRow.maxBytes).contains(row.integer(4)),
        (0...FrameRow.maxBytes).contains(row.integer(5))
      else { throw StoreError.impossibleRow("object") }
      body(
        ObjectRow(
          kind: kind, id: id, pack: pack, frame: UInt64(max(0, row.integer(3))),
          start: Int(row.integer(4)), length: Int(row.integer(5))))
    }
  }
}

extension Row {
  /// An id; nil where the column holds anything else.
  func digest(_ column: Int) -> Digest? { withBytes(column) { Digest(reading: $0) } }
}
