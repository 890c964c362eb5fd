// Parses the supported part of Perl's regular expressions.

import Platform

struct PerlPatternParser {
  private let text: String
  private let bytes: [UInt8]
  private var at = 0
  private var depth = 0
  var groupCount = 0

  init(_ text: String) {
    self.text = text
    bytes = Array(text.utf8)
  }

  private func refuse(_ reason: String) -> XCATError {
    XCATError(
      "pattern '\(text)'", reason, hint: "Name the nodes without a pattern, or simplify it")
  }

  private var next: UInt8? { at < bytes.count ? bytes[at] : nil }

  mutating func parse() throws(XCATError) -> PerlPattern.Node {
    guard bytes.count <= 1024 else { throw refuse("is longer than 1024 bytes") }
    guard bytes.allSatisfy({ $0 < 0x80 && $0 >= 0x20 }) else {
      throw refuse("has characters that are not printable ASCII")
    }
    let node = try alternatives()
    guard at == bytes.count else { throw refuse("has an unmatched ')'") }
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
      // "$x" is a variable in Perl.
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
        throw refuse("has an unsupported group '(?'")
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
        throw refuse("has '\\\(Character(UnicodeScalar(byte)))', which is not supported")
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
          throw refuse("has an invalid range inside '[]'")
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
    // Perl has special rules for repetitions of an empty match, which no node name needs.
    guard !node.canBeEmpty else { throw refuse("repeats a part that may be empty") }
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
      throw refuse("has a '{…}' that is not a count")
    }
    guard parts.count == 2 else { return (least, least) }
    if parts[1].isEmpty { return (least, Int.max) }
    guard let most = Int(parts[1]), (least...1000).contains(most) else {
      throw refuse("has a '{…}' that is not a count")
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
