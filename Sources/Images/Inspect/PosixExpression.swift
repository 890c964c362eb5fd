// Translates POSIX regular expressions (XBD chapter 9, with GNU's additions) over bytes in the C locale into
// the syntax that RE2 and PCRE2 share.
//
// 1. No part of the result matches a newline: the search runs over a buffer of many lines.
// 2. RE2 takes every expression that is regular and not too long for it. PCRE2 takes the others: those with
//    back-references, or with long repetitions.

/// A translated POSIX regular expression.
struct PosixExpression {
  /// The expression for the engine, in ASCII.
  private(set) var text: [UInt8] = []
  /// Whether the expression needs PCRE2, because RE2 cannot match it.
  private(set) var needsBacktracking = false

  /// The error for a text that is not a valid regular expression.
  struct SyntaxError: Error {
    let reason: String
    init(_ reason: String) { self.reason = reason }
  }

  /// POSIX's RE_DUP_MAX, with glibc's value.
  private static let maxRepeat = 32767
  /// The most repetitions that RE2 accepts.
  private static let maxLinearRepeat = 1000
  private static let maxGroupDepth = 200

  private let pattern: [UInt8]
  private let isExtended: Bool
  private let ignoresCase: Bool
  private var offset = 0
  private var groupCount = 0
  private var closedGroups: Set<Int> = []
  private var openGroups: [Int] = []
  /// Whether the last atom matches only letters, digits and "_", and at least one of them.
  private var endsInWord = false
  /// A class that the next atom must match in addition to its own.
  private var restriction: ByteClass?

  /// Translates a pattern.
  /// - Throws: `SyntaxError` if the pattern is not a valid regular expression.
  init(_ pattern: [UInt8], isExtended: Bool, ignoresCase: Bool) throws(SyntaxError) {
    self.pattern = pattern
    self.isExtended = isExtended
    self.ignoresCase = ignoresCase
    text = try alternatives()
    guard offset == pattern.count else {
      throw SyntaxError(isExtended ? "unmatched ')'" : "unmatched '\\)'")
    }
  }

  /// Returns an expression that matches a literal text.
  static func literal(_ bytes: [UInt8], ignoresCase: Bool) -> [UInt8] {
    bytes.flatMap { ByteClass(byte: $0, ignoresCase: ignoresCase).text }
  }

  // MARK: Grammar

  private enum Token {
    case byte(UInt8)
    case any
    case bracket
    case open, close, or
    case star, plus, optional
    case interval
    case lineStart, lineEnd
    case escape(UInt8)
    case end
  }

  /// Returns the next token and its length.
  /// - Parameter isFirst: whether the token starts an expression, which changes the meaning of `*` and of
  ///   the anchors.
  private func token(isFirst: Bool) throws(SyntaxError) -> (Token, length: Int) {
    guard offset < pattern.count else { return (.end, 0) }
    let byte = pattern[offset]
    if byte == UInt8(ascii: "\\") {
      guard offset + 1 < pattern.count else { throw SyntaxError("trailing backslash") }
      let next = pattern[offset + 1]
      switch (next, isExtended) {
      case (UInt8(ascii: "("), false): return (.open, 2)
      case (UInt8(ascii: ")"), false): return (.close, 2)
      case (UInt8(ascii: "|"), false): return (.or, 2)
      case (UInt8(ascii: "{"), false): return (isFirst ? .byte(next) : .interval, 2)
      case (UInt8(ascii: "+"), false): return (isFirst ? .byte(next) : .plus, 2)
      case (UInt8(ascii: "?"), false): return (isFirst ? .byte(next) : .optional, 2)
      default: return (.escape(next), 2)
      }
    }
    switch byte {
    case UInt8(ascii: "."): return (.any, 1)
    case UInt8(ascii: "["): return (.bracket, 1)
    case UInt8(ascii: "*"): return (isFirst && !isExtended ? .byte(byte) : .star, 1)
    case UInt8(ascii: "^"): return (isExtended || isFirst ? .lineStart : .byte(byte), 1)
    case UInt8(ascii: "$"): return (isExtended || isBeforeEnd ? .lineEnd : .byte(byte), 1)
    case UInt8(ascii: "("): return (isExtended ? .open : .byte(byte), 1)
    case UInt8(ascii: ")"): return (isExtended ? .close : .byte(byte), 1)
    case UInt8(ascii: "|"): return (isExtended ? .or : .byte(byte), 1)
    case UInt8(ascii: "+"): return (isExtended ? .plus : .byte(byte), 1)
    case UInt8(ascii: "?"): return (isExtended ? .optional : .byte(byte), 1)
    case UInt8(ascii: "{"):
      // As in GNU: a "{" that starts no interval is a literal.
      return (isExtended && intervalLength(from: offset + 1) != nil ? .interval : .byte(byte), 1)
    default: return (.byte(byte), 1)
    }
  }

  /// Whether the `$` at `offset` ends an expression (basic syntax).
  private var isBeforeEnd: Bool {
    let rest = pattern[(offset + 1)...]
    return rest.isEmpty || rest.starts(with: Array("\\)".utf8))
      || rest.starts(with: Array("\\|".utf8))
  }

