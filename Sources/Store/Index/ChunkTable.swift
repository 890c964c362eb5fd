// The chunks of a store with their lengths, in one flat table: 27 to 54 bytes for each. It answers whether
// the index lists a chunk without a query.
//
// 1. A key is 128 bits of a SHA-256, for which no collision can be constructed (PrefixTables.swift).
// 2. The table is made from rows whose sums were checked. It does not change with the index: a chunk that it
//    lacks must be looked up.

import Codec

/// Maps chunks to their lengths.
struct ChunkTable {
  private var keys: [Digest128]
  private var lengths: [UInt32]
  private var count = 0
  /// The length of a chunk whose rows differ.
  private static let unknown = UInt32.max

  /// Creates an empty table.
  /// - Parameter capacity: the expected number of chunks.
  init(capacity: Int = 0) {
    keys = Array(repeating: .free, count: max(1024, capacity / 3 * 4 + 64))
    lengths = Array(repeating: 0, count: keys.count)
  }

  /// Returns true if the table has a chunk of this length.
  func contains(_ id: Digest, lengthBytes: UInt64) -> Bool {
    let key = Digest128(id)
    let i = slot(key)
    return keys[i] == key && UInt64(lengths[i]) == lengthBytes && lengths[i] != ChunkTable.unknown
  }

  /// Adds a copy of a chunk. Copies of different lengths count as none.
  mutating func add(_ id: Digest, lengthBytes: Int64) {
    let key = Digest128(id)
    if key == .free { return }
    if count * 4 >= keys.count * 3 { grow() }
    let i = slot(key)
    let length = UInt32(exactly: lengthBytes) ?? ChunkTable.unknown
    if keys[i] == key {
      if lengths[i] != length { lengths[i] = ChunkTable.unknown }
      return
    }
    (keys[i], lengths[i]) = (key, length)
    count += 1
  }

  /// Makes the table lack a chunk, so that it must be looked up.
  mutating func exclude(_ id: Digest) {
    let key = Digest128(id)
    if key == .free { return }
    let i = slot(key)
    if keys[i] == key { lengths[i] = ChunkTable.unknown }
  }

  private func slot(_ key: Digest128) -> Int {
    var i = homeSlot(key.word, keys.count)
    while keys[i] != .free, keys[i] != key { i = i + 1 == keys.count ? 0 : i + 1 }
    return i
  }

  private mutating func grow() {
    let (oldKeys, oldLengths) = (keys, lengths)
    keys = Array(repeating: .free, count: oldKeys.count * 2)
    lengths = Array(repeating: 0, count: keys.count)
    for (key, length) in zip(oldKeys, oldLengths) where key != .free {
      let i = slot(key)
      (keys[i], lengths[i]) = (key, length)
    }
  }
}
