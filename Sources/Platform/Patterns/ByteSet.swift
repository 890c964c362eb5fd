// Sets of bytes, for brackets and escapes in patterns.

/// A set of bytes.
public struct ByteSet: Sendable, Hashable {
  private var words: (UInt64, UInt64, UInt64, UInt64) = (0, 0, 0, 0)

  /// Makes an empty set.
  public init() {}

  /// Returns whether the byte is in the set.
  public func contains(_ byte: UInt8) -> Bool {
    let bit: UInt64 = 1 << UInt64(byte & 63)
    return switch byte >> 6 {
    case 0: words.0 & bit != 0
    case 1: words.1 & bit != 0
    case 2: words.2 & bit != 0
    default: words.3 & bit != 0
    }
  }

  /// Adds a byte.
  public mutating func insert(_ byte: UInt8) {
    let bit: UInt64 = 1 << UInt64(byte & 63)
    switch byte >> 6 {
    case 0: words.0 |= bit
    case 1: words.1 |= bit
    case 2: words.2 |= bit
    default: words.3 |= bit
    }
  }

  /// Adds the bytes of another set.
  public mutating func formUnion(_ other: ByteSet) {
    words.0 |= other.words.0
    words.1 |= other.words.1
    words.2 |= other.words.2
    words.3 |= other.words.3
  }

  /// The complement of the set.
  public var inverted: ByteSet {
    var result = self
    result.words = (~words.0, ~words.1, ~words.2, ~words.3)
    return result
  }

  public static func == (a: ByteSet, b: ByteSet) -> Bool { a.words == b.words }

  public func hash(into hasher: inout Hasher) {
    for word in [words.0, words.1, words.2, words.3] { hasher.combine(word) }
  }

  /// Adds a range of bytes.
  public mutating func insert(_ range: ClosedRange<UInt8>) { for byte in range { insert(byte) } }

  /// Returns the set of all bytes of the ranges.
  public static func of(_ ranges: ClosedRange<UInt8>...) -> ByteSet {
    var set = ByteSet()
    for range in ranges { set.insert(range) }
    return set
  }

  /// The digits 0 to 9.
  public static let digit = of(0x30...0x39)
  /// Letters, digits and "_".
  public static let word = of(0x30...0x39, 0x41...0x5a, 0x61...0x7a, 0x5f...0x5f)
  /// ASCII white space.
  public static let blank = of(0x09...0x0d, 0x20...0x20)
}
