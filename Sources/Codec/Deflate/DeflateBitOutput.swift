// Writes the bits of a deflate stream into memory of a fixed size (RFC 1951, section 3.1.1).

/// Bits from the lowest of each byte upwards, into memory of a fixed size.
struct DeflateBitOutput {
  private let target: UnsafeMutableRawBufferPointer
  private var count = 0
  private var buffer: UInt64 = 0
  private var bufferedBits = 0
  private(set) var isOverflown = false

  init(_ target: UnsafeMutableRawBufferPointer) { self.target = target }

  /// Adds up to 16 bits.
  @inline(__always) mutating func put(_ value: UInt32, _ bits: Int) {
    buffer |= UInt64(value) &<< UInt64(bufferedBits)
    bufferedBits &+= bits
    if bufferedBits >= 32 { store() }
  }

  @inline(__always) private mutating func store() {
    if count &+ 4 <= target.count, let base = target.baseAddress {
      (base + count).storeBytes(
        of: UInt32(truncatingIfNeeded: buffer).littleEndian, as: UInt32.self)
      count &+= 4
      buffer &>>= 32
      bufferedBits &-= 32
    } else {
      drain()
    }
  }

  /// Writes the complete bytes that fit.
  private mutating func drain() {
    while bufferedBits >= 8 {
      if count < target.count {
        target[count] = UInt8(truncatingIfNeeded: buffer)
        count += 1
      } else {
        isOverflown = true
      }
      buffer &>>= 8
      bufferedBits -= 8
    }
  }

  /// Adds zeros up to the end of a byte.
  mutating func align() {
    bufferedBits = (bufferedBits + 7) & ~7
    if bufferedBits >= 32 { drain() }
  }

  /// Adds complete bytes; the output must be aligned.
  mutating func copy(_ bytes: UnsafeRawBufferPointer) {
    drain()
    let fitting = min(bytes.count, target.count - count)
    if fitting < bytes.count { isOverflown = true }
    UnsafeMutableRawBufferPointer(rebasing: target[count..<count + fitting]).copyMemory(
      from: UnsafeRawBufferPointer(rebasing: bytes[..<fitting]))
    count += fitting
  }

  /// Writes all bits, and returns the number of bytes.
  mutating func flush() -> Int {
    bufferedBits = (bufferedBits + 7) & ~7
    drain()
    return count
  }
}
