// The names of objects in a bucket.

/// A key: 1 to 900 bytes of ASCII letters, digits and `-_.+%@=`, in parts that slashes separate.
///
/// No part is empty, `.` or `..`: some services and every file system treat those specially.
public struct ObjectKey: Hashable, Sendable, Comparable, CustomStringConvertible {
  public let text: String

  /// Parses a key; nil for an invalid one.
  public init?(_ text: String) {
    let isValid = text.utf8.allSatisfy { byte in
      switch byte {
      case UInt8(ascii: "a")...UInt8(ascii: "z"), UInt8(ascii: "A")...UInt8(ascii: "Z"),
        UInt8(ascii: "0")...UInt8(ascii: "9"):
        true
      default: "/-_.+%@=".utf8.contains(byte)
      }
    }
    guard isValid, (1...900).contains(text.utf8.count) else { return nil }
    for part in text.split(separator: "/", omittingEmptySubsequences: false)
    where part.isEmpty || part == "." || part == ".." { return nil }
    self.text = text
  }

  public var description: String { text }

  public static func < (a: ObjectKey, b: ObjectKey) -> Bool {
    a.text.utf8.lexicographicallyPrecedes(b.text.utf8)
  }
}
