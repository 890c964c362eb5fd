// Compares texts by line and writes the unified format of diff(1). The algorithm is the linear-space form of
// E. Myers, "An O(ND) Difference Algorithm and Its Variations" (1986).
//
// 1. The changes always turn the old text into the new one.
// 2. They are the shortest such script, unless a part differs in more than `costLimit` lines. That part is
//    split at the furthest point of the search, so that the time stays near-linear.

/// A run of lines that was replaced by another. Either may be empty.
struct LineChange: Equatable {
  let old: Range<Int>
  let new: Range<Int>
}

/// Compares two texts, line by line.
struct LineDiff {
  /// Lines with their newlines. The last line may have none.
  let old: [ArraySlice<UInt8>]
  let new: [ArraySlice<UInt8>]
  let changes: [LineChange]

  init(_ old: [UInt8], _ new: [UInt8]) {
    self.old = LineDiff.lines(old)
    self.new = LineDiff.lines(new)
    var numbers: [ArraySlice<UInt8>: Int] = [:]
    func number(_ line: ArraySlice<UInt8>) -> Int {
      if let known = numbers[line] { return known }
      numbers[line] = numbers.count
      return numbers.count - 1
    }
    var search = Search(a: self.old.map(number), b: self.new.map(number))
    changes = search.run()
  }

  private static func lines(_ bytes: [UInt8]) -> [ArraySlice<UInt8>] {
    var lines: [ArraySlice<UInt8>] = []
    var start = 0
    while start < bytes.count {
      let end = bytes[start...].firstIndex(of: 0x0a).map { $0 + 1 } ?? bytes.count
      lines.append(bytes[start..<end])
      start = end
    }
    return lines
  }
}

/// The search over two sequences of numbers.
private struct Search {
  let a: [Int]
  let b: [Int]
  private var removed: [Bool]
  private var added: [Bool]
  /// The furthest old positions by diagonal, from the front and from the back.
  private var forward: [Int]
  private var backward: [Int]
  private let origin: Int

  static let costLimit = 2048

  init(a: [Int], b: [Int]) {
    self.a = a
    self.b = b
    removed = [Bool](repeating: false, count: a.count)
    added = [Bool](repeating: false, count: b.count)
    origin = b.count + 1
    forward = [Int](repeating: 0, count: a.count + b.count + 3)
    backward = forward
  }

  mutating func run() -> [LineChange] {
    mark(0..<a.count, 0..<b.count)
    var changes: [LineChange] = []
    var i = 0
    var j = 0
    while i < a.count || j < b.count {
      let (oldStart, newStart) = (i, j)
      while i < a.count, removed[i] { i += 1 }
      while j < b.count, added[j] { j += 1 }
      if i > oldStart || j > newStart {
        changes.append(LineChange(old: oldStart..<i, new: newStart..<j))
      }
      i += 1
      j += 1
    }
    return changes
  }

  /// Marks the lines that differ between two ranges. Recursion is shallow, because it takes the smaller part.
  private mutating func mark(_ old: Range<Int>, _ new: Range<Int>) {
    var (old, new) = (old, new)
    while true {
      while let i = old.first, let j = new.first, a[i] == b[j] {
        old = (i + 1)..<old.upperBound
        new = (j + 1)..<new.upperBound
      }
      while let i = old.last, let j = new.last, a[i] == b[j] {
        old = old.lowerBound..<i
        new = new.lowerBound..<j
      }
      if old.isEmpty || new.isEmpty {
        for i in old { removed[i] = true }
        for j in new { added[j] = true }
        return
      }
      let (x, y) = split(old, new)
      precondition(
        (x, y) != (old.lowerBound, new.lowerBound) && (x, y) != (old.upperBound, new.upperBound))
      // Recurses into the smaller part and loops over the larger one.
      let isFirstSmaller =
        x - old.lowerBound + y - new.lowerBound < old.upperBound - x + new.upperBound - y
      if isFirstSmaller {
        mark(old.lowerBound..<x, new.lowerBound..<y)
        (old, new) = (x..<old.upperBound, y..<new.upperBound)
      } else {
        mark(x..<old.upperBound, y..<new.upperBound)
        (old, new) = (old.lowerBound..<x, new.lowerBound..<y)
      }
    }
  }