  private mutating func alternatives() throws(SyntaxError) -> [UInt8] {
    var result = try sequence()
    while case (.or, let length) = try token(isFirst: true) {
      offset += length
      result += [UInt8(ascii: "|")]
      result += try sequence()
    }
    return result
  }

  private mutating func sequence() throws(SyntaxError) -> [UInt8] {
    var result: [UInt8] = []
    /// The last atom, which a repetition may follow.
    var atom: [UInt8]?
    var isFirst = true
    while true {
      let (token, length) = try token(isFirst: isFirst)
      switch token {
      case .end, .or, .close: return result + (atom ?? [])
      default: break
      }
      offset += length
      if let repetition = try repetition(token) {
        // As in GNU: the repetition of an empty expression is empty.
        if let repeated = atom { atom = group(repeated) + repetition.text }
        endsInWord = endsInWord && repetition.isAtLeastOnce
        isFirst = false
        continue
      }
      result += atom ?? []
      atom = try self.atom(token, isFirstOfAll: openGroups.isEmpty && result.isEmpty)
      isFirst = false
      if case .lineStart = token { isFirst = !isExtended }
    }
  }

  private func group(_ atom: [UInt8]) -> [UInt8] { Array("(?:".utf8) + atom + [UInt8(ascii: ")")] }

  private mutating func atom(_ token: Token, isFirstOfAll: Bool) throws(SyntaxError) -> [UInt8] {
    let endedInWord = endsInWord
    endsInWord = false
    switch token {
    case .byte(let byte): return text(of: ByteClass(byte: byte, ignoresCase: ignoresCase))
    case .any: return text(of: .any)
    case .lineStart: return [UInt8(ascii: "^")]
    case .lineEnd: return [UInt8(ascii: "$")]
    case .bracket:
      var reader = BracketReader(pattern, from: offset)
      let found = try reader.read(ignoresCase: ignoresCase)
      offset = reader.offset
      return text(of: found)
    case .open:
      groupCount += 1
      openGroups.append(groupCount)
      guard openGroups.count <= PosixExpression.maxGroupDepth else {
        throw SyntaxError("groups are nested too deeply")
      }
      let inner = try alternatives()
      guard case (.close, let length) = try self.token(isFirst: false) else {
        throw SyntaxError(isExtended ? "unmatched '('" : "unmatched '\\('")
      }
      offset += length
      closedGroups.insert(openGroups.removeLast())
      return [UInt8(ascii: "(")] + inner + [UInt8(ascii: ")")]
    case .escape(let byte):
      return try escape(byte, endedInWord: endedInWord, isFirstOfAll: isFirstOfAll)
    default: return []
    }
  }

  private mutating func escape(
    _ byte: UInt8, endedInWord: Bool, isFirstOfAll: Bool
  ) throws(SyntaxError) -> [UInt8] {
    switch byte {
    case UInt8(ascii: "1")...UInt8(ascii: "9"):
      guard closedGroups.contains(Int(byte - 0x30)) else {
        throw SyntaxError("the back-reference \\\(byte - 0x30) precedes the end of its group")
      }
      needsBacktracking = true
      let reference = Array("\\g{\(byte - 0x30)}".utf8)
      return ignoresCase ? Array("(?i:".utf8) + reference + [UInt8(ascii: ")")] : reference
    case UInt8(ascii: "w"): return text(of: .word)
    case UInt8(ascii: "W"): return text(of: ByteClass.word.inverted)
    case UInt8(ascii: "s"): return text(of: .space)
    case UInt8(ascii: "S"): return text(of: ByteClass.space.inverted)
    case UInt8(ascii: "b"), UInt8(ascii: "B"): return [UInt8(ascii: "\\"), byte]
    case UInt8(ascii: "`"): return [UInt8(ascii: "^")]
    case UInt8(ascii: "'"): return [UInt8(ascii: "$")]
    case UInt8(ascii: "<"): return try wordStart(isFirstOfAll: isFirstOfAll)
    case UInt8(ascii: ">"): return try wordEnd(endedInWord: endedInWord)
    default: return text(of: ByteClass(byte: byte, ignoresCase: ignoresCase))
    }
  }

  /// Returns an atom that matches one byte of a class.
  private mutating func text(of bytes: ByteClass) -> [UInt8] {
    var bytes = bytes
    if let restriction { bytes.formIntersection(restriction) }
    restriction = nil
    endsInWord = bytes.isSubset(of: .word)
    return bytes.text
  }

  // MARK: Words

  /// Translates `\<`. RE2 matches word boundaries, `\b`, but cannot tell on which side the word is. If the
  /// adjacent atom determines the side, `\b` is enough.
  private mutating func wordStart(isFirstOfAll: Bool) throws(SyntaxError) -> [UInt8] {
    if let next = try nextAtom(), next.isAtLeastOnce, next.bytes.isSubset(of: .word) {
      return Array("\\b".utf8)
    }
    // Only the matching line is reported, so the match may begin one byte earlier.
    if isFirstOfAll { return Array("(?:^|[^\\w\\n])\\b".utf8) }
    needsBacktracking = true
    return Array("\\b(?=\\w)".utf8)
  }

