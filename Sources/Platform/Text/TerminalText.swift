// Contents on a terminal: what would steer it is spelled out. Lines and tabs stay, and so does all other text.
//
// Text may come in portions: a character that is cut at the end of one waits for the next.

/// Spells out what steers a terminal in text that comes in portions.
public struct TerminalText {
  private var rest: [UInt8] = []

  public init() {}

  /// Returns the next portion as it can be shown.
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

  /// Returns what is left where the text ends within a character.
  public mutating func end() -> [UInt8] {
    defer { rest = [] }
    return rest.flatMap { Array(printable([$0]).utf8) }
  }
}
