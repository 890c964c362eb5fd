// Shared helpers of the checks: redactions, and small predicates on bytes.

/// A byte range of a file that holds a secret, and its replacement in a scrubbed file.
struct Redaction: Equatable {
  let range: Range<Int>
  let replacement: [UInt8]

  /// Returns `bytes` with all ranges replaced. Overlapping ranges merge; the first one's replacement is used.
  static func apply(_ redactions: [Redaction], to bytes: [UInt8]) -> [UInt8] {
    var result: [UInt8] = []
    result.reserveCapacity(bytes.count)
    var done = 0
    for redaction in redactions.sorted(by: { $0.range.lowerBound < $1.range.lowerBound }) {
      guard redaction.range.upperBound > done else { continue }
      if redaction.range.lowerBound >= done {
        result += bytes[done..<redaction.range.lowerBound]
        result += redaction.replacement
      }
      done = redaction.range.upperBound
    }
    return result + bytes[done...]
  }
}

/// ASCII characters and their classes.
enum ASCII {
  static let newline = UInt8(ascii: "\n")
  static let blank = UInt8(ascii: " ")
  static let tab = UInt8(ascii: "\t")
  static let colon = UInt8(ascii: ":")
  static let dollar = UInt8(ascii: "$")
  static let hash = UInt8(ascii: "#")

  static func isSpace(_ byte: UInt8) -> Bool { byte == blank || byte == tab || byte == 13 }
  static func isDigit(_ byte: UInt8) -> Bool { byte >= 0x30 && byte <= 0x39 }
  static func isUpper(_ byte: UInt8) -> Bool { byte >= 0x41 && byte <= 0x5a }
  static func isLetter(_ byte: UInt8) -> Bool {
    isUpper(byte) || byte >= 0x61 && byte <= 0x7a
  }
  static func isWord(_ byte: UInt8) -> Bool {
    isLetter(byte) || isDigit(byte) || byte == UInt8(ascii: "_")
  }
  static func lowered(_ byte: UInt8) -> UInt8 { isUpper(byte) ? byte | 0x20 : byte }

  /// Returns whether a byte is a character of base64, standard or URL-safe.
  static func isBase64(_ byte: UInt8) -> Bool {
    isWord(byte) || byte == UInt8(ascii: "+") || byte == UInt8(ascii: "/")
      || byte == UInt8(ascii: "-") || byte == UInt8(ascii: "=")
  }
}

extension ArraySlice<UInt8> {
  /// The slice without blanks at both ends.
  var stripped: ArraySlice<UInt8> {
    var slice = self
    while let first = slice.first, ASCII.isSpace(first) { slice = slice.dropFirst() }
    while let last = slice.last, ASCII.isSpace(last) { slice = slice.dropLast() }
    return slice
  }

  var lowered: [UInt8] { map(ASCII.lowered) }
}

extension [UInt8] {
  /// The ranges of the lines, without the newlines.
  var lineRanges: [Range<Int>] {
    var ranges: [Range<Int>] = []
    var start = 0
    for i in indices where self[i] == ASCII.newline {
      ranges.append(start..<i)
      start = i + 1
    }
    if start < count { ranges.append(start..<count) }
    return ranges
  }

  /// Returns the range of the first occurrence of a text at or after an offset.
  func firstRange(ofText text: [UInt8], from start: Int = 0) -> Range<Int>? {
    guard let first = text.first, count - start >= text.count else { return nil }
    return withUnsafeBufferPointer { bytes in
      var i = start
      while i + text.count <= bytes.count {
        if bytes[i] == first, (1..<text.count).allSatisfy({ bytes[i + $0] == text[$0] }) {
          return i..<i + text.count
        }
        i += 1
      }
      return nil
    }
  }

  func contains(text: String) -> Bool { firstRange(ofText: Array(text.utf8)) != nil }
}
