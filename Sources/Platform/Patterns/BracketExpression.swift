// Bracket expressions of fnmatch(3) ("[a-z[:digit:]]") over bytes, in the C locale (POSIX, XBD 9.3.5).

/// A parser of one bracket expression.
public struct BracketExpression {
  /// The result of parsing.
  public enum Outcome {
    /// The bytes that match, and the index after the expression.
    case set(ByteSet, end: Int)
    /// The '[' is an ordinary byte.
    case ordinary
  }

  /// Parses an expression from the byte after the '['.
  public static func read(_ pattern: [UInt8], from start: Int) -> Outcome {
    var expression = BracketExpression(pattern: pattern, at: start)
    return expression.read()
  }

  private enum Item {
    case byte(UInt8)
    case bytes(ByteSet)
  }

  private enum Fault: Error {
    /// The pattern ends before the ']'.
    case unterminated
    /// An unknown class or name; the items before it count.
    case unknown
    /// An expression that glibc rejects: nothing matches.
    case hopeless
  }

  private let pattern: [UInt8]
  private var at: Int
  private var set = ByteSet()

  private init(pattern: [UInt8], at: Int) {
    self.pattern = pattern
    self.at = at
  }

  private var next: UInt8? { at < pattern.count ? pattern[at] : nil }

  private mutating func read() -> Outcome {
    let isInverted = next == UInt8(ascii: "!") || next == UInt8(ascii: "^")
    if isInverted { at += 1 }
    let nothing = Outcome.set(ByteSet(), end: pattern.count)
    do throws(Fault) {
      try readItems()
      return .set(isInverted ? set.inverted : set, end: at + 1)
    } catch {
      switch error {
      case .hopeless: return nothing
      case .unterminated: return set.contains(UInt8(ascii: "[")) ? nothing : .ordinary
      case .unknown:
        // glibc does not check names after the item that matched.
        guard !isInverted else { return nothing }
        let matched = set
        while true {
          do throws(Fault) {
            if next != UInt8(ascii: "]") { try readItems() }
            return .set(matched, end: at + 1)
          } catch {
            if error != .unknown { return nothing }
          }
        }
      }
    }
  }

  /// Reads up to the ']', which is an ordinary byte in first position.
  private mutating func readItems() throws(Fault) {
    repeat { try readItem() } while next != UInt8(ascii: "]")
  }

  /// Reads a byte, a range or a class.
  private mutating func readItem() throws(Fault) {
    switch try item() {
    case .bytes(let bytes): set.formUnion(bytes)
    case .byte(let low):
      guard next == UInt8(ascii: "-"), at + 1 < pattern.count,
        pattern[at + 1] != UInt8(ascii: "]")
      else {
        set.insert(low)
        return
      }
      at += 1
      let high = try rangeEnd()
      if low <= high { for byte in low...high { set.insert(byte) } }
    }
  }

  /// Reads the end of a range. A class cannot end one: "[:" is two bytes there.
  private mutating func rangeEnd() throws(Fault) -> UInt8 {
    let isName = next == UInt8(ascii: "[") && pattern[(at + 1)...].first == UInt8(ascii: ".")
    if !isName, next == UInt8(ascii: "[") {
      at += 1
      return UInt8(ascii: "[")
    }
    guard case .byte(let high) = try item() else { throw .hopeless }
    return high
  }

  private mutating func item() throws(Fault) -> Item {
    guard let byte = next else { throw .unterminated }
    at += 1
    switch (byte, next) {
    case (UInt8(ascii: "\\"), let escaped):
      guard let escaped else { throw .hopeless }
      at += 1
      return .byte(escaped)
    case (UInt8(ascii: "["), UInt8(ascii: ":")):
      guard let name = name(endingIn: UInt8(ascii: ":")),
        name.allSatisfy({ (0x61...0x7a).contains($0) })
      else { return .byte(byte) }
      at += name.count + 3
      guard let bytes = BracketExpression.bytes(ofClass: Array(name)) else { throw .unknown }
      return .bytes(bytes)
    case (UInt8(ascii: "["), UInt8(ascii: "=")):
      guard let name = name(endingIn: UInt8(ascii: "=")), name.count == 1 else {
        return .byte(byte)
      }
      at += name.count + 3
      return .byte(name[name.startIndex])
    case (UInt8(ascii: "["), UInt8(ascii: ".")):
      guard let name = name(endingIn: UInt8(ascii: ".")) else { throw .hopeless }
      at += name.count + 3
      guard name.count == 1 else { throw .unknown }
      return .byte(name[name.startIndex])
    default: return .byte(byte)
    }
  }

  /// Returns the text from after the kind's byte up to the next "kind]".
  private func name(endingIn kind: UInt8) -> ArraySlice<UInt8>? {
    let rest = pattern[(at + 1)...]
    guard let end = rest.firstRange(of: [kind, UInt8(ascii: "]")]) else { return nil }
    return rest[..<end.lowerBound]
  }

  private static func bytes(ofClass name: [UInt8]) -> ByteSet? {
    let digit: (UInt8) -> Bool = { (0x30...0x39).contains($0) }
    let lower: (UInt8) -> Bool = { (0x61...0x7a).contains($0) }
    let upper: (UInt8) -> Bool = { (0x41...0x5a).contains($0) }
    let graph: (UInt8) -> Bool = { (0x21...0x7e).contains($0) }
    let alnum: (UInt8) -> Bool = { digit($0) || lower($0) || upper($0) }
    let isMember: (UInt8) -> Bool
    switch String(decoding: name, as: UTF8.self) {
    case "alpha": isMember = { lower($0) || upper($0) }
    case "digit": isMember = digit
    case "alnum": isMember = alnum
    case "upper": isMember = upper
    case "lower": isMember = lower
    case "space": isMember = { $0 == 0x20 || (0x09...0x0d).contains($0) }
    case "blank": isMember = { $0 == 0x20 || $0 == 0x09 }
    case "punct": isMember = { graph($0) && !alnum($0) }
    case "graph": isMember = graph
    case "print": isMember = { (0x20...0x7e).contains($0) }
    case "cntrl": isMember = { $0 < 0x20 || $0 == 0x7f }
    case "xdigit":
      isMember = { digit($0) || (0x41...0x46).contains($0) || (0x61...0x66).contains($0) }
    default: return nil
    }
    var set = ByteSet()
    for byte in UInt8.min...UInt8.max where isMember(byte) { set.insert(byte) }
    return set
  }
}
