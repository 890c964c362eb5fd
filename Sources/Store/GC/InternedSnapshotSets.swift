// Interned sets of snapshots: each set is stored once under a number. Histories that change slowly have few
// sets, however many objects there are.
//
// A set is a list of ranges, because a file belongs to snapshots that follow each other: one range, or a few
// for a file that several images have. As bits, the sets of 5,000 snapshots took 100 MB.

/// Holds numbered sets of small numbers. Set 0 is the empty set.
struct InternedSnapshotSets {
  /// Ranges that neither overlap nor touch, ascending: first member, first number behind, and so on.
  private typealias Bounds = [UInt32]

  private var sets: [Bounds] = [[]]
  private var numbers: [Bounds: UInt32] = [[]: 0]
  private var unions: [UInt64: UInt32] = [:]

  var count: Int { sets.count }

  /// Returns the set with one member.
  mutating func single(_ member: Int) -> UInt32 {
    number([UInt32(member), UInt32(member) + 1])
  }

  /// Returns the set with some members.
  mutating func set(of members: [Int]) -> UInt32 {
    var bounds: Bounds = []
    for member in members.sorted() {
      InternedSnapshotSets.append(UInt32(member), UInt32(member) + 1, to: &bounds)
    }
    return number(bounds)
  }

  /// Returns for each member the sum of the values of the sets that it is in.
  /// - Parameters:
  ///   - values: a value for each set.
  ///   - sets: the sets that count.
  ///   - count: the number of members.
  func sums(of values: [UInt64], in sets: [Int], members count: Int) -> [UInt64] {
    var sums = [UInt64](repeating: 0, count: count)
    for set in sets {
      let bounds = self.sets[set]
      for i in stride(from: 0, to: bounds.count, by: 2) {
        for member in bounds[i]..<bounds[i + 1] { sums[Int(member)] += values[set] }
      }
    }
    return sums
  }

  /// Returns the union of two sets.
  mutating func union(_ a: UInt32, _ b: UInt32) -> UInt32 {
    if a == b || b == 0 { return a }
    if a == 0 { return b }
    let key = UInt64(min(a, b)) << 32 | UInt64(max(a, b))
    if let known = unions[key] { return known }
    let (x, y) = (sets[Int(a)], sets[Int(b)])
    var bounds: Bounds = []
    bounds.reserveCapacity(x.count + y.count)
    var (i, j) = (0, 0)
    while i < x.count || j < y.count {
      if j == y.count || i < x.count && x[i] <= y[j] {
        InternedSnapshotSets.append(x[i], x[i + 1], to: &bounds)
        i += 2
      } else {
        InternedSnapshotSets.append(y[j], y[j + 1], to: &bounds)
        j += 2
      }
    }
    let result = number(bounds)
    unions[key] = result
    return result
  }

  /// Appends a range that does not begin before the last one.
  private static func append(_ lower: UInt32, _ upper: UInt32, to bounds: inout Bounds) {
    if let last = bounds.last, lower <= last {
      bounds[bounds.count - 1] = max(last, upper)
    } else {
      bounds.append(lower)
      bounds.append(upper)
    }
  }

  private mutating func number(_ bounds: Bounds) -> UInt32 {
    if let known = numbers[bounds] { return known }
    let new = UInt32(sets.count)
    sets.append(bounds)
    numbers[bounds] = new
    return new
  }

  /// Returns true if every member of the set is in `members`.
  func isSubset(_ set: Int, of members: UInt32) -> Bool {
    let (bounds, other) = (sets[set], sets[Int(members)])
    var j = 0
    for i in stride(from: 0, to: bounds.count, by: 2) {
      while j < other.count, other[j + 1] < bounds[i + 1] { j += 2 }
      guard j < other.count, other[j] <= bounds[i] else { return false }
    }
    return true
  }

  /// Returns true if a member of the set is in `members`.
  func intersects(_ set: Int, _ members: UInt32) -> Bool {
    let (x, y) = (sets[set], sets[Int(members)])
    var (i, j) = (0, 0)
    while i < x.count, j < y.count {
      if x[i] < y[j + 1], y[j] < x[i + 1] { return true }
      if x[i + 1] <= y[j + 1] { i += 2 } else { j += 2 }
    }
    return false
  }
}
