// Flat tables keyed by the first words of ids. They store facts about millions of objects in a few bytes
// each. Free slots hold key 0; open addressing, at most 3/4 full.
//
// 1. `PrefixSet`, `PrefixMap`: 64 bits. Two ids with one key are treated as one object, which may only cost
//    space or time. A "yes" is confirmed, or keeps an object that could be deleted.
// 2. `Digest128Set`: 128 bits of a SHA-256, for which no collision can be constructed. It may decide that
//    an object is skipped.

import Codec

/// Returns the key of an object. The low bits distinguish kinds.
func prefixKey(_ kind: ObjectKind, _ id: Digest) -> UInt64 {
  let word = id.prefix ^ UInt64(kind.rawValue)
  return word == 0 ? 1 : word
}

/// A key of a table. One value marks free slots.
protocol TableKey: Equatable, Sendable {
  static var free: Self { get }
  /// The word that decides the slot.
  var word: UInt64 { get }
}

extension UInt64: TableKey {
  static let free: UInt64 = 0
  var word: UInt64 { self }
}

/// A set of 64-bit keys: 11 bytes a key if their number is known in advance, otherwise up to 21.
typealias PrefixSet = KeySet<UInt64>
/// A set of 128-bit keys: 21-43 bytes a key.
typealias Digest128Set = KeySet<Digest128>

/// A set of keys.
struct KeySet<Key: TableKey>: Sendable {
  private var slots: [Key]
  private(set) var count = 0

  /// Creates an empty set.
  /// - Parameter capacity: the expected number of keys.
  init(capacity: Int = 0) { slots = Array(repeating: .free, count: slotCount(for: capacity)) }

  /// Inserts a key; false if the set contained it.
  @discardableResult
  mutating func insert(_ key: Key) -> Bool {
    if count * 4 >= slots.count * 3 { grow() }
    let i = slot(key)
    if slots[i] == key { return false }
    slots[i] = key
    count += 1
    return true
  }

  func contains(_ key: Key) -> Bool { slots[slot(key)] == key }

  /// Returns true if `predicate` is true for every key.
  func allSatisfy(_ predicate: (Key) -> Bool) -> Bool {
    slots.allSatisfy { $0 == .free || predicate($0) }
  }

  private func slot(_ key: Key) -> Int {
    var i = homeSlot(key.word, slots.count)
    while slots[i] != .free, slots[i] != key { i = i + 1 == slots.count ? 0 : i + 1 }
    return i
  }

  private mutating func grow() {
    let old = slots
    slots = Array(repeating: .free, count: old.count * 2)
    for key in old where key != .free { slots[slot(key)] = key }
  }
}

/// Maps 64-bit keys to numbers: 16 bytes a key if their number is known in advance, otherwise up to 32.
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
    var i = homeSlot(key, keys.count)
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

/// The first half of a digest, as a key.
struct Digest128: TableKey {
  static let free = Digest128(high: 0, low: 0)
  private let high: UInt64
  private let low: UInt64
  var word: UInt64 { low }

  init(_ digest: Digest) {
    (high, low) = withUnsafeTemporaryAllocation(byteCount: 32, alignment: 8) { buffer in
      guard let base = buffer.baseAddress else { return (0, 0) }
      digest.store(to: base)
      return (base.load(as: UInt64.self), base.load(fromByteOffset: 8, as: UInt64.self))
    }
  }

  /// Creates the key of an object. The low bits distinguish kinds.
  init(_ kind: ObjectKind, _ id: Digest) {
    let key = Digest128(id)
    self.init(high: key.high, low: key.low ^ UInt64(kind.rawValue))
  }

  /// Creates the key of a directory from its tree and times together.
  init(_ ids: Tree.IDs) { self.init(SHA256.digest(of: ids.tree.bytes + ids.times.bytes)) }

  private init(high: UInt64, low: UInt64) { (self.high, self.low) = (high, low) }
}

/// Returns the number of slots at which so many keys fill a table at most to 3/4.
private func slotCount(for capacity: Int) -> Int { max(1024, capacity / 3 * 4 + 64) }

/// Returns the first slot of a key. Keys are uniform, but the index lists them in order. Without mixing
/// (Fibonacci hashing, Knuth volume 3, section 6.4) they would cluster at one end of a growing table.
func homeSlot(_ key: UInt64, _ slots: Int) -> Int {
  let mixed = key &* 0x9e37_79b9_7f4a_7c15
  return Int(mixed.multipliedFullWidth(by: UInt64(slots)).high)
}
