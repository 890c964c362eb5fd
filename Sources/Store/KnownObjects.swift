// "Do we have it?", asked once per chunk and mostly answered without SQLite.
//
// A flat table of 8-byte id prefixes answers "no" for certain; only a "yes" is confirmed in the
// index. What this session has itself claimed is held exactly.

import Codec
import Platform

/// The objects that a session need not store. Any thread may call it.
final class KnownObjects: Sendable {
  private struct State {
    var table: PrefixTable?
    var claimed: Set<Key> = []
  }

  private struct Key: Hashable {
    let kind: ObjectKind
    let id: Digest
    func hash(into hasher: inout Hasher) { hasher.combine(id) }
  }

  private let index: Index
  private let state = Monitor(State())

  init(_ index: Index) { self.index = index }

  /// True when the caller must store the object; false when the store has it, or another caller
  /// of this session has undertaken to store it.
  func claim(_ kind: ObjectKind, _ id: Digest) throws(StoreError) -> Bool {
    let key = Key(kind: kind, id: id)
    return try state.withLock { state throws(StoreError) in
      if state.claimed.contains(key) { return false }
      if state.table == nil {
        var table = PrefixTable()
        try index.forEachID { kind, id in table.insert(PrefixTable.key(kind, id)) }
        state.table = table
      }
      if state.table?.contains(PrefixTable.key(kind, id)) == true,
        try index.place(kind, id) != nil
      {
        return false
      }
      state.claimed.insert(key)
      return true
    }
  }
}

/// A set of 64-bit words by open addressing, at most 3/4 full: 11-21 bytes a word.
struct PrefixTable {
  private var slots: [UInt64] = Array(repeating: 0, count: 1024)
  private var count = 0

  /// Kinds are told apart in the low bits; 0 means "free", so no key is 0.
  static func key(_ kind: ObjectKind, _ id: Digest) -> UInt64 {
    let word = id.prefix ^ UInt64(kind.rawValue)
    return word == 0 ? 1 : word
  }

  mutating func insert(_ key: UInt64) {
    if count * 4 >= slots.count * 3 { grow() }
    var i = Int(truncatingIfNeeded: key >> 16) & (slots.count - 1)
    while slots[i] != 0 {
      if slots[i] == key { return }
      i = (i + 1) & (slots.count - 1)
    }
    slots[i] = key
    count += 1
  }

  func contains(_ key: UInt64) -> Bool {
    var i = Int(truncatingIfNeeded: key >> 16) & (slots.count - 1)
    while slots[i] != 0 {
      if slots[i] == key { return true }
      i = (i + 1) & (slots.count - 1)
    }
    return false
  }

  private mutating func grow() {
    let old = slots
    slots = Array(repeating: 0, count: old.count * 2)
    count = 0
    for key in old where key != 0 { insert(key) }
  }
}
