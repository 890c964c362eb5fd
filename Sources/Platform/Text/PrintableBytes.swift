// File names for people and for JSON: a spelling in printable UTF-8 that can be converted back.
//
// 1. Valid UTF-8 is spelled unchanged, except for backslashes, control characters (including line breaks and
//    changes of the direction of writing) and invisible characters. Two names that differ look different.
// 2. A backslash is `\\`; newline and tab are `\n`, `\t`; any other byte is `\xHH`.
// 3. `bytes(fromPrintable: printable(b)) == b` for all b.

/// Returns a name or path as printable text; see the rules above.
public func printable(_ bytes: some Sequence<UInt8>) -> String {
  let bytes = Array(bytes)
  if bytes.allSatisfy({ $0 >= 0x20 && $0 < 0x7f && $0 != 0x5c }) {
    return String(decoding: bytes, as: UTF8.self)
  }
  var text = ""
  var rest = bytes[...]
  while let byte = rest.first {
    switch byte {
    case 0x5c: text += "\\\\"
    case 0x0a: text += "\\n"
    case 0x09: text += "\\t"
    case 0x20...0x7e: text.unicodeScalars.append(Unicode.Scalar(byte))
    default:
      let length = byte >= 0xf0 ? 4 : byte >= 0xe0 ? 3 : byte >= 0xc0 ? 2 : 1
      if length > 1, rest.count >= length,
        let scalar = String(validating: rest.prefix(length), as: UTF8.self)?.unicodeScalars.first,
        !scalar.steersText, !scalar.showsNothing
      {
        text.unicodeScalars.append(scalar)
        rest.removeFirst(length)
        continue
      }
      text += "\\x" + hexPair(byte)
    }
    rest.removeFirst()
  }
  return text
}

/// Returns the bytes that `printable` spelled; nil if `text` is not such a spelling.
public func bytes(fromPrintable text: String) -> [UInt8]? {
  var bytes: [UInt8] = []
  var input = Array(text.utf8)[...]
  while let byte = input.popFirst() {
    guard byte == 0x5c else {
      bytes.append(byte)
      continue
    }
    switch input.popFirst() {
    case 0x5c: bytes.append(0x5c)
    case 0x6e: bytes.append(0x0a)
    case 0x74: bytes.append(0x09)
    case 0x78:
      guard let high = input.popFirst().flatMap(hexValue),
        let low = input.popFirst().flatMap(hexValue)
      else { return nil }
      bytes.append(high << 4 | low)
    default: return nil
    }
  }
  return bytes
}

extension StringProtocol {
  /// Whether the text contains characters that control a terminal, break a line, or change the
  /// direction of writing. Untrusted names and values never need them.
  public var holdsControlCharacters: Bool {
    unicodeScalars.contains(where: \.steersText)
  }

  /// Whether a combining mark follows a separator ("/", ",", " "). To Unicode, and so to `split`, the
  /// two are one character; to the kernel and to every byte-wise reader the separator counts.
  public var hidesSeparators: Bool {
    contains { character in
      guard let first = character.unicodeScalars.first, first.isASCII else { return false }
      return character.unicodeScalars.count > 1 && !first.properties.isAlphabetic
        && !(0x30...0x39).contains(first.value)
    }
  }
}

extension Unicode.Scalar {
  /// Whether the character is invisible, or a blank other than the usual one: format characters, tags,
  /// fillers, variation selectors.
  fileprivate var showsNothing: Bool {
    switch properties.generalCategory {
    case .format, .spaceSeparator, .surrogate, .unassigned: value >= 0x80
    default: properties.isDefaultIgnorableCodePoint || value == 0x2800
    }
  }

  fileprivate var steersText: Bool {
    if value < 0x80 { return value < 0x20 || value == 0x7f }
    switch properties.generalCategory {
    case .control, .lineSeparator, .paragraphSeparator: return true
    default: return properties.isBidiControl
    }
  }
}

/// Returns the value of a lower- or upper-case hexadecimal digit.
public func hexValue(_ digit: UInt8) -> UInt8? {
  switch digit {
  case 0x30...0x39: digit - 0x30
  case 0x61...0x66: digit - 0x61 + 10
  case 0x41...0x46: digit - 0x41 + 10
  default: nil
  }
}

private func hexPair(_ byte: UInt8) -> String {
  let digits = Array("0123456789abcdef")
  return String([digits[Int(byte >> 4)], digits[Int(byte & 15)]])
}
