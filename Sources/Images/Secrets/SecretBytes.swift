// What the checks share: stretches of a file to be replaced, and small tests of bytes.

/// A stretch of a file that holds a secret, and what a scrubbed file has in its place.
struct Redaction: Equatable {
  let range: Range<Int>
  let replacement: [UInt8]

  /// Returns `bytes` with all stretches replaced. Where they overlap, the first one counts, made longer.
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

/// Bytes of ASCII.
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

  /// The characters of base64 in its two spellings.
  static func isBase64(_ byte: UInt8) -> Bool {
    isWord(byte) || byte == UInt8(ascii: "+") || byte == UInt8(ascii: "/")
      || byte == UInt8(ascii: "-") || byte == UInt8(ascii: "=")
  }
}

extension ArraySlice<UInt8> {
  /// Without blanks at both ends.
  var stripped: ArraySlice<UInt8> {
    var slice = self
    while let first = slice.first, ASCII.isSpace(first) { slice = slice.dropFirst() }
    while let last = slice.last, ASCII.isSpace(last) { slice = slice.dropLast() }
    return slice
  }

  var lowered: [UInt8] { map(ASCII.lowered) }
}

extension [UInt8] {
  /// The lines, without their ends, as stretches.
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

  /// Where a text begins, from an offset on.
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
