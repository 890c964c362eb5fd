// Flat tables keyed by the first words of ids: what is known of millions of objects in a few bytes
// each. Free slots hold key 0; open addressing, at most 3/4 full.
//
// 1. `PrefixSet`, `PrefixMap`: 64 bits. Two ids with one key are taken for one object, which may
//    only ever cost space or time: a "yes" is confirmed, or keeps what could go.
// 2. `Digest128Set`: 128 bits of a SHA-256, which nobody can make collide: it may decide what is skipped.

import Codec

/// The key of an object: kinds are told apart in the low bits.
func prefixKey(_ kind: ObjectKind, _ id: Digest) -> UInt64 {
  let word = id.prefix ^ UInt64(kind.rawValue)
  return word == 0 ? 1 : word
}

/// A set of 64-bit keys: 11 bytes a key where their number is known, else up to 21.
struct PrefixSet {
  private var slots: [UInt64]
  private(set) var count = 0

  /// - Parameter capacity: how many keys are expected.
  init(capacity: Int = 0) { slots = Array(repeating: 0, count: slotCount(for: capacity)) }

  /// False when the key was there.
  @discardableResult
  mutating func insert(_ key: UInt64) -> Bool {
    if count * 4 >= slots.count * 3 { grow() }
    let i = slot(key)
    if slots[i] == key { return false }
    slots[i] = key
    count += 1
    return true
  }

  func contains(_ key: UInt64) -> Bool { slots[slot(key)] == key }

  private func slot(_ key: UInt64) -> Int {
    var i = home(key, slots.count)
    while slots[i] != 0, slots[i] != key { i = i + 1 == slots.count ? 0 : i + 1 }
    return i
  }

  private mutating func grow() {
    let old = slots
    slots = Array(repeating: 0, count: old.count * 2)
    for key in old where key != 0 { slots[slot(key)] = key }
  }
}

/// 64-bit keys with a number each: 16 bytes a key where their number is known, else up to 32.
struct PrefixMap {
  private var keys: [UInt64]
  private var values: [UInt32]
  private(set) var count = 0

  init(capacity: Int = 0) {
    keys = Array(repeating: 0, count: slotCount(for: capacity))
    values = Array(repeating: 0, count: keys.count)
  }

  subscript(key: UInt64) -> UInt32? {
    let i = slot(key)
    return keys[i] == key ? values[i] : nil
  }

  mutating func set(_ key: UInt64, _ value: UInt32) {
    if count * 4 >= keys.count * 3 { grow() }
    let i = slot(key)
    if keys[i] != key {
      keys[i] = key
      count += 1
    }
    values[i] = value
  }

  private func slot(_ key: UInt64) -> Int {
    var i = home(key, keys.count)
    while keys[i] != 0, keys[i] != key { i = i + 1 == keys.count ? 0 : i + 1 }
    return i
  }

  private mutating func grow() {
    let (oldKeys, oldValues) = (keys, values)
    keys = Array(repeating: 0, count: oldKeys.count * 2)
    values = Array(repeating: 0, count: keys.count)
    for (key, value) in zip(oldKeys, oldValues) where key != 0 {
      let i = slot(key)
      keys[i] = key
      values[i] = value
    }
  }
}

/// A set of 128-bit keys: 21-43 bytes a key.
struct Digest128Set {
  struct Key: Equatable {
    let high: UInt64
    let low: UInt64

    /// The first half of a digest.
    init(_ digest: Digest) {
      let words = withUnsafeTemporaryAllocation(byteCount: 32, alignment: 8) { buffer in
        guard let base = buffer.baseAddress else { return (UInt64(0), UInt64(0)) }
        digest.store(to: base)
        return (base.load(as: UInt64.self), base.load(fromByteOffset: 8, as: UInt64.self))
      }
      high = words.0
      low = words.1
    }

    /// Of a directory: tree and times together.
    init(_ ids: Tree.IDs) { self.init(SHA256.digest(of: ids.tree.bytes + ids.times.bytes)) }

    fileprivate init(high: UInt64, low: UInt64) {
      self.high = high
      self.low = low
    }

    fileprivate static let free = Key(high: 0, low: 0)
  }

  private var slots: [Key] = Array(repeating: .free, count: 1024)
  private var count = 0

  /// False when the key was there.
  mutating func insert(_ key: Key) -> Bool {
    if count * 4 >= slots.count * 3 { grow() }
    let i = slot(key)
    if slots[i] == key { return false }
    slots[i] = key
    count += 1
    return true
  }

  private func slot(_ key: Key) -> Int {
    var i = home(key.low, slots.count)
    while slots[i] != .free, slots[i] != key { i = i + 1 == slots.count ? 0 : i + 1 }
    return i
  }

  private mutating func grow() {
    let old = slots
    slots = Array(repeating: .free, count: old.count * 2)
    for key in old where key != .free { slots[slot(key)] = key }
  }
}

/// Slots for that many keys at most 3/4 full.
private func slotCount(for capacity: Int) -> Int { max(1024, capacity / 3 * 4 + 64) }

/// Where the search for a key begins. Keys are uniform, but the index gives them in their order: without
/// mixing (Fibonacci hashing, Knuth volume 3, section 6.4) they would crowd at one end of a table that
/// grows, and each be looked for among all the others.
private func home(_ key: UInt64, _ slots: Int) -> Int {
  let mixed = key &* 0x9e37_79b9_7f4a_7c15
  return Int(mixed.multipliedFullWidth(by: UInt64(slots)).high)
}
