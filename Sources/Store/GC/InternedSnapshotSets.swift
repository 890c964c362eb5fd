// Interned sets of snapshots: each set is stored once under a number. Histories that change slowly have few
// sets, however many objects there are.

/// Holds numbered sets of small numbers. Set 0 is the empty set.
struct InternedSnapshotSets {
  private var sets: [[UInt64]] = [[]]
  private var numbers: [[UInt64]: UInt32] = [[]: 0]
  private var unions: [UInt64: UInt32] = [:]

  var count: Int { sets.count }

  /// Returns the set with one member.
  mutating func single(_ member: Int) -> UInt32 {
    var words = [UInt64](repeating: 0, count: member / 64 + 1)
    words[member / 64] = 1 << UInt64(member % 64)
    return number(words)
  }

  /// Returns the set with some members.
  mutating func set(of members: [Int]) -> UInt32 {
    guard let last = members.max() else { return 0 }
    var words = [UInt64](repeating: 0, count: last / 64 + 1)
    for member in members { words[member / 64] |= 1 << UInt64(member % 64) }
    return number(words)
  }

  /// Calls `body` with each member of a set.
  func forEachMember(of set: Int, _ body: (Int) -> Void) {
    for (i, word) in sets[set].enumerated() {
      var rest = word
      while rest != 0 {
        body(i * 64 + rest.trailingZeroBitCount)
        rest &= rest - 1
      }
    }
  }

  /// Returns the union of two sets.
  mutating func union(_ a: UInt32, _ b: UInt32) -> UInt32 {
    if a == b || b == 0 { return a }
    if a == 0 { return b }
    let key = UInt64(min(a, b)) << 32 | UInt64(max(a, b))
    if let known = unions[key] { return known }
    let (x, y) = (sets[Int(a)], sets[Int(b)])
    let words = (0..<max(x.count, y.count)).map {
      (x.indices.contains($0) ? x[$0] : 0) | (y.indices.contains($0) ? y[$0] : 0)
    }
    let result = number(words)
    unions[key] = result
    return result
  }

  private mutating func number(_ words: [UInt64]) -> UInt32 {
    if let known = numbers[words] { return known }
    let new = UInt32(sets.count)
    sets.append(words)
    numbers[words] = new
    return new
  }

  /// Returns true if every member of the set is in `members`.
  func isSubset(_ set: Int, of members: UInt32) -> Bool {
    let other = sets[Int(members)]
    return sets[set].enumerated().allSatisfy { i, word in
      word & ~(i < other.count ? other[i] : 0) == 0
    }
  }

  func intersects(_ set: Int, _ members: UInt32) -> Bool {
    zip(sets[set], sets[Int(members)]).contains { $0 & $1 != 0 }
  }
}
