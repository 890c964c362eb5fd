// Patterns as xCAT's tables hold them: the part of Perl's regular expressions that node names need,
// matched as Perl does (leftmost, first alternative, greedy or lazy). What is not in this part is
// refused when the pattern is read: never matched otherwise than Perl would.
//
// In: literals, `.`, classes `[a-z]` `[^…]`, `\d \w \s \D \W \S`, groups, `(?:…)`, `|`, `^`, `$`,
// `\z`, `\A`, `* + ? {m} {m,} {m,n}` and their lazy forms. Out: everything else.
//
// Matching backtracks; a budget of steps and a limit of depth end what would take for ever.

import Platform

/// A pattern.
public struct PerlPattern: Sendable {
  indirect enum Node: Sendable {
    case empty
    case byte(ByteSet)
    case start
    /// `$`: the end, or before a line break at the end.
    case lineEnd
    case end
    case group(Node, number: Int?)
    case sequence([Node])
    case alternatives([Node])
    case repeated(Node, least: Int, most: Int, isLazy: Bool)
  }

  /// What a match took.
  public struct Match: Sendable, Equatable {
    /// Byte offsets.
    public let range: Range<Int>
    /// Of each group, from the first on; nil where it took no part.
    public let groups: [Range<Int>?]
  }

  let text: String
  private let root: Node
  private let groupCount: Int

  /// - Throws: `XCATError` for a pattern that has parts which we do not know.
  public init(_ text: String) throws(XCATError) {
    var parser = PatternParser(text)
    root = try parser.parse()
    groupCount = parser.groupCount
    self.text = text
  }

  /// The leftmost match; nil where there is none.
  /// - Throws: `XCATError` where matching takes too long.
  public func firstMatch(in subject: String) throws(XCATError) -> Match? {
    let bytes = Array(subject.utf8)
    let tooLong = XCATError(
      "pattern '\(text)'", "takes too long to match against '\(subject.prefix(80))'",
      advice: "Write it without repetitions inside repetitions")
    guard bytes.count <= 1024 else { throw tooLong }
    var matcher = Matcher(bytes, groupCount)
    for start in 0...bytes.count {
      let end = matcher.run(root, at: start)
      if matcher.isExhausted { throw tooLong }
      if let end { return Match(range: start..<end, groups: matcher.found) }
    }
    return nil
  }
}

// MARK: - Reading

private struct PatternParser {
  private let text: String
  private let bytes: [UInt8]
  private var at = 0
  private var depth = 0
  var groupCount = 0

  init(_ text: String) {
    self.text = text
    bytes = Array(text.utf8)
  }

  private func refuse(_ finding: String) -> XCATError {
    XCATError(
      "pattern '\(text)'", finding, advice: "Name the nodes without a pattern, or simplify it")
  }

  private var next: UInt8? { at < bytes.count ? bytes[at] : nil }

  mutating func parse() throws(XCATError) -> PerlPattern.Node {
    guard bytes.count <= 1024 else { throw refuse("is longer than 1024 bytes") }
    guard bytes.allSatisfy({ $0 < 0x80 && $0 >= 0x20 }) else {
      throw refuse("has characters other than those of ASCII")
    }
    let node = try alternatives()
    guard at == bytes.count else { throw refuse("has a ')' too many") }
    return node
  }

  private mutating func alternatives() throws(XCATError) -> PerlPattern.Node {
    depth += 1
    defer { depth -= 1 }
    guard depth <= 32 else { throw refuse("has more than 32 groups inside each other") }
    var branches = [try sequence()]
    while next == UInt8(ascii: "|") {
      at += 1
      branches.append(try sequence())
    }
    return branches.count == 1 ? branches[0] : .alternatives(branches)
  }

  private mutating func sequence() throws(XCATError) -> PerlPattern.Node {
    var nodes: [PerlPattern.Node] = []
    while let byte = next, byte != UInt8(ascii: "|"), byte != UInt8(ascii: ")") {
      nodes.append(try quantified(try atom()))
    }
    return nodes.isEmpty ? .empty : .sequence(nodes)
  }

  private mutating func atom() throws(XCATError) -> PerlPattern.Node {
    let byte = bytes[at]
    at += 1
    switch byte {
    case UInt8(ascii: "^"): return .start
    case UInt8(ascii: "$"):
      // "$x" is a variable of Perl's.
      if let next, next != UInt8(ascii: ")"), next != UInt8(ascii: "|") {
        throw refuse("has a '$' that is not at an end")
      }
      return .lineEnd
    case UInt8(ascii: "."): return .byte(ByteSet.of(0x0a...0x0a).inverted)
    case UInt8(ascii: "["): return .byte(try characterClass())
    case UInt8(ascii: "("): return try group()
    case UInt8(ascii: "\\"): return try escape()
    case UInt8(ascii: "*"), UInt8(ascii: "+"), UInt8(ascii: "?"), UInt8(ascii: "{"):
      throw refuse("has a repetition of nothing")
    case UInt8(ascii: "@"): throw refuse("has an '@', which Perl takes for a variable")
    default: return .byte(ByteSet.of(byte...byte))
    }
  }

  private mutating func group() throws(XCATError) -> PerlPattern.Node {
    var number: Int?
    if next == UInt8(ascii: "?") {
      guard at + 1 < bytes.count, bytes[at + 1] == UInt8(ascii: ":") else {
        throw refuse("has a group of a kind that is not known here: '(?'")
      }
      at += 2
    } else {
      groupCount += 1
      number = groupCount
    }
    let inner = try alternatives()
    guard next == UInt8(ascii: ")") else { throw refuse("has a '(' that is never closed") }
    at += 1
    return .group(inner, number: number)
  }

