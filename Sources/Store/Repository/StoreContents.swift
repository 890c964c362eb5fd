// Counts of everything in a store, so that users can see where the space goes.

import Platform
import SQLite

/// Counts and sizes of the objects and packs.
public struct StoreContents: Sendable {
  /// The objects of one kind.
  public struct Kind: Sendable {
    public let kind: ObjectKind
    public let count: Int
    /// The size before compression.
    public let rawBytes: UInt64
  }
  public let kinds: [Kind]
  public let packs: Int
  public let packBytes: UInt64
  public let doomedPacks: Int
  public let doomedBytes: UInt64
  public let frames: Int
  /// The size of all frames before compression.
  public let rawBytes: UInt64
}

extension ObjectStore {
  /// Counts the contents of the packs, each copy of an object separately.
  /// - Throws: `StoreError` of kind `index`.
  public func contents() throws(StoreError) -> StoreContents {
    try index.query { database in
      func unsigned(_ value: Int64) -> UInt64 { UInt64(max(0, value)) }
      var kinds: [StoreContents.Kind] = []
      try database.statement(
        "SELECT kind, count(*), coalesce(sum(length), 0) FROM object GROUP BY kind ORDER BY kind"
      ).rows { row in
        guard let kind = ObjectKind(rawValue: UInt8(truncatingIfNeeded: row.integer(0))) else {
          return
        }
        kinds.append(
          .init(kind: kind, count: Int(row.integer(1)), rawBytes: unsigned(row.integer(2))))
      }
      var packs: [(count: Int, bytes: UInt64)] = [(0, 0), (0, 0)]
      try database.statement("SELECT doomed, count(*), sum(size) FROM pack GROUP BY doomed")
        .rows { row in
          packs[row.integer(0) == 0 ? 0 : 1] = (Int(row.integer(1)), unsigned(row.integer(2)))
        }
      let frames = try database.statement("SELECT count(*), coalesce(sum(raw), 0) FROM frame")
        .first { (Int($0.integer(0)), unsigned($0.integer(1))) }
      return StoreContents(
        kinds: kinds, packs: packs[0].count, packBytes: packs[0].bytes,
        doomedPacks: packs[1].count, doomedBytes: packs[1].bytes, frames: frames?.0 ?? 0,
        rawBytes: frames?.1 ?? 0)
    }
  }
}
