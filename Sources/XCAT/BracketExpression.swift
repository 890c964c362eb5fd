// Bracket expressions of fnmatch(3) ("[a-z[:digit:]]") over bytes, in the C locale (POSIX, XBD 9.3.5).

/// A set of bytes.
struct ByteSet: Sendable, Hashable {
  private var words: (UInt64, UInt64, UInt64, UInt64) = (0, 0, 0, 0)

  func contains(_ byte: UInt8) -> Bool {
    let bit: UInt64 = 1 << UInt64(byte & 63)
    return switch byte >> 6 {
    case 0: words.0 & bit != 0
    case 1: words.1 & bit != 0
    case 2: words.2 & bit != 0
    default: words.3 & bit != 0
    }
  }

  mutating func insert(_ byte: UInt8) {
    let bit: UInt64 = 1 << UInt64(byte & 63)
    switch byte >> 6 {
    case 0: words.0 |= bit
    case 1: words.1 |= bit
    case 2: words.2 |= bit
    default: words.3 |= bit
    }
  }

  var inverted: ByteSet {
    var result = self
    result.words = (~words.0, ~words.1, ~words.2, ~words.3)
    return result
  }

  static func == (a: ByteSet, b: ByteSet) -> Bool { a.words == b.words }

  func hash(into hasher: inout Hasher) {
    for word in [words.0, words.1, words.2, words.3] { hasher.combine(word) }
  }
}

/// Reads one bracket expression.
struct BracketReader {
  enum Outcome {
    /// The set, and the index behind its ']'.
    case set(ByteSet, end: Int)
    /// There is no ']' for it: the '[' is an ordinary byte.
    case unterminated
    /// An unknown class or name: the pattern matches nothing.
    case invalid
  }

  /// Reads from behind the '['.
  static func read(_ pattern: [UInt8], from start: Int) -> Outcome {
    var reader = BracketReader(pattern: pattern, at: start)
    return reader.read()
  }

  private enum Item {
    case byte(UInt8)
    case bytes(ByteSet)
  }

  private struct Stop: Error { let outcome: Outcome }

  private let pattern: [UInt8]
  private var at: Int

  private init(pattern: [UInt8], at: Int) {
    self.pattern = pattern
    self.at = at
  }

  private var next: UInt8? { at < pattern.count ? pattern[at] : nil }

  private mutating func read() -> Outcome {
    let isInverted = next == UInt8(ascii: "!") || next == UInt8(ascii: "^")
    if isInverted { at += 1 }
    var set = ByteSet()
    let first = at
    do throws(Stop) {
      while at == first || next != UInt8(ascii: "]") {
        try readItem(into: &set)
      }
    } catch { return error.outcome }
    return .set(isInverted ? set.inverted : set, end: at + 1)
  }

  /// A byte, a range or a class.
  private mutating func readItem(into set: inout ByteSet) throws(Stop) {
    switch try item() {
    case .bytes(let bytes):
      for byte in UInt8.min...UInt8.max where bytes.contains(byte) { set.insert(byte) }
    case .byte(let low):
      guard next == UInt8(ascii: "-"), at + 1 < pattern.count,
        pattern[at + 1] != UInt8(ascii: "]")
      else {
        set.insert(low)
        return
      }
      at += 1
      guard case .byte(let high) = try rangeEnd() else { throw Stop(outcome: .invalid) }
      if low <= high { for byte in low...high { set.insert(byte) } }
    }
  }

  /// What may end a range: no class, "[:" is two bytes there.
  private mutating func rangeEnd() throws(Stop) -> Item {
    if next == UInt8(ascii: "["), at + 1 < pattern.count, pattern[at + 1] != UInt8(ascii: ".") {
      at += 1
      return .byte(UInt8(ascii: "["))
    }
    return try item()
  }

  private mutating func item() throws(Stop) -> Item {
    guard let byte = next else { throw Stop(outcome: .unterminated) }
    at += 1
    switch byte {
    case UInt8(ascii: "\\"):
      guard let escaped = next else { throw Stop(outcome: .unterminated) }
      at += 1
      return .byte(escaped)
    case UInt8(ascii: "["):
      guard let kind = next,
        [UInt8(ascii: ":"), UInt8(ascii: "="), UInt8(ascii: ".")].contains(kind)
      else { return .byte(byte) }
      return try named(kind)
    default: return .byte(byte)
    }
  }

  /// "[:name:]", "[=a=]" or "[.a.]", from the second byte on.
  private mutating func named(_ kind: UInt8) throws(Stop) -> Item {
    let nameStart = at + 1
    guard
      let end = pattern[nameStart...].indices.first(where: {
        pattern[$0] == kind && $0 + 1 < pattern.count && pattern[$0 + 1] == UInt8(ascii: "]")
      })
    else { return .byte(UInt8(ascii: "[")) }
    let name = Array(pattern[nameStart..<end])
    if kind == UInt8(ascii: ":") {
      guard name.allSatisfy({ (0x61...0x7a).contains($0) }) else {
        // Not of a class's form: the '[' stands for itself.
        return .byte(UInt8(ascii: "["))
      }
      guard let bytes = BracketReader.bytes(ofClass: name) else { throw Stop(outcome: .invalid) }
      at = end + 2
      return .bytes(bytes)
    }
    guard name.count == 1 else { throw Stop(outcome: .invalid) }
    at = end + 2
    return .byte(name[0])
  }

  private static func bytes(ofClass name: [UInt8]) -> ByteSet? {
    let digit: (UInt8) -> Bool = { (0x30...0x39).contains($0) }
    let lower: (UInt8) -> Bool = { (0x61...0x7a).contains($0) }
    let upper: (UInt8) -> Bool = { (0x41...0x5a).contains($0) }
    let graph: (UInt8) -> Bool = { (0x21...0x7e).contains($0) }
    let alnum: (UInt8) -> Bool = { digit($0) || lower($0) || upper($0) }
    let belongs: (UInt8) -> Bool
    switch String(decoding: name, as: UTF8.self) {
    case "alpha": belongs = { lower($0) || upper($0) }
    case "digit": belongs = digit
    case "alnum": belongs = alnum
    case "upper": belongs = upper
    case "lower": belongs = lower
    case "space": belongs = isBlank
    case "blank": belongs = { $0 == 0x20 || $0 == 0x09 }
    case "punct": belongs = { graph($0) && !alnum($0) }
    case "graph": belongs = graph
    case "print": belongs = { (0x20...0x7e).contains($0) }
    case "cntrl": belongs = { $0 < 0x20 || $0 == 0x7f }
    case "xdigit":
      belongs = { digit($0) || (0x41...0x46).contains($0) || (0x61...0x66).contains($0) }
    default: return nil
    }
    var set = ByteSet()
    for byte in UInt8.min...UInt8.max where belongs(byte) { set.insert(byte) }
    return set
  }
}