  private mutating func escape() throws(XCATError) -> PerlPattern.Node {
    guard let byte = next else { throw refuse("ends with a '\\'") }
    at += 1
    switch byte {
    case UInt8(ascii: "A"): return .start
    case UInt8(ascii: "z"): return .end
    case UInt8(ascii: "Z"): return .lineEnd
    default: return .byte(try escapedSet(byte))
    }
  }

  private func escapedSet(_ byte: UInt8) throws(XCATError) -> ByteSet {
    switch byte {
    case UInt8(ascii: "d"): return .digit
    case UInt8(ascii: "D"): return ByteSet.digit.inverted
    case UInt8(ascii: "w"): return .word
    case UInt8(ascii: "W"): return ByteSet.word.inverted
    case UInt8(ascii: "s"): return .blank
    case UInt8(ascii: "S"): return ByteSet.blank.inverted
    default:
      guard !ByteSet.word.contains(byte) else {
        throw refuse("has '\\\(Character(UnicodeScalar(byte)))', which is not known here")
      }
      return ByteSet.of(byte...byte)
    }
  }

  private mutating func characterClass() throws(XCATError) -> ByteSet {
    var set = ByteSet()
    var isInverted = false
    if next == UInt8(ascii: "^") {
      isInverted = true
      at += 1
    }
    var isFirst = true
    while let byte = next, byte != UInt8(ascii: "]") || isFirst {
      isFirst = false
      at += 1
      if byte == UInt8(ascii: "["), next == UInt8(ascii: ":") {
        throw refuse("has a named class '[:'")
      }
      if byte == UInt8(ascii: "$") || byte == UInt8(ascii: "@") {
        throw refuse("has a '$' or '@' inside '[]'")
      }
      var low = byte
      if byte == UInt8(ascii: "\\") {
        guard let escaped = next else { throw refuse("ends with a '\\'") }
        at += 1
        if ByteSet.word.contains(escaped) {
          set.formUnion(try escapedSet(escaped))
          continue
        }
        low = escaped
      }
      if next == UInt8(ascii: "-"), at + 1 < bytes.count, bytes[at + 1] != UInt8(ascii: "]") {
        let high = bytes[at + 1]
        guard high >= low, ByteSet.word.contains(high) else {
          throw refuse("has a range that is not one inside '[]'")
        }
        at += 2
        set.insert(low...high)
      } else {
        set.insert(low...low)
      }
    }
    guard next == UInt8(ascii: "]") else { throw refuse("has a '[' that is never closed") }
    at += 1
    return isInverted ? set.inverted : set
  }

  private mutating func quantified(
    _ node: PerlPattern.Node
  ) throws(XCATError) -> PerlPattern.Node {
    guard let byte = next else { return node }
    var least = 0
    var most = Int.max
    switch byte {
    case UInt8(ascii: "*"): at += 1
    case UInt8(ascii: "+"):
      at += 1
      least = 1
    case UInt8(ascii: "?"):
      at += 1
      most = 1
    case UInt8(ascii: "{"): (least, most) = try counts()
    default: return node
    }
    var isLazy = false
    if next == UInt8(ascii: "?") {
      at += 1
      isLazy = true
    }
    if let next, "*+?{".utf8.contains(next) { throw refuse("has a repetition of a repetition") }
    // Where Perl ends a repetition of nothing is a matter of its own; and it needs no node name.
    guard !node.canBeEmpty else { throw refuse("repeats what may be nothing") }
    return .repeated(node, least: least, most: most, isLazy: isLazy)
  }

  private mutating func counts() throws(XCATError) -> (Int, Int) {
    guard let close = bytes[at...].firstIndex(of: UInt8(ascii: "}")) else {
      throw refuse("has a '{' that is never closed")
    }
    let parts = bytes[(at + 1)..<close].split(
      separator: UInt8(ascii: ","), omittingEmptySubsequences: false
    ).map { String(decoding: $0, as: UTF8.self) }
    at = close + 1
    guard parts.count <= 2, let least = Int(parts[0]), (0...1000).contains(least) else {
      throw refuse("has a '{…}' that is no count")
    }
    guard parts.count == 2 else { return (least, least) }
    if parts[1].isEmpty { return (least, Int.max) }
    guard let most = Int(parts[1]), (least...1000).contains(most) else {
      throw refuse("has a '{…}' that is no count")
    }
    return (least, most)
  }
}

extension PerlPattern.Node {
  var canBeEmpty: Bool {
    switch self {
    case .empty, .start, .lineEnd, .end: true
    case .byte: false
    case .group(let inner, _): inner.canBeEmpty
    case .sequence(let nodes): nodes.allSatisfy(\.canBeEmpty)
    case .alternatives(let branches): branches.contains(where: \.canBeEmpty)
    case .repeated(let inner, let least, _, _): least == 0 || inner.canBeEmpty
    }
  }
}

// MARK: - Matching

/// Matches by continuations: each node calls `then` with every position where it may end, in Perl's
/// order, until one is accepted.
private struct Matcher {
  private let subject: [UInt8]
  private var groups: [Range<Int>?]
  private var steps = 0
  private var depth = 0
  private(set) var isExhausted = false
  /// The groups of the last match.
  var found: [Range<Int>?] { groups }

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

  typealias Then = (inout Matcher, Int) -> Bool

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
