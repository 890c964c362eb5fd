// Content for a terminal: control characters are escaped, and all other text is unchanged.

import Platform
import TestSupport
import Testing

@Suite struct TerminalTextTests {
  private func escaped(_ bytes: [UInt8], portions: [Int] = []) -> [UInt8] {
    var text = TerminalText()
    var (shown, rest): ([UInt8], ArraySlice<UInt8>) = ([], bytes[...])
    for count in portions {
      shown += text.escaped(rest.prefix(count))
      rest = rest.dropFirst(count)
    }
    return shown + text.escaped(rest) + text.end()
  }

  @Test(arguments: [
    ("plain, ä, € and 𝄞\n\ttab \\ back", "plain, ä, € and 𝄞\n\ttab \\ back"),
    ("a\u{1b}[31mb\u{7}", "a\\x1b[31mb\\x07"), ("\u{9b}2J", "\\xc2\\x9b2J"),
    ("a\r\nb\u{7f}", "a\\x0d\nb\\x7f"), ("\u{202e}x", "\\xe2\\x80\\xaex"),
  ])
  func `control characters are escaped, and all other text is unchanged`(
    _ text: String, _ shown: String
  ) {
    #expect(String(decoding: escaped(Array(text.utf8)), as: UTF8.self) == shown)
  }

  @Test(arguments: seeds)
  func `text in portions of any size is escaped in the same way`(_ seed: UInt64) {
    var random = SplitMix64(seed)
    let fragments: [[UInt8]] = [
      [0x1b, 0x5b], [0xc2, 0x9b], [0x9b], [0xe2, 0x80, 0xae], Array("ä€𝄞 text\n".utf8),
      [0xf0, 0x9d], [0],
      [0xff],
    ]
    for _ in 0..<200 {
      let bytes = (0..<20).flatMap { _ in fragments.randomElement(using: &random) ?? [] }
      let whole = escaped(bytes)
      let portions = (0..<10).map { _ in Int.random(in: 0...5, using: &random) }
      #expect(escaped(bytes, portions: portions) == whole, "seed \(seed): \(bytes) \(portions)")
      #expect(whole.allSatisfy { $0 == 0x0a || $0 == 0x09 || $0 >= 0x20 && $0 != 0x7f })
      #expect(String(validating: whole, as: UTF8.self) != nil)
    }
  }
}
