// Finds any of many short texts in one pass over the bytes: the automaton of Aho and Corasick (1975), as a
// table of states. It takes 512 bytes of memory for each byte of all needles.

/// Searches bytes for a set of needles.
struct NeedleSearch: Sendable {
  let needles: [[UInt8]]
  /// The next state, by state and byte.
  private let next: [UInt16]
  /// The numbers of the needles that end in each state.
  private let ends: [[Int]]
  /// Whether a needle ends in each state.
  private let isEnd: [Bool]

  /// Builds the automaton.
  /// - Parameter needles: non-empty texts with fewer than 65,535 bytes together.
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

  /// Returns the end offset of the first needle; nil if there is none.
  func first(in bytes: UnsafeRawBufferPointer) -> Int? {
    scan(bytes) { _, _ in false }
  }

  /// Calls `body` with the number and the end offset of each match.
  func forEach(in bytes: UnsafeRawBufferPointer, _ body: (_ needle: Int, _ end: Int) -> Void) {
    _ = scan(bytes) { state, end in
      for needle in ends[state] { body(needle, end) }
      return true
    }
  }

  /// Walks the states until `body` returns false.
  /// - Parameter body: receives the state and the offset of a match, and returns whether to continue.
  /// - Returns: the offset at which `body` returned false; nil if it never did.
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
