// Base64 with the standard alphabet (RFC 4648 section 4).
//
// 1. Only the spelling that an encoder writes is decoded: no line breaks, and pad bits that are zero (section
//    3.5).

/// Encodes and decodes Base64.
public enum Base64 {
  /// Whether a text must have its padding.
  public enum Padding: Sendable {
    case required
    /// A text may also lack it, as in extended attributes that libarchive writes.
    case optional
  }

  private static let alphabet = Array(
    "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/".utf8)
  private static let pad = UInt8(ascii: "=")

  /// Returns the text of some bytes, with its padding.
  public static func encode(_ bytes: [UInt8]) -> String {
    var text: [UInt8] = []
    text.reserveCapacity((bytes.count + 2) / 3 * 4)
    for start in stride(from: 0, to: bytes.count, by: 3) {
      let group = bytes[start..<min(start + 3, bytes.count)]
      let bits = group.reduce(UInt32(0)) { $0 << 8 | UInt32($1) } << (8 * UInt32(3 - group.count))
      for index in 0..<4 {
        text.append(
          index <= group.count ? alphabet[Int(bits >> (18 - 6 * UInt32(index)) & 63)] : pad)
      }
    }
    return String(decoding: text, as: UTF8.self)
  }

  /// Returns the bytes of a text; nil if no encoder writes it.
  public static func decode(
    _ text: some Collection<UInt8>, padding: Padding = .required
  ) -> [UInt8]? {
    let digits = text.prefix { $0 != pad }
    let padCount = text.count - digits.count
    guard text.dropFirst(digits.count).allSatisfy({ $0 == pad }) else { return nil }
    let isPadded = padCount <= 2 && (digits.count + padCount) % 4 == 0
    guard isPadded || (padding == .optional && padCount == 0), digits.count % 4 != 1 else {
      return nil
    }
    var bytes: [UInt8] = []
    var bits: UInt32 = 0
    var bitCount: UInt32 = 0
    for digit in digits {
      guard let value = value(digit) else { return nil }
      bits = bits << 6 | value
      bitCount += 6
      if bitCount >= 8 {
        bitCount -= 8
        bytes.append(UInt8(truncatingIfNeeded: bits >> bitCount))
        bits &= 1 << bitCount - 1
      }
    }
    return bits == 0 ? bytes : nil
  }

  private static func value(_ digit: UInt8) -> UInt32? {
    switch digit {
    case UInt8(ascii: "A")...UInt8(ascii: "Z"): UInt32(digit - UInt8(ascii: "A"))
    case UInt8(ascii: "a")...UInt8(ascii: "z"): UInt32(digit - UInt8(ascii: "a")) + 26
    case UInt8(ascii: "0")...UInt8(ascii: "9"): UInt32(digit - UInt8(ascii: "0")) + 52
    case UInt8(ascii: "+"): 62
    case UInt8(ascii: "/"): 63
    default: nil
    }
  }
}
