// Checksums of the index over its own rows, to find bit rot that SQLite does not notice.
//
// 1. A pack's row holds the number of its objects and a sum over its frames and objects. The sum does not
//    depend on their order.
// 2. A decision based on the *absence* of rows (gc: "this blob has no recipe") reads all rows and compares
//    the sums first. A single lookup is checked against the frame that it leads to.

import Codec
import SQLite

/// Computes the sum over the rows of one pack.
struct RowChecksum: Equatable {
  private(set) var objects: Int64 = 0
  private(set) var value: UInt64

  init(_ pack: Digest, sizeBytes: Int64) {
    value = mix(mix(pack.prefix) ^ UInt64(bitPattern: sizeBytes))
  }

  mutating func addFrame(offset: Int64, frameBytes: Int64, rawBytes: Int64, depth: Int64) {
    value &+= mix(
      mix(mix(UInt64(bitPattern: offset)) ^ UInt64(bitPattern: frameBytes))
        ^ UInt64(bitPattern: rawBytes) ^ UInt64(bitPattern: depth << 48))
  }

  mutating func addObject(_ id: Digest, kind: Int64, frame: Int64, start: Int64, length: Int64) {
    let (a, b, c, d) = id.words
    let location = mix(UInt64(bitPattern: frame)) ^ UInt64(bitPattern: start)
    let extent = mix(location) ^ UInt64(bitPattern: length << 8 | kind & 0xff)
    value &+= mix((a ^ b &* 3 ^ c &* 5 ^ d &* 7) &+ mix(extent))
    objects += 1
  }

  /// The sum as SQLite stores it.
  var stored: Int64 { Int64(bitPattern: value) }
}

/// The finalizer of splitmix64: every bit of the argument affects every bit of the result.
private func mix(_ word: UInt64) -> UInt64 {
  var z = word &+ 0x9e37_79b9_7f4a_7c15
  z = (z ^ (z >> 30)) &* 0xbf58_476d_1ce4_e5b9
  z = (z ^ (z >> 27)) &* 0x94d0_49bb_1331_11eb
  return z ^ (z >> 31)
}

extension Index {
  /// Reads every row and compares the sums. An index whose sums do not match is rebuilt.
  /// - Returns: the objects of one kind, by `prefixKey`.
  func checkedIDs(of kind: ObjectKind? = nil) throws(StoreError) -> PrefixSet {
    try checkedRows {
      PrefixSet()
    } object: { ids, rowKind, id, _ in
      if rowKind == kind { ids.insert(prefixKey(rowKind, id)) }
    }
  }

  /// Reads every row and compares the sums. An index whose sums do not match is rebuilt.
  /// - Returns: the chunks.
  func checkedChunks() throws(StoreError) -> ChunkTable {
    let count = try estimatedCount()
    return try checkedRows {
      ChunkTable(capacity: count)
    } object: { chunks, kind, id, lengthBytes in
      if kind == .chunk { chunks.add(id, lengthBytes: lengthBytes) }
    }
  }

  /// Collects the objects of all rows, and compares the sums.
  private func checkedRows<R>(
    _ start: () -> R, object: (inout R, ObjectKind, Digest, _ lengthBytes: Int64) -> Void
  ) throws(StoreError) -> R {
    try query { database in
      database.endReading()
      try database.execute("BEGIN")
      defer { try? database.execute("COMMIT") }
      // A repeated query begins again.
      var result = start()
      try database.checkRows { object(&result, $0, $1, $2) }
      return result
    }
  }
}

extension Database {
  /// Compares the sums of all rows, and reports the objects.
  fileprivate func checkRows(
    _ object: (ObjectKind, Digest, _ lengthBytes: Int64) -> Void
  ) throws {
    var numbers: [Int64: Int] = [:]
    var sums: [RowChecksum] = []
    var expected: [(objects: Int64, sum: Int64)] = []
    try statement("SELECT id, name, size, objects, sum FROM pack").rows { row in
      guard let name = row.digest(1), row.integer(0) == packNumber(name) else {
        throw StoreError.impossibleRow("pack")
      }
      numbers[row.integer(0)] = sums.count
      sums.append(RowChecksum(name, sizeBytes: row.integer(2)))
      expected.append((row.integer(3), row.integer(4)))
    }
    try statement("SELECT pack, offset, stored, raw, depth FROM frame").rows { row in
      guard let pack = numbers[row.integer(0)] else { throw StoreError.impossibleRow("frame") }
      sums[pack].addFrame(
        offset: row.integer(1), frameBytes: row.integer(2), rawBytes: row.integer(3),
        depth: row.integer(4))
    }
    try statement("SELECT id, kind, pack, frame, start, length FROM object").rows { row in
      guard let pack = numbers[row.integer(2)], let id = row.digest(0),
        let kind = ObjectKind(rawValue: UInt8(truncatingIfNeeded: row.integer(1)))
      else { throw StoreError.impossibleRow("object") }
      sums[pack].addObject(
        id, kind: row.integer(1), frame: row.integer(3), start: row.integer(4),
        length: row.integer(5))
      object(kind, id, row.integer(5))
    }
    for (sum, row) in zip(sums, expected)
    where sum.objects != row.objects || sum.stored != row.sum {
      throw StoreError(.index, "the index", "has rows that do not match their checksum")
    }
  }
}

extension StoreError {
  /// Returns the error for a row that imgstore cannot have written.
  static func impossibleRow(_ table: String) -> StoreError {
    StoreError(
      .index, "the index", "has an impossible row in its table \(table)",
      hint: "Run 'imgstore reindex'")
  }
}
