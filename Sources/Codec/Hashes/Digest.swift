// The 32-byte digest that identifies every object of the store.

/// A SHA-256 digest (FIPS 180-4), stored as four words so that comparing and hashing are cheap.
public struct Digest: Hashable, Comparable, Sendable {
  // The words are big-endian: they sort like the bytes and like the hexadecimal text.
  private let a: UInt64
  private let b: UInt64
  private let c: UInt64
  private let d: UInt64

  /// The number of bytes of a digest.
  public static let byteCount = 32

  /// Reads the first 32 bytes at `bytes`.
  public init(loading bytes: UnsafeRawPointer) {
    a = UInt64(bigEndian: bytes.loadUnaligned(as: UInt64.self))
    b = UInt64(bigEndian: bytes.loadUnaligned(fromByteOffset: 8, as: UInt64.self))
    c = UInt64(bigEndian: bytes.loadUnaligned(fromByteOffset: 16, as: UInt64.self))
    d = UInt64(bigEndian: bytes.loadUnaligned(fromByteOffset: 24, as: UInt64.self))
  }

  /// Creates a digest from its bytes, or returns nil unless there are exactly 32.
  public init?(_ bytes: [UInt8]) {
    guard let digest = bytes.withUnsafeBytes({ Digest(reading: $0) }) else { return nil }
    self = digest
  }

  /// Creates a digest from bytes in memory, or returns nil unless there are exactly 32.
  public init?(reading bytes: UnsafeRawBufferPointer) {
    guard bytes.count == Digest.byteCount, let base = bytes.baseAddress else { return nil }
    self.init(loading: base)
  }

  /// Creates a digest from 64 hexadecimal digits of either case, or returns nil for any other text.
  public init?(hex: some StringProtocol) { self.init(hexDigits: Array(hex.utf8)) }

  /// Creates a digest from the bytes of 64 hexadecimal digits, or returns nil for any other text.
  ///
  /// It allocates nothing: directories with thousands of names are read with it.
  public init?(hexDigits digits: [UInt8]) {
    guard digits.count == 2 * Digest.byteCount else { return nil }
    let digest = digits.withUnsafeBytes { digits -> Digest? in
      guard let a = Digest.word(digits, at: 0), let b = Digest.word(digits, at: 16),
        let c = Digest.word(digits, at: 32), let d = Digest.word(digits, at: 48)
      else { return nil }
      return Digest(a: a, b: b, c: c, d: d)
    }
    guard let digest else { return nil }
    self = digest
  }

  /// Returns the value of 16 digits.
  private static func word(_ digits: UnsafeRawBufferPointer, at start: Int) -> UInt64? {
    guard let high = halfWord(digits, at: start), let low = halfWord(digits, at: start + 8) else {
      return nil
    }
    return high << 32 | low
  }

  /// Returns the value of eight digits, all at once: a directory of packs has thousands of names.
  private static func halfWord(_ digits: UnsafeRawBufferPointer, at start: Int) -> UInt64? {
    func each(_ byte: UInt64) -> UInt64 { byte &* 0x0101_0101_0101_0101 }
    let text = UInt64(littleEndian: digits.loadUnaligned(fromByteOffset: start, as: UInt64.self))
    guard text & each(0x80) == 0 else { return nil }
    // Bit 0x20 distinguishes lower-case letters from capital ones. No sum of two bytes exceeds a byte.
    let lower = text | each(0x20)
    let isDecimal = (text &+ each(0x80 - 0x30)) & ~(text &+ each(0x80 - 0x3a)) & each(0x80)
    let isLetter = (lower &+ each(0x80 - 0x61)) & ~(lower &+ each(0x80 - 0x67)) & each(0x80)
    guard isDecimal | isLetter == each(0x80) else { return nil }
    let values = (text & each(0x0f)) &+ (isLetter >> 7) &* 9
    // The first digit is in the lowest byte. Each second byte gets the value of two digits.
    let pairs = values << 4 | values >> 8
    return (pairs & 0xff) << 24 | (pairs >> 16 & 0xff) << 16 | (pairs >> 32 & 0xff) << 8
      | (pairs >> 48 & 0xff)
  }

  private init(a: UInt64, b: UInt64, c: UInt64, d: UInt64) {
    (self.a, self.b, self.c, self.d) = (a, b, c, d)
  }

  /// 32 zero bytes. No known content has this digest.
  public static let zero = Digest(a: 0, b: 0, c: 0, d: 0)

  /// The first eight bytes, big-endian. They are good enough for a lookup, never for a decision.
  public var prefix: UInt64 { a }

  /// All four words, for checksums over many digests.
  public var words: (UInt64, UInt64, UInt64, UInt64) { (a, b, c, d) }

  /// The 32 bytes.
  public var bytes: [UInt8] {
    [UInt8](unsafeUninitializedCapacity: 32) { buffer, count in
      if let base = buffer.baseAddress { store(to: base) }
      count = 32
    }
  }

  /// Writes the 32 bytes to `target`.
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

  /// The first twelve digits, for people to read.
  public var shortHex: String { String(hex.prefix(12)) }

  /// Returns whether `x` sorts before `y`, in the order of their bytes.
  public static func < (x: Digest, y: Digest) -> Bool {
    if x.a != y.a { return x.a < y.a }
    if x.b != y.b { return x.b < y.b }
    if x.c != y.c { return x.c < y.c }
    return x.d < y.d
  }

  /// Hashes the first word only: the bytes are already uniformly distributed.
  public func hash(into hasher: inout Hasher) { hasher.combine(a) }
}

extension Digest: CustomStringConvertible {
  /// The digest as 64 hexadecimal digits.
  public var description: String { hex }
}
