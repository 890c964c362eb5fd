// Queries of the index.

import Codec
import Platform
import SQLite

/// The location of an object.
struct ObjectLocation: Sendable {
  let address: FrameAddress
  let frameBytes: Int
  let start: Int
  let length: Int
  /// The depth of the frame (`FrameBase`): 0 if it has no base.
  var depth: UInt8 = 0
}

/// A row of the index: one copy of an object.
struct ObjectRow {
  let kind: ObjectKind
  let id: Digest
  /// The position of the pack in the survey's list of packs.
  let pack: Int
  let frame: UInt64
  let start: Int
  let length: Int
}

/// A row of the index: a pack.
struct PackRow {
  let name: Digest
  let sizeBytes: UInt64
  let isDoomed: Bool
}

/// A row of the index: a frame.
struct FrameRow {
  let pack: Int
  let offset: UInt64
  let frameBytes: Int
  let rawBytes: Int
  let depth: UInt8
  /// An upper bound of the sizes of frames and objects.
  static let maxBytes: Int64 = 1 << 30
}

/// A frame in a survey: the position of its pack in the list of packs, and its offset.
private struct FrameKey: Hashable {
  let pack: Int
  let offset: Int64
}

extension Index {
  /// Returns the location of an object; nil if no pack contains it.
  ///
  /// Copies in packs that are not doomed come first, then shorter ones, then those in frames of less depth
  /// (`FrameBase`). Copies are equal, except for recipes: a blob may have a chunk list and a reconstruction.
  /// All code that chooses a copy uses this
  /// order (`survey` as well), so gc counts the copies that are read.
  func location(_ kind: ObjectKind, _ id: Digest) throws(StoreError) -> ObjectLocation? {
    if let kept = try location(kind, id, isDoomed: false) { return kept }
    return try location(kind, id, isDoomed: true)
  }

  /// Runs `body`, which looks up many objects, in one read transaction over many lookups. This saves six
  /// system calls for each. Writers are admitted in between: a thread that waits for a writer ends the
  /// transaction, and the lookups that follow lock one at a time.
  func withReadTransaction<R>(_ body: () throws -> R) rethrows -> R {
    let isBegun = connection.withLock { $0?.beginReading() ?? false }
    defer { if isBegun { connection.withLock { $0?.endReading() } } }
    return try body()
  }

  /// Returns the location of an object in a pack that is not doomed.
  func keptLocation(_ kind: ObjectKind, _ id: Digest) throws(StoreError) -> ObjectLocation? {
    try location(kind, id, isDoomed: false)
  }

  private func location(
    _ kind: ObjectKind, _ id: Digest, isDoomed: Bool
  ) throws(StoreError) -> ObjectLocation? {
    try query { database in
      database.noteUse()
      return try Index.location(kind, id, isDoomed: isDoomed, in: database)
    }
  }

  /// Looks up an object in an open index, in doomed packs or in the others.
  static func location(
    _ kind: ObjectKind, _ id: Digest, isDoomed: Bool, in database: Database
  ) throws -> ObjectLocation? {
    // CROSS JOIN fixes the order: the object first, by its key, so that the rows are in its order.
    let row = try database.statement(
      """
      SELECT p.name, o.frame, f.stored, o.start, o.length, f.depth FROM object o
      CROSS JOIN pack p CROSS JOIN frame f
      WHERE o.id = ? AND o.kind = ? AND p.id = o.pack AND p.doomed = ?
      AND f.pack = o.pack AND f.offset = o.frame
      ORDER BY o.length, f.depth, o.pack, o.frame, o.start LIMIT 1
      """
    ).first(
      .blob(id.bytes), .integer(Int64(kind.rawValue)), .integer(isDoomed ? 1 : 0)
    ) { row -> ObjectLocation? in
      guard let pack = row.digest(0), row.integer(1) >= 0, row.integer(2) >= 0,
        row.integer(3) >= 0, row.integer(4) >= 0
      else { return nil }
      return ObjectLocation(
        address: FrameAddress(pack: pack, offset: UInt64(row.integer(1))),
        frameBytes: Int(row.integer(2)), start: Int(row.integer(3)),
        length: Int(row.integer(4)), depth: UInt8(clamping: row.integer(5)))
    }
    guard let row else { return nil }
    guard let location = row else { throw StoreError.impossibleRow("object") }
    return location
  }