  /// Translates `\>`, in the same way.
  private mutating func wordEnd(endedInWord: Bool) throws(SyntaxError) -> [UInt8] {
    if endedInWord { return Array("\\b".utf8) }
    let other = ByteClass.word.inverted
    if let next = try nextAtom() {
      if next.isAtLeastOnce, next.bytes.isSubset(of: other) { return Array("\\b".utf8) }
      if next.isOnce {
        restriction = other
        return Array("\\b".utf8)
      }
    } else if openGroups.isEmpty, try isAlternativeOver() {
      return Array("\\b(?:$|[^\\w\\n])".utf8)
    }
    needsBacktracking = true
    return Array("\\b(?<=\\w)".utf8)
  }

  private func isAlternativeOver() throws(SyntaxError) -> Bool {
    switch try token(isFirst: false).0 {
    case .end, .or: true
    default: false
    }
  }

  /// Returns the bytes that the next atom matches and how often it may repeat; nil if the next token is not a
  /// byte class.
  private func nextAtom() throws(SyntaxError) -> (
    bytes: ByteClass, isAtLeastOnce: Bool, isOnce: Bool
  )? {
    var ahead = self
    let (token, length) = try ahead.token(isFirst: false)
    ahead.offset += length
    let bytes: ByteClass
    switch token {
    case .byte(let byte): bytes = ByteClass(byte: byte, ignoresCase: ignoresCase)
    case .any: bytes = .any
    case .escape(UInt8(ascii: "w")): bytes = .word
    case .escape(UInt8(ascii: "W")): bytes = ByteClass.word.inverted
    case .escape(UInt8(ascii: "s")): bytes = .space
    case .escape(UInt8(ascii: "S")): bytes = ByteClass.space.inverted
    case .bracket:
      var reader = BracketReader(pattern, from: ahead.offset)
      bytes = try reader.read(ignoresCase: ignoresCase)
      ahead.offset = reader.offset
    default: return nil
    }
    let (next, nextLength) = try ahead.token(isFirst: false)
    ahead.offset += nextLength
    let repetition = try ahead.repetition(next)
    return (bytes, repetition?.isAtLeastOnce ?? true, repetition == nil)
  }

  // MARK: Repetitions

  private struct Repetition {
    let text: [UInt8]
    let isAtLeastOnce: Bool
    init(_ text: String, isAtLeastOnce: Bool) {
      self.text = Array(text.utf8)
      self.isAtLeastOnce = isAtLeastOnce
    }
  }

  private mutating func repetition(_ token: Token) throws(SyntaxError) -> Repetition? {
    switch token {
    case .star: return Repetition("*", isAtLeastOnce: false)
    case .plus: return Repetition("+", isAtLeastOnce: true)
    case .optional: return Repetition("?", isAtLeastOnce: false)
    case .interval:
      guard let length = intervalLength(from: offset) else {
        throw SyntaxError("an interval is not of the form {m}, {m,} or {m,n}")
      }
      let body = pattern[offset..<offset + length - (isExtended ? 1 : 2)]
      offset += length
      return try bounds(body)
    default: return nil
    }
  }

  /// Returns the length of an interval, counted from after its "{" and including its end; nil if there is no
  /// interval.
  private func intervalLength(from start: Int) -> Int? {
    var index = start
    while index < pattern.count, (0x30...0x39).contains(pattern[index]) || pattern[index] == 0x2c {
      index += 1
    }
    let end = isExtended ? Array("}".utf8) : Array("\\}".utf8)
    let body = pattern[start..<index]
    guard !body.isEmpty, body.count(where: { $0 == 0x2c }) <= 1, body != [0x2c][...],
      pattern[index...].starts(with: end)
    else { return body == [0x2c][...] && pattern[index...].starts(with: end) ? 1 + end.count : nil }
    return index - start + end.count
  }

  private mutating func bounds(_ body: ArraySlice<UInt8>) throws(SyntaxError) -> Repetition {
    let parts = body.split(separator: 0x2c, omittingEmptySubsequences: false)
      .map { String(decoding: $0, as: UTF8.self) }
    func number(_ text: String) throws(SyntaxError) -> Int? {
      if text.isEmpty { return nil }
      guard let value = Int(text), value <= PosixExpression.maxRepeat else {
        throw SyntaxError("a repetition count exceeds \(PosixExpression.maxRepeat)")
      }
      return value
    }
    let low = try number(parts[0]) ?? 0
    let high = parts.count == 1 ? low : try number(parts[1])
    if let high, high < low { throw SyntaxError("an interval's maximum is below its minimum") }
    if max(low, high ?? 0) > PosixExpression.maxLinearRepeat { needsBacktracking = true }
    return Repetition(
      "{\(low)\(high == low ? "" : ",\(high.map(String.init) ?? "")")}", isAtLeastOnce: low > 0)
  }
}
