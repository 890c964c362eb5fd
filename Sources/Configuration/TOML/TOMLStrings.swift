// The strings and keys of a TOML document (https://toml.io/en/v1.0.0#string, #keys).

extension TOMLScanner {
  /// Reads a key: one part, or several with dots between them.
  mutating func key() throws(TOMLError) -> [String] {
    var parts: [String] = []
    repeat {
      skipSpace()
      parts.append(try keyPart())
      skipSpace()
      guard parts.count <= TOMLParser.maxDepth else { throw failure("the key has too many parts") }
    } while skip(UInt8(ascii: "."))
    return parts
  }

  private mutating func keyPart() throws(TOMLError) -> String {
    switch peek {
    case UInt8(ascii: "\""): return try basicString()
    case UInt8(ascii: "'"): return try literalString()
    default:
      let text = take { TOMLScanner.isBareKey($0) }
      guard !text.isEmpty else { throw failure("a key was expected") }
      return text
    }
  }

  private static func isBareKey(_ byte: UInt8) -> Bool {
    switch byte {
    case UInt8(ascii: "A")...UInt8(ascii: "Z"), UInt8(ascii: "a")...UInt8(ascii: "z"),
      UInt8(ascii: "0")...UInt8(ascii: "9"), UInt8(ascii: "_"), UInt8(ascii: "-"):
      true
    default: false
    }
  }

  /// Reads a string of any kind. The next byte is a quote.
  mutating func string() throws(TOMLError) -> String {
    if isNext("\"\"\"") { return try multilineString(UInt8(ascii: "\"")) }
    if isNext("'''") { return try multilineString(UInt8(ascii: "'")) }
    return peek == UInt8(ascii: "'") ? try literalString() : try basicString()
  }

  private mutating func literalString() throws(TOMLError) -> String {
    advance()
    let text = take { $0 != UInt8(ascii: "'") && $0 != 0x0a }
    guard skip(UInt8(ascii: "'")) else { throw failure("the string has no closing quote") }
    return text
  }

  private mutating func basicString() throws(TOMLError) -> String {
    advance()
    var bytes: [UInt8] = []
    while let byte = peek, byte != 0x0a {
      advance()
      switch byte {
      case UInt8(ascii: "\""): return String(decoding: bytes, as: UTF8.self)
      case UInt8(ascii: "\\"): bytes += try escape()
      case 0x0d: throw failure("the string has no closing quote")
      default: bytes.append(byte)
      }
    }
    throw failure("the string has no closing quote")
  }

  /// Reads a string between three quotes. A backslash at the end of a line joins lines (basic strings only).
  private mutating func multilineString(_ quote: UInt8) throws(TOMLError) -> String {
    advance(3)
    if isNext("\r\n") { advance() }
    _ = skip(0x0a)
    let isBasic = quote == UInt8(ascii: "\"")
    var bytes: [UInt8] = []
    while let byte = peek {
      advance()
      if byte == quote {
        var quotes = 1
        while quotes < 5, skip(quote) { quotes += 1 }
        bytes += [UInt8](repeating: quote, count: quotes >= 3 ? quotes - 3 : quotes)
        if quotes >= 3 { return String(decoding: bytes, as: UTF8.self) }
      } else if byte == UInt8(ascii: "\\"), isBasic {
        if !skipLineJoin() { bytes += try escape() }
      } else if byte != 0x0d {
        bytes.append(byte)
      }
    }
    throw failure("the string has no closing quotes")
  }

  /// Skips the white space after a backslash at the end of a line.
  private mutating func skipLineJoin() -> Bool {
    var ahead = self
    ahead.skipSpace()
    if ahead.isNext("\r\n") { ahead.advance() }
    guard ahead.peek == 0x0a else { return false }
    while let byte = ahead.peek, byte == 0x20 || byte == 0x09 || byte == 0x0a || byte == 0x0d {
      ahead.advance()
    }
    self = ahead
    return true
  }

  private mutating func escape() throws(TOMLError) -> [UInt8] {
    guard let byte = peek else { throw failure("the string has no closing quote") }
    advance()
    switch byte {
    case UInt8(ascii: "b"): return [0x08]
    case UInt8(ascii: "t"): return [0x09]
    case UInt8(ascii: "n"): return [0x0a]
    case UInt8(ascii: "f"): return [0x0c]
    case UInt8(ascii: "r"): return [0x0d]
    case UInt8(ascii: "\""), UInt8(ascii: "\\"): return [byte]
    case UInt8(ascii: "u"): return try unicode(digits: 4)
    case UInt8(ascii: "U"): return try unicode(digits: 8)
    default: throw failure("there is no escape for '\(Character(UnicodeScalar(byte)))'")
    }
  }

  private mutating func unicode(digits: Int) throws(TOMLError) -> [UInt8] {
    var count = 0
    let text = take { byte in
      count += 1
      return count <= digits && Character(UnicodeScalar(byte)).isHexDigit
    }
    guard text.utf8.count == digits, let value = UInt32(text, radix: 16),
      let scalar = Unicode.Scalar(value)
    else { throw failure("\\u needs the digits of a Unicode scalar value") }
    return Array(String(Character(scalar)).utf8)
  }
}
