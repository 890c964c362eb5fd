// The names of objects in a bucket.

/// A key: 1 to 900 bytes of ASCII letters, digits and `-_.+%@=`, in parts that slashes separate.
///
/// No part is empty, `.` or `..`: some services and every file system treat those specially.
public struct ObjectKey: Hashable, Sendable, Comparable, CustomStringConvertible {
  public let text: String

  /// Parses a key; nil for an invalid one.
  public init?(_ text: String) {
    guard (1...900).contains(text.utf8.count) else { return nil }
    var text = text
    let isValid = text.withUTF8 { bytes in
      bytes.allSatisfy(ObjectKey.isValid)
        && bytes.split(separator: UInt8(ascii: "/"), omittingEmptySubsequences: false).allSatisfy {
          !$0.isEmpty && !$0.elementsEqual([0x2e]) && !$0.elementsEqual([0x2e, 0x2e])
        }
    }
    guard isValid else { return nil }
    self.text = text
  }

  private static func isValid(_ byte: UInt8) -> Bool {
    switch byte {
    case UInt8(ascii: "a")...UInt8(ascii: "z"), UInt8(ascii: "A")...UInt8(ascii: "Z"),
      UInt8(ascii: "0")...UInt8(ascii: "9"), UInt8(ascii: "/"), UInt8(ascii: "-"),
      UInt8(ascii: "_"), UInt8(ascii: "."), UInt8(ascii: "+"), UInt8(ascii: "%"),
      UInt8(ascii: "@"), UInt8(ascii: "="):
      true
    default: false
    }
  }

  public var description: String { text }

  public static func < (a: ObjectKey, b: ObjectKey) -> Bool {
    a.text.utf8.lexicographicallyPrecedes(b.text.utf8)
  }
}
