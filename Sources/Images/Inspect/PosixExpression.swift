// POSIX regular expressions (XBD chapter 9, with GNU's additions) over bytes in the C locale, written as
// an expression that RE2 and PCRE2 read alike.
//
// 1. No part of the result matches a newline: lines are searched in a buffer that holds many.
// 2. RE2 takes all but what is not regular (references back) or too long for it; PCRE2 takes that.

/// An expression of POSIX, translated.
struct PosixExpression {
  /// The text for the engine: ASCII only.
  private(set) var text: [UInt8] = []
  /// Why RE2 cannot take it.
  private(set) var needsBacktracking = false

  /// Why a text is no regular expression.
  struct Malformed: Error {
    let reason: String
    init(_ reason: String) { self.reason = reason }
  }

  /// POSIX's RE_DUP_MAX, as glibc has it.
  private static let maxRepeat = 32767
  /// RE2 refuses longer repetitions.
  private static let maxLinearRepeat = 1000
  private static let maxGroupDepth = 200

  private let pattern: [UInt8]
  private let isExtended: Bool
  private let ignoresCase: Bool
  private var offset = 0
  private var groupCount = 0
  private var closedGroups: Set<Int> = []
  private var openGroups: [Int] = []
  /// The last atom matches letters, digits and "_" only, and at least one.
  private var endsInWord = false
  /// What the next atom must match besides.
  private var restriction: ByteClass?

  /// Translates a pattern.
  /// - Throws: `Malformed` for what is no regular expression.
  init(_ pattern: [UInt8], isExtended: Bool, ignoresCase: Bool) throws(Malformed) {
    self.pattern = pattern
    self.isExtended = isExtended
    self.ignoresCase = ignoresCase
    text = try alternatives()
    guard offset == pattern.count else {
      throw Malformed(isExtended ? "a ')' closes no group" : "a '\\)' closes no group")
    }
  }

  /// Returns an expression that matches a text as it is.
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

  /// Returns the next token and its length. What `*` and the anchors mean depends on `isFirst`: no
  /// expression stands before them.
  private func token(isFirst: Bool) throws(Malformed) -> (Token, length: Int) {
    guard offset < pattern.count else { return (.end, 0) }
    let byte = pattern[offset]
    if byte == UInt8(ascii: "\\") {
      guard offset + 1 < pattern.count else { throw Malformed("it ends in a backslash") }
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
      // GNU's: what is no interval is a byte.
      return (isExtended && intervalLength(from: offset + 1) != nil ? .interval : .byte(byte), 1)
    default: return (.byte(byte), 1)
    }
  }

  /// The `$` at `offset` ends an expression (basic syntax).
  private var isBeforeEnd: Bool {
    let rest = pattern[(offset + 1)...]
    return rest.isEmpty || rest.starts(with: Array("\\)".utf8))
      || rest.starts(with: Array("\\|".utf8))
  }

  private mutating func alternatives() throws(Malformed) -> [UInt8] {
    var result = try sequence()
    while case (.or, let length) = try token(isFirst: true) {
      offset += length
      result += [UInt8(ascii: "|")]
      result += try sequence()
    }
    return result
  }

  private mutating func sequence() throws(Malformed) -> [UInt8] {
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
        // GNU's: a repetition of nothing is nothing.
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

  private mutating func atom(_ token: Token, isFirstOfAll: Bool) throws(Malformed) -> [UInt8] {
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
        throw Malformed("its groups are nested too deep")
      }
      let inner = try alternatives()
      guard case (.close, let length) = try self.token(isFirst: false) else {
        throw Malformed("a group is not closed")
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
  ) throws(Malformed) -> [UInt8] {
    switch byte {
    case UInt8(ascii: "1")...UInt8(ascii: "9"):
      guard closedGroups.contains(Int(byte - 0x30)) else {
        throw Malformed("\\\(byte - 0x30) refers to a group that is not closed before it")
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

  /// An atom that matches one byte of a class.
  private mutating func text(of bytes: ByteClass) -> [UInt8] {
    var bytes = bytes
    if let restriction { bytes.formIntersection(restriction) }
    restriction = nil
    endsInWord = bytes.isSubset(of: .word)
    return bytes.text
  }

  // MARK: Words

  /// `\<`: RE2 knows the boundaries of words, `\b`, but not which side of one the word is on. Where the
  /// neighbour tells, the boundary is enough.
  private mutating func wordStart(isFirstOfAll: Bool) throws(Malformed) -> [UInt8] {
    if let next = try nextAtom(), next.isAtLeastOnce, next.bytes.isSubset(of: .word) {
      return Array("\\b".utf8)
    }
    // Only whether a line matches counts: a match may begin one byte earlier.
    if isFirstOfAll { return Array("(?:^|[^\\w\\n])\\b".utf8) }
    needsBacktracking = true
    return Array("\\b(?=\\w)".utf8)
  }

  /// `\>`, likewise.
  private mutating func wordEnd(endedInWord: Bool) throws(Malformed) -> [UInt8] {
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

  private func isAlternativeOver() throws(Malformed) -> Bool {
    switch try token(isFirst: false).0 {
    case .end, .or: true
    default: false
    }
  }

  /// Returns the bytes that the next atom matches, and how often it stands; nil where that is no class
  /// of bytes.
  private func nextAtom() throws(Malformed) -> (
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

  private mutating func repetition(_ token: Token) throws(Malformed) -> Repetition? {
    switch token {
    case .star: return Repetition("*", isAtLeastOnce: false)
    case .plus: return Repetition("+", isAtLeastOnce: true)
    case .optional: return Repetition("?", isAtLeastOnce: false)
    case .interval:
      guard let length = intervalLength(from: offset) else {
        throw Malformed("an interval is not of the form {m}, {m,} or {m,n}")
      }
      let body = pattern[offset..<offset + length - (isExtended ? 1 : 2)]
      offset += length
      return try bounds(body)
    default: return nil
    }
  }

  /// Returns the length of an interval from behind its "{", its end included; nil for no interval.
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

  private mutating func bounds(_ body: ArraySlice<UInt8>) throws(Malformed) -> Repetition {
    let parts = body.split(separator: 0x2c, omittingEmptySubsequences: false)
      .map { String(decoding: $0, as: UTF8.self) }
    func number(_ text: String) throws(Malformed) -> Int? {
      if text.isEmpty { return nil }
      guard let value = Int(text), value <= PosixExpression.maxRepeat else {
        throw Malformed("it repeats more than \(PosixExpression.maxRepeat) times")
      }
      return value
    }
    let low = try number(parts[0]) ?? 0
    let high = parts.count == 1 ? low : try number(parts[1])
    if let high, high < low { throw Malformed("an interval ends before it begins") }
    if max(low, high ?? 0) > PosixExpression.maxLinearRepeat { needsBacktracking = true }
    return Repetition(
      "{\(low)\(high == low ? "" : ",\(high.map(String.init) ?? "")")}", isAtLeastOnce: low > 0)
  }
}
