// Matches compiled patterns, with limits on steps and depth.

import Platform

/// Matches by continuations: each node calls `then` with every possible end position, in Perl's order,
/// until one is accepted.
struct PerlPatternMatcher {
  private let subject: [UInt8]
  private var groups: [Range<Int>?]
  private var steps = 0
  private var depth = 0
  private(set) var isExhausted = false
  /// The groups of the last match.
  var groupRanges: [Range<Int>?] { groups }

  init(_ subject: [UInt8], _ groupCount: Int) {
    self.subject = subject
    groups = [Range<Int>?](repeating: nil, count: groupCount)
  }

  mutating func run(_ node: PerlPattern.Node, at start: Int) -> Int? {
    for i in groups.indices { groups[i] = nil }
    var end: Int?
    let matched = match(node, start) { _, position in
      end = position
      return true
    }
    return matched ? end : nil
  }

  typealias Then = (inout PerlPatternMatcher, Int) -> Bool

  private mutating func match(
    _ node: PerlPattern.Node, _ at: Int, _ then: Then
  ) -> Bool {
    steps += 1
    depth += 1
    defer { depth -= 1 }
    if steps > 200_000 || depth > 4000 { isExhausted = true }
    if isExhausted { return false }
    switch node {
    case .empty: return then(&self, at)
    case .byte(let set):
      return at < subject.count && set.contains(subject[at]) && then(&self, at + 1)
    case .start: return at == 0 && then(&self, at)
    case .end: return at == subject.count && then(&self, at)
    case .lineEnd:
      let isEnd =
        at == subject.count || (at + 1 == subject.count && subject[at] == 0x0a)
      return isEnd && then(&self, at)
    case .group(let inner, let number):
      guard let number else { return match(inner, at, then) }
      let before = groups[number - 1]
      let matched = match(inner, at) { matcher, end in
        let inside = matcher.groups[number - 1]
        matcher.groups[number - 1] = at..<end
        if then(&matcher, end) { return true }
        matcher.groups[number - 1] = inside
        return false
      }
      if !matched { groups[number - 1] = before }
      return matched
    case .sequence(let nodes): return sequence(nodes[...], at, then)
    case .alternatives(let branches):
      for branch in branches where match(branch, at, then) { return true }
      return false
    case .repeated(let inner, let least, let most, let isLazy):
      return times(inner, least, most, isLazy, at, then)
    }
  }

  private mutating func sequence(
    _ nodes: ArraySlice<PerlPattern.Node>, _ at: Int, _ then: Then
  ) -> Bool {
    guard let first = nodes.first else { return then(&self, at) }
    return match(first, at) { matcher, end in matcher.sequence(nodes.dropFirst(), end, then) }
  }

  private mutating func times(
    _ node: PerlPattern.Node, _ least: Int, _ most: Int, _ isLazy: Bool, _ at: Int, _ then: Then
  ) -> Bool {
    let mayStop = least == 0
    if mayStop, isLazy, then(&self, at) { return true }
    if most > 0 {
      let more = match(node, at) { matcher, end in
        matcher.times(
          node, max(0, least - 1), most == Int.max ? most : most - 1, isLazy, end, then)
      }
      if more { return true }
    }
    return mayStop && !isLazy && then(&self, at)
  }
}
