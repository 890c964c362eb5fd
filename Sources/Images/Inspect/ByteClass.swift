// Byte classes of regular expressions, and the parser for bracket expressions (POSIX, XBD 9.3.5).

/// A set of bytes. It never contains the newline.
struct ByteClass {
  private var members = [Bool](repeating: false, count: 256)

  init() {}

  /// Creates a class of one byte. With `ignoresCase`, a letter is in it in both cases.
  init(byte: UInt8, ignoresCase: Bool) {
    insert(byte)
    if ignoresCase { foldCase() }
  }

  init(_ belongs: (UInt8) -> Bool) {
    for byte in UInt8.min...UInt8.max where belongs(byte) { insert(byte) }
  }

  static let any = ByteClass { _ in true }
  static let word = ByteClass { isAlphanumeric($0) || $0 == UInt8(ascii: "_") }
  static let space = ByteClass { $0 == 0x20 || (0x09...0x0d).contains($0) }

  func contains(_ byte: UInt8) -> Bool { members[Int(byte)] }

  mutating func insert(_ byte: UInt8) { if byte != 0x0a { members[Int(byte)] = true } }

  mutating func formUnion(_ other: ByteClass) {
    for byte in UInt8.min...UInt8.max where other.contains(byte) { insert(byte) }
  }

  mutating func formIntersection(_ other: ByteClass) {
    for byte in UInt8.min...UInt8.max where !other.contains(byte) { members[Int(byte)] = false }
  }

  func isSubset(of other: ByteClass) -> Bool {
    (UInt8.min...UInt8.max).allSatisfy { !contains($0) || other.contains($0) }
  }

  var inverted: ByteClass { ByteClass { !contains($0) } }

  /// Adds the other case of each ASCII letter.
  mutating func foldCase() {
    for byte in UInt8(ascii: "a")...UInt8(ascii: "z") where contains(byte) || contains(byte ^ 0x20)
    {
      insert(byte)
      insert(byte ^ 0x20)
    }
  }

  /// The class in the syntax that RE2 and PCRE2 share.
  var text: [UInt8] {
    let bytes = (UInt8.min...UInt8.max).filter(contains)
    if bytes.isEmpty { return Array("[^\\x00-\\xff]".utf8) }
    if bytes.count == 1 { return Self.spelled(bytes[0]) }
    var result = [UInt8(ascii: "[")]
    var index = 0
    while index < bytes.count {
      var last = index
      while last + 1 < bytes.count, bytes[last + 1] == bytes[last] + 1 { last += 1 }
      result += Self.spelled(bytes[index])
      if last > index { result += [UInt8(ascii: "-")] + Self.spelled(bytes[last]) }
      index = last + 1
    }
    return result + [UInt8(ascii: "]")]
  }

  private static func spelled(_ byte: UInt8) -> [UInt8] {
    if isAlphanumeric(byte) { return [byte] }
    return Array("\\x\(byte < 16 ? "0" : "")\(String(byte, radix: 16))".utf8)
  }
}

private func isAlphanumeric(_ byte: UInt8) -> Bool {
  (0x30...0x39).contains(byte) || (0x41...0x5a).contains(byte) || (0x61...0x7a).contains(byte)
}

/// Parses a bracket expression, starting after its "[".
struct BracketReader {
  private let pattern: [UInt8]
  private(set) var offset: Int

  init(_ pattern: [UInt8], from offset: Int) {
    self.pattern = pattern
    self.offset = offset
  }

  /// Parses up to and including the "]", and leaves `offset` after it.
  mutating func read(ignoresCase: Bool) throws(PosixExpression.SyntaxError) -> ByteClass {
    var set = ByteClass()
    let isInverted = peek == UInt8(ascii: "^")
    if isInverted { offset += 1 }
    var isFirst = true
    while true {
      guard let byte = peek else { throw unclosed }
      if byte == UInt8(ascii: "]"), !isFirst { break }
      isFirst = false
      if let named = try readClass() {
        set.formUnion(named)
        continue
      }
      let low = try readElement()
      guard peek == UInt8(ascii: "-"), offset + 1 < pattern.count,
        pattern[offset + 1] != UInt8(ascii: "]")
      else {
        set.insert(low)
        continue
      }
      offset += 1
      let high = try readElement()
      guard low <= high else { throw PosixExpression.SyntaxError("invalid range end") }
      for byte in low...high { set.insert(byte) }
    }
    offset += 1
    if ignoresCase { set.foldCase() }
    return isInverted ? set.inverted : set
  }

  private var peek: UInt8? { offset < pattern.count ? pattern[offset] : nil }
  private var unclosed: PosixExpression.SyntaxError { .init("unmatched '['") }

  /// Parses "[:NAME:]". Returns nil if there is none at `offset`.
  private mutating func readClass() throws(PosixExpression.SyntaxError) -> ByteClass? {
    guard pattern[offset...].starts(with: Array("[:".utf8)) else { return nil }
    let name = try readName(UInt8(ascii: ":"))
    guard let named = ByteClass(posixName: String(decoding: name, as: UTF8.self)) else {
      throw .init("unknown character class")
    }
    return named
  }

  /// Parses a byte, "[.x.]" or "[=x=]".
  private mutating func readElement() throws(PosixExpression.SyntaxError) -> UInt8 {
    for kind in [UInt8(ascii: "."), UInt8(ascii: "=")]
    where pattern[offset...].starts(with: [UInt8(ascii: "["), kind]) {
      let name = try readName(kind)
      guard name.count == 1 else {
        throw .init("a collating element has more than one byte")
      }
      return name[0]
    }
    guard let byte = peek else { throw unclosed }
    offset += 1
    return byte
  }

  private mutating func readName(_ kind: UInt8) throws(PosixExpression.SyntaxError) -> [UInt8] {
    let start = offset + 2
    var end = start
    while end + 1 < pattern.count, pattern[end] != kind || pattern[end + 1] != UInt8(ascii: "]") {
      end += 1
    }
    guard end + 1 < pattern.count else { throw unclosed }
    offset = end + 2
    return Array(pattern[start..<end])
  }
}

extension ByteClass {
  /// Creates a class of the C locale from its POSIX name. Returns nil for an unknown name.
  fileprivate init?(posixName name: String) {
    func isAlpha(_ byte: UInt8) -> Bool { isAlphanumeric(byte) && byte > 0x39 }
    func isPrint(_ byte: UInt8) -> Bool { (0x20...0x7e).contains(byte) }
    switch name {
    case "alpha": self.init(isAlpha)
    case "digit": self.init { (0x30...0x39).contains($0) }
    case "alnum": self.init(isAlphanumeric)
    case "upper": self.init { (0x41...0x5a).contains($0) }
    case "lower": self.init { (0x61...0x7a).contains($0) }
    case "space": self = .space
    case "blank": self.init { $0 == 0x20 || $0 == 0x09 }
    case "punct": self.init { isPrint($0) && $0 != 0x20 && !isAlphanumeric($0) }
    case "graph": self.init { isPrint($0) && $0 != 0x20 }
    case "print": self.init(isPrint)
    case "cntrl": self.init { $0 < 0x20 || $0 == 0x7f }
    case "xdigit":
      self.init {
        (0x30...0x39).contains($0) || (0x41...0x46).contains($0) || (0x61...0x66).contains($0)
      }
    default: return nil
    }
  }
}