  /// Returns a point of a shortest path that is neither corner. Neither range may be empty, and their first
  /// and last lines must differ.
  private mutating func split(_ old: Range<Int>, _ new: Range<Int>) -> (Int, Int) {
    let (x0, x1, y0, y1) = (old.lowerBound, old.upperBound, new.lowerBound, new.upperBound)
    let front = x0 - y0
    let back = x1 - y1
    let isOdd = (front - back) & 1 != 0
    let (lowest, highest) = (x0 - y1, x1 - y0)
    forward[front + origin] = x0
    backward[back + origin] = x1
    var (frontLow, frontHigh) = (front, front)
    var (backLow, backHigh) = (back, back)
    var cost = 0
    while true {
      cost += 1
      // From the front: one step on every diagonal inside the ranges.
      widen(&frontLow, &frontHigh, lowest, highest) { forward[$0 + origin] = -1 }
      for k in stride(from: frontHigh, through: frontLow, by: -2) {
        let below = forward[k - 1 + origin]
        let above = forward[k + 1 + origin]
        var x = below >= above ? below + 1 : above
        while x < x1, x - k < y1, a[x] == b[x - k] { x += 1 }
        forward[k + origin] = x
        if isOdd, k >= backLow, k <= backHigh, backward[k + origin] <= x { return (x, x - k) }
      }
      widen(&backLow, &backHigh, lowest, highest) { backward[$0 + origin] = .max }
      for k in stride(from: backHigh, through: backLow, by: -2) {
        let below = backward[k - 1 + origin]
        let above = backward[k + 1 + origin]
        var x = below < above ? below : above - 1
        while x > x0, x - k > y0, a[x - 1] == b[x - k - 1] { x -= 1 }
        backward[k + origin] = x
        if !isOdd, k >= frontLow, k <= frontHigh, x <= forward[k + origin] { return (x, x - k) }
      }
      if cost >= Search.costLimit { return furthest(old, new, frontLow, frontHigh) }
    }
  }

  /// Adds a diagonal at each side, or drops one at the border. `close` marks the next one as unreachable.
  private func widen(
    _ low: inout Int, _ high: inout Int, _ lowest: Int, _ highest: Int,
    _ close: (Int) -> Void
  ) {
    if low > lowest {
      low -= 1
      close(low - 1)
    } else {
      low += 1
    }
    if high < highest {
      high += 1
      close(high + 1)
    } else {
      high -= 1
    }
  }

  /// Returns the furthest point that the search from the front has reached.
  private func furthest(
    _ old: Range<Int>, _ new: Range<Int>, _ low: Int, _ high: Int
  ) -> (Int, Int) {
    var best = (old.lowerBound, new.lowerBound)
    for k in stride(from: high, through: low, by: -2) {
      let x = min(forward[k + origin], old.upperBound)
      let y = x - k
      guard y >= new.lowerBound, y <= new.upperBound else { continue }
      if x + y > best.0 + best.1 { best = (x, y) }
    }
    return best
  }
}

/// Returns the unified format of `diff -u` (POSIX diff, "Diff -u Output Format"). Empty for equal texts.
func unifiedDiff(
  _ old: [UInt8], _ new: [UInt8], oldName: String, newName: String, context: Int
) -> [UInt8] {
  let diff = LineDiff(old, new)
  if diff.changes.isEmpty { return [] }
  var output = Array("--- \(oldName)\n+++ \(newName)\n".utf8)
  func put(_ sign: UInt8, _ line: ArraySlice<UInt8>) {
    output.append(sign)
    output += line
    if line.last != 0x0a { output += Array("\n\\ No newline at end of file\n".utf8) }
  }
  func span(_ range: Range<Int>) -> String {
    range.count == 1
      ? "\(range.lowerBound + 1)"
      : "\(range.isEmpty ? range.lowerBound : range.lowerBound + 1),\(range.count)"
  }
  var i = 0
  while i < diff.changes.count {
    // Changes whose contexts touch share a hunk.
    var j = i
    while j + 1 < diff.changes.count,
      diff.changes[j + 1].old.lowerBound - diff.changes[j].old.upperBound <= 2 * context
    { j += 1 }
    let first = diff.changes[i]
    let last = diff.changes[j]
    let lead = min(context, first.old.lowerBound)
    let tail = min(context, diff.old.count - last.old.upperBound)
    let oldRange = first.old.lowerBound - lead..<last.old.upperBound + tail
    let newRange = first.new.lowerBound - lead..<last.new.upperBound + tail
    output += Array("@@ -\(span(oldRange)) +\(span(newRange)) @@\n".utf8)
    var at = oldRange.lowerBound
    for change in diff.changes[i...j] {
      for line in diff.old[at..<change.old.lowerBound] { put(0x20, line) }
      for line in diff.old[change.old] { put(0x2d, line) }
      for line in diff.new[change.new] { put(0x2b, line) }
      at = change.old.upperBound
    }
    for line in diff.old[at..<oldRange.upperBound] { put(0x20, line) }
    i = j + 1
  }
  return output
}
