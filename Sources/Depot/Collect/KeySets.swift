// Sets of ids in flat memory, for millions of objects: open addressing, at most 3/4 full.

import Codec
import Store

/// A set of 64-bit keys of objects, each with a flag: 11 to 21 bytes a key. Two objects with one key count as one:
/// then an object is kept that could be deleted.
struct NeededObjects {
  private var slots: [UInt64]
  private var flags: [UInt64]
  private(set) var count = 0

  init() {
    slots = Array(repeating: 0, count: 1024)
    flags = Array(repeating: 0, count: 1024 / 64)
  }

  private func slot(_ key: UInt64) -> Int {
    // Fibonacci hashing (Knuth volume 3, section 6.4).
    let mixed = key &* 0x9e37_79b9_7f4a_7c15
    var i = Int(mixed.multipliedFullWidth(by: UInt64(slots.count)).high)
    while slots[i] != 0, slots[i] != key { i = i + 1 == slots.count ? 0 : i + 1 }
    return i
  }

  private static func stored(_ key: UInt64) -> UInt64 { key == 0 ? 1 : key }

  /// Inserts a key; false if the set had it.
  @discardableResult
  mutating func insert(_ key: UInt64) -> Bool {
    let key = NeededObjects.stored(key)
    if count * 4 >= slots.count * 3 { grow() }
    let i = slot(key)
    if slots[i] == key { return false }
    slots[i] = key
    count += 1
    return true
  }

  func contains(_ key: UInt64) -> Bool {
    let key = NeededObjects.stored(key)
    return slots[slot(key)] == key
  }

  /// Sets the flag of a key; false if the set lacks the key, or the flag was set.
  mutating func claim(_ key: UInt64) -> Bool {
    let key = NeededObjects.stored(key)
    let i = slot(key)
    let bit: UInt64 = 1 << UInt64(i & 63)
    guard slots[i] == key, flags[i >> 6] & bit == 0 else { return false }
    flags[i >> 6] |= bit
    return true
  }

  private mutating func grow() {
    let old = slots
    precondition(flags.allSatisfy { $0 == 0 }, "keys are inserted before any is claimed")
    slots = Array(repeating: 0, count: old.count * 2)
    flags = Array(repeating: 0, count: slots.count / 64)
    for key in old where key != 0 { slots[slot(key)] = key }
  }
}

/// A set of 128-bit keys: 21 to 43 bytes a key. No two digests with one key can be made, so it may decide that something
/// is skipped.
struct VisitedSet {
  private var slots: [(UInt64, UInt64)]
  private var count = 0

  init() { slots = Array(repeating: (0, 0), count: 1024) }

  /// Inserts a digest; false if the set had it.
  mutating func insert(_ digest: Digest) -> Bool {
    if count * 4 >= slots.count * 3 {
      let old = slots
      slots = Array(repeating: (0, 0), count: old.count * 2)
      for key in old where key != (0, 0) { slots[slot(key)] = key }
    }
    let words = digest.words
    let key = (words.0, words.1)
    let i = slot(key)
    if slots[i] == key { return false }
    slots[i] = key
    count += 1
    return true
  }

  private func slot(_ key: (UInt64, UInt64)) -> Int {
    let mixed = (key.0 ^ key.1) &* 0x9e37_79b9_7f4a_7c15
    var i = Int(mixed.multipliedFullWidth(by: UInt64(slots.count)).high)
    while slots[i] != (0, 0), slots[i] != key { i = i + 1 == slots.count ? 0 : i + 1 }
    return i
  }
}
