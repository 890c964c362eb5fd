// Finds any of many short texts in one pass over the bytes, by the automaton of Aho and Corasick (1975) as a
// table of states. Memory: half a KiB for each byte of all needles.

/// Finds needles.
struct NeedleSearch: Sendable {
  let needles: [[UInt8]]
  /// The next state, by state and byte.
  private let next: [UInt16]
  /// Needles that end in a state, by their numbers.
  private let ends: [[Int]]
  /// By state: a needle ends here.
  private let isEnd: [Bool]

  /// - Parameter needles: none empty; together fewer than 65,535 bytes.
  init(_ needles: [[UInt8]]) {
    self.needles = needles
    var next = [[Int]](repeating: [Int](repeating: -1, count: 256), count: 1)
    var ends: [[Int]] = [[]]
    for (number, needle) in needles.enumerated() {
      var state = 0
      for byte in needle {
        if next[state][Int(byte)] < 0 {
          next[state][Int(byte)] = next.count
          next.append([Int](repeating: -1, count: 256))
          ends.append([])
        }
        state = next[state][Int(byte)]
      }
      ends[state].append(number)
    }
    precondition(next.count < Int(UInt16.max))
    var fallback = [Int](repeating: 0, count: next.count)
    var queue: [Int] = []
    for byte in 0..<256 {
      if next[0][byte] < 0 {
        next[0][byte] = 0
      } else {
        queue.append(next[0][byte])
      }
    }
    var at = 0
    while at < queue.count {
      let state = queue[at]
      at += 1
      ends[state] += ends[fallback[state]]
      for byte in 0..<256 {
        let target = next[state][byte]
        let other = next[fallback[state]][byte]
        if target < 0 {
          next[state][byte] = other
        } else {
          fallback[target] = other
          queue.append(target)
        }
      }
    }
    self.next = next.flatMap { $0.map(UInt16.init) }
    self.ends = ends
    isEnd = ends.map { !$0.isEmpty }
  }

  /// Where the first needle ends; nil where there is none.
  func first(in bytes: UnsafeRawBufferPointer) -> Int? {
    scan(bytes) { _, _ in false }
  }

  /// Calls `body` with each needle that ends, and where.
  func forEach(in bytes: UnsafeRawBufferPointer, _ body: (_ needle: Int, _ end: Int) -> Void) {
    _ = scan(bytes) { state, end in
      for needle in ends[state] { body(needle, end) }
      return true
    }
  }

  /// - Parameter body: says whether to go on.
  private func scan(_ bytes: UnsafeRawBufferPointer, _ body: (Int, Int) -> Bool) -> Int? {
    next.withUnsafeBufferPointer { next in
      isEnd.withUnsafeBufferPointer { isEnd in
        var state = 0
        var i = 0
        while i < bytes.count {
          state = Int(next[state << 8 | Int(bytes[i])])
          i += 1
          if isEnd[state], !body(state, i) { return i }
        }
        return nil
      }
    }
  }
}