  /// Returns the locations of all copies of an object, those in packs that are not doomed first.
  func locations(_ kind: ObjectKind, _ id: Digest) throws(StoreError) -> [ObjectLocation] {
    try query { database in
      var locations: [ObjectLocation] = []
      try database.statement(
        """
        SELECT p.name, o.frame, f.stored, o.start, o.length, f.depth FROM object o
        CROSS JOIN pack p CROSS JOIN frame f
        WHERE o.id = ? AND o.kind = ? AND p.id = o.pack
        AND f.pack = o.pack AND f.offset = o.frame
        ORDER BY p.doomed, o.length, f.depth, o.pack, o.frame, o.start
        """
      ).rows(.blob(id.bytes), .integer(Int64(kind.rawValue))) { row in
        guard let pack = row.digest(0), row.integer(1) >= 0, row.integer(2) >= 0,
          row.integer(3) >= 0, row.integer(4) >= 0
        else { throw StoreError.impossibleRow("object") }
        locations.append(
          ObjectLocation(
            address: FrameAddress(pack: pack, offset: UInt64(row.integer(1))),
            frameBytes: Int(row.integer(2)), start: Int(row.integer(3)),
            length: Int(row.integer(4)), depth: UInt8(clamping: row.integer(5))))
      }
      return locations
    }
  }

  /// Returns the size of each pack in bytes.
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

  /// Calls `body` with the id of every object, once for each copy. Starts again from the first if the index
  /// had to be rebuilt.
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

  /// Returns an estimate of the number of objects from the size of the index, without counting.
  func estimatedCount() throws(StoreError) -> Int {
    try query { database in
      let pages = try database.statement("PRAGMA page_count").first { $0.integer(0) } ?? 0
      let pageBytes = try database.statement("PRAGMA page_size").first { $0.integer(0) } ?? 0
      // Measured: 61,569 objects in 4,087,808 bytes.
      return Int(max(0, pages.multipliedReportingOverflow(by: pageBytes).partialValue)) / 66
    }
  }

  /// Returns the numbers of packs and objects (each copy), and the bytes of all packs.
  func totals() throws(StoreError) -> (packs: Int, objects: Int, storedBytes: UInt64) {
    try query { database in
      let first = try database.statement(
        "SELECT (SELECT count(*) FROM pack), (SELECT count(*) FROM object), "
          + "(SELECT coalesce(sum(size), 0) FROM pack)"
      ).first { (Int($0.integer(0)), Int($0.integer(1)), UInt64(max(0, $0.integer(2)))) }
      return first ?? (0, 0, 0)
    }
  }

  /// Reports all packs and frames, then all objects, as one state.
  ///
  /// If the index had to be rebuilt, all three closures are called from the first again, `packs` before the
  /// others.
  /// - Parameters:
  ///   - object: receives all copies of one object. The copy that is read comes first: the shortest, in the
  ///     first pack that is not doomed. The closure must not query the index.
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
      var depths: [FrameKey: UInt8] = [:]
      try database.statement(
        "SELECT pack, offset, stored, raw, depth FROM frame ORDER BY pack, offset"
      )
      .rows { row in
        guard let pack = numbers[row.integer(0)], row.integer(1) >= 0,
          (0...FrameRow.maxBytes).contains(row.integer(2)),
          (0...FrameRow.maxBytes).contains(row.integer(3))
        else { throw StoreError.impossibleRow("frame") }
        let depth = UInt8(clamping: row.integer(4))
        if depth > 0 { depths[FrameKey(pack: pack, offset: row.integer(1))] = depth }
        frame(
          FrameRow(
            pack: pack, offset: UInt64(max(0, row.integer(1))),
            frameBytes: Int(row.integer(2)), rawBytes: Int(row.integer(3)), depth: depth))
      }
      var copies: [ObjectRow] = []
      func rank(_ row: ObjectRow) -> (Int, Int, UInt8) {
        let depth = depths[FrameKey(pack: row.pack, offset: Int64(clamping: row.frame))] ?? 0
        return (all[row.pack].isDoomed ? 1 : 0, row.length, depth)
      }
      func flush() {
        // The rows are in the order of packs already. The first of the least counts.
        if copies.count > 1,
          let read = copies.indices.min(by: { rank(copies[$0]) < rank(copies[$1]) }), read > 0
        {
          copies.swapAt(0, read)
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
  /// Returns the id in a column; nil if the column holds another value.
  func digest(_ column: Int) -> Digest? { withBytes(column) { Digest(reading: $0) } }
}
