// Percent-encoding (RFC 3986 section 2.1): of URLs, of signed requests, of names in archives.
//
// 1. Unreserved characters (section 2.3) always stay as they are.
// 2. Bytes are encoded and decoded, not characters: a caller that needs text validates it.

/// Encodes and decodes percent-encoded bytes.
public enum PercentEncoding {
  private static let digits = Array("0123456789ABCDEF".utf8)

  /// Returns a text in which each byte that is neither unreserved nor in `kept` is "%" and two capital
  /// digits.
  /// - Parameter kept: characters that stay as they are, in ASCII.
  public static func encode(_ bytes: some Sequence<UInt8>, keeping kept: StaticString = "")
    -> String
  {
    let kept = kept.withUTF8Buffer { Array($0) }
    var text: [UInt8] = []
    for byte in bytes {
      if isUnreserved(byte) || kept.contains(byte) {
        text.append(byte)
      } else {
        text += [UInt8(ascii: "%"), digits[Int(byte >> 4)], digits[Int(byte & 15)]]
      }
    }
    return String(decoding: text, as: UTF8.self)
  }

  /// Returns bytes as one segment of a path, with the characters "@", ":", "+", "=" and "," as they are.
  public static func segment(_ bytes: some Sequence<UInt8>) -> String {
    encode(bytes, keeping: "@:+=,")
  }

  /// Returns the decoded bytes; nil if a "%" is not followed by two hexadecimal digits.
  /// - Parameter plusIsSpace: whether "+" means a space, as in forms (WHATWG URL, section 5.1).
  public static func decode(
    _ text: some Sequence<UInt8>, plusIsSpace: Bool = false
  ) -> [UInt8]? {
    var result: [UInt8] = []
    var bytes = text.makeIterator()
    while let byte = bytes.next() {
      switch byte {
      case UInt8(ascii: "%"):
        guard let high = bytes.next().flatMap(digitValue),
          let low = bytes.next().flatMap(digitValue)
        else { return nil }
        result.append(high << 4 | low)
      case UInt8(ascii: "+") where plusIsSpace: result.append(UInt8(ascii: " "))
      default: result.append(byte)
      }
    }
    return result
  }

  private static func isUnreserved(_ byte: UInt8) -> Bool {
    switch byte {
    case UInt8(ascii: "a")...UInt8(ascii: "z"), UInt8(ascii: "A")...UInt8(ascii: "Z"),
      UInt8(ascii: "0")...UInt8(ascii: "9"), UInt8(ascii: "-"), UInt8(ascii: "."),
      UInt8(ascii: "_"), UInt8(ascii: "~"):
      true
    default: false
    }
  }

  private static func digitValue(_ byte: UInt8) -> UInt8? {
    switch byte {
    case UInt8(ascii: "0")...UInt8(ascii: "9"): byte - UInt8(ascii: "0")
    case UInt8(ascii: "a")...UInt8(ascii: "f"): byte - UInt8(ascii: "a") + 10
    case UInt8(ascii: "A")...UInt8(ascii: "F"): byte - UInt8(ascii: "A") + 10
    default: nil
    }
  }
}
