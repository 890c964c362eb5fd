// The 32 bytes that name everything in the store.

/// A SHA-256 value (FIPS 180-4), as four words so that comparing and hashing cost nothing.
public struct Digest: Hashable, Comparable, Sendable {
  // Big-endian words: their order is the order of the bytes, and of the hexadecimal text.
  private let a: UInt64
  private let b: UInt64
  private let c: UInt64
  private let d: UInt64

  public static let byteCount = 32

  /// Reads the first 32 bytes at `bytes`.
  public init(loading bytes: UnsafeRawPointer) {
    a = UInt64(bigEndian: bytes.loadUnaligned(as: UInt64.self))
    b = UInt64(bigEndian: bytes.loadUnaligned(fromByteOffset: 8, as: UInt64.self))
    c = UInt64(bigEndian: bytes.loadUnaligned(fromByteOffset: 16, as: UInt64.self))
    d = UInt64(bigEndian: bytes.loadUnaligned(fromByteOffset: 24, as: UInt64.self))
  }

  /// From exactly 32 bytes; nil for another number of them.
  public init?(_ bytes: [UInt8]) {
    guard let digest = bytes.withUnsafeBytes({ Digest(reading: $0) }) else { return nil }
    self = digest
  }

  /// From exactly 32 bytes in memory; nil for another number of them.
  public init?(reading bytes: UnsafeRawBufferPointer) {
    guard bytes.count == Digest.byteCount, let base = bytes.baseAddress else { return nil }
    self.init(loading: base)
  }

  /// From 64 hexadecimal digits of either case; nil for any other text.
  public init?(hex: some StringProtocol) { self.init(hexDigits: Array(hex.utf8)) }

  /// From the bytes of such a text. Folders of thousands of names are read with it: it allocates
  /// nothing.
  public init?(hexDigits digits: [UInt8]) {
    guard digits.count == 2 * Digest.byteCount else { return nil }
    let digest = digits.withUnsafeBufferPointer { digits -> Digest? in
      guard let a = Digest.word(digits, at: 0), let b = Digest.word(digits, at: 16),
        let c = Digest.word(digits, at: 32), let d = Digest.word(digits, at: 48)
      else { return nil }
      return Digest(a: a, b: b, c: c, d: d)
    }
    guard let digest else { return nil }
    self = digest
  }

  /// The value of 16 digits.
  private static func word(_ digits: UnsafeBufferPointer<UInt8>, at start: Int) -> UInt64? {
    var word: UInt64 = 0
    for i in start..<start + 16 {
      let decimal = digits[i] &- 0x30
      // 0x20 is what a small letter has and a capital one has not.
      let letter = (digits[i] | 0x20) &- 0x61
      guard decimal < 10 || letter < 6 else { return nil }
      word = word << 4 | UInt64(decimal < 10 ? decimal : letter + 10)
    }
    return word
  }

  private init(a: UInt64, b: UInt64, c: UInt64, d: UInt64) {
    (self.a, self.b, self.c, self.d) = (a, b, c, d)
  }

  /// 32 zero bytes: no content hashes to it that anybody knows.
  public static let zero = Digest(a: 0, b: 0, c: 0, d: 0)

  /// The first eight bytes, big-endian: good enough to find by, never to decide by.
  public var prefix: UInt64 { a }

  /// All four words, for checksums over many ids.
  public var words: (UInt64, UInt64, UInt64, UInt64) { (a, b, c, d) }

  public var bytes: [UInt8] {
    [UInt8](unsafeUninitializedCapacity: 32) { buffer, count in
      if let base = buffer.baseAddress { store(to: base) }
      count = 32
    }
  }

  /// Writes the 32 bytes.
  public func store(to target: UnsafeMutableRawPointer) {
    target.storeBytes(of: a.bigEndian, as: UInt64.self)
    target.storeBytes(of: b.bigEndian, toByteOffset: 8, as: UInt64.self)
    target.storeBytes(of: c.bigEndian, toByteOffset: 16, as: UInt64.self)
    target.storeBytes(of: d.bigEndian, toByteOffset: 24, as: UInt64.self)
  }

  /// 64 lower-case hexadecimal digits, as `sha256sum` prints them.
  public var hex: String {
    String(unsafeUninitializedCapacity: 64) { buffer in
      var i = 0
      for word in [a, b, c, d] {
        for shift in stride(from: 60, through: 0, by: -4) {
          let digit = UInt8(truncatingIfNeeded: word >> UInt64(shift)) & 15
          buffer[i] = digit < 10 ? 0x30 + digit : 0x61 + digit - 10
          i += 1
        }
      }
      return 64
    }
  }

  /// The first twelve digits, for people.
  public var shortHex: String { String(hex.prefix(12)) }

  public static func < (x: Digest, y: Digest) -> Bool {
    if x.a != y.a { return x.a < y.a }
    if x.b != y.b { return x.b < y.b }
    if x.c != y.c { return x.c < y.c }
    return x.d < y.d
  }

  /// The bytes are uniform already: one word is hash enough.
  public func hash(into hasher: inout Hasher) { hasher.combine(a) }
}

extension Digest: CustomStringConvertible {
  public var description: String { hex }
}
