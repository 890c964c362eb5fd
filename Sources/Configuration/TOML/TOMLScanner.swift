// Reads the bytes of a TOML document: white space, comments, keys and line ends.
//
// 1. The bytes are UTF-8 without control characters other than tab and line ends, or reading fails.
// 2. The scanner never reads beyond the end: `peek` is nil there.

import Platform

/// A position in a document.
struct TOMLScanner {
  private let bytes: [UInt8]
  private(set) var offset = 0
  /// The line of the position, from 1.
  private(set) var line = 1

  /// - Throws: `TOMLError` for a byte that no document may contain.
  init(_ bytes: [UInt8]) throws(TOMLError) {
    self.bytes = bytes
    if bytes.starts(with: [0xef, 0xbb, 0xbf]) { offset = 3 }
    var line = 1
    for (i, byte) in bytes.enumerated() {
      if byte == 0x0a { line += 1 }
      let isLineEnd = byte == 0x0d && i + 1 < bytes.count && bytes[i + 1] == 0x0a
      if byte < 0x20 && byte != 0x09 && byte != 0x0a && !isLineEnd || byte == 0x7f {
        throw TOMLError(line: line, reason: "there is the control character \(byte)")
      }
    }
    guard String(validating: bytes, as: UTF8.self) != nil else {
      throw TOMLError(line: TOMLScanner.firstInvalidLine(bytes), reason: "the text is not UTF-8")
    }
  }

  private static func firstInvalidLine(_ bytes: [UInt8]) -> Int {
    let lines = bytes.split(separator: 0x0a, omittingEmptySubsequences: false)
    let index = lines.firstIndex { String(validating: $0, as: UTF8.self) == nil }
    return (index ?? 0) + 1
  }

  func failure(_ reason: String) -> TOMLError { TOMLError(line: line, reason: reason) }

  /// The next byte; nil at the end.
  var peek: UInt8? { offset < bytes.count ? bytes[offset] : nil }

  var isAtEnd: Bool { offset == bytes.count }

  /// Returns whether the next bytes are those of a text.
  func isNext(_ text: StaticString) -> Bool {
    text.withUTF8Buffer { bytes[offset...].starts(with: $0) }
  }

  mutating func advance(_ count: Int = 1) {
    for _ in 0..<count where offset < bytes.count {
      if bytes[offset] == 0x0a { line += 1 }
      offset += 1
    }
  }

  /// Skips a byte if it is the next one.
  mutating func skip(_ byte: UInt8) -> Bool {
    guard peek == byte else { return false }
    advance()
    return true
  }

  /// Returns the longest prefix whose bytes meet a condition, and skips it.
  mutating func take(while isMember: (UInt8) -> Bool) -> String {
    let start = offset
    while let byte = peek, isMember(byte) { advance() }
    return String(decoding: bytes[start..<offset], as: UTF8.self)
  }

  /// Returns the bytes between an earlier position and this one.
  func text(from start: Int) -> String { String(decoding: bytes[start..<offset], as: UTF8.self) }

  func bytes(from start: Int) -> ArraySlice<UInt8> { bytes[start..<offset] }

  /// Skips spaces and tabs.
  mutating func skipSpace() {
    while let byte = peek, byte == 0x20 || byte == 0x09 { advance() }
  }

  /// Skips white space, comments and line ends.
  mutating func skipLines() {
    while let byte = peek {
      switch byte {
      case 0x20, 0x09, 0x0a, 0x0d: advance()
      case UInt8(ascii: "#"): skipComment()
      default: return
      }
    }
  }

  private mutating func skipComment() {
    while let byte = peek, byte != 0x0a { advance() }
  }

  /// Skips the rest of a line, which may hold only a comment.
  mutating func endLine() throws(TOMLError) {
    skipSpace()
    if peek == UInt8(ascii: "#") { skipComment() }
    if isNext("\r\n") { advance() }
    guard isAtEnd || skip(0x0a) else {
      throw failure("there is more text after the value")
    }
  }
}
