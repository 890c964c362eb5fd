// Content for a terminal: control characters are escaped. Line breaks, tabs and all other text stay.
//
// Text may arrive in portions: a character that is cut at the end of one waits for the next.

/// Escapes control characters in text that arrives in portions.
public struct TerminalText {
  private var rest: [UInt8] = []

  /// Creates an escaper without pending bytes.
  public init() {}

  /// Returns the next portion, escaped.
  public mutating func escaped(_ portion: some Sequence<UInt8>) -> [UInt8] {
    let bytes = rest + portion
    var (shown, at): ([UInt8], Int) = ([], 0)
    shown.reserveCapacity(bytes.count)
    while at < bytes.count {
      let byte = bytes[at]
      if byte == 0x0a || byte == 0x09 || (0x20..<0x7f).contains(byte) {
        shown.append(byte)
        at += 1
        continue
      }
      let length = byte >= 0xf0 ? 4 : byte >= 0xe0 ? 3 : byte >= 0xc0 ? 2 : 1
      if length > 1, at + length > bytes.count,
        bytes[(at + 1)...].allSatisfy({ (0x80...0xbf).contains($0) })
      {
        break
      }
      let end = min(at + length, bytes.count)
      let character = length > 1 ? String(validating: bytes[at..<end], as: UTF8.self) : nil
      if let character, !character.holdsControlCharacters {
        shown += bytes[at..<end]
        at = end
      } else {
        shown += Array(printable([byte]).utf8)
        at += 1
      }
    }
    rest = Array(bytes[at...])
    return shown
  }

  /// Returns the remaining bytes, escaped, if the text ends within a character.
  public mutating func end() -> [UInt8] {
    defer { rest = [] }
    return rest.flatMap { Array(printable([$0]).utf8) }
  }
}
