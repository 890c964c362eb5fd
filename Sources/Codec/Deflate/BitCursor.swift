// Reads the bits of a deflate stream.

/// Reads bits, starting with the lowest of each byte. Bits after the end are zeros or slack. The
/// verifier compares `position` with the length before it uses them.
struct BitCursor {
  let base: UnsafeRawPointer
  let countBytes: Int
  /// The next byte to load.
  private(set) var next = 0
  private var buffer: UInt64 = 0
  private var bufferedBits = 0

  init(base: UnsafeRawPointer, countBytes: Int) {
    self.base = base
    self.countBytes = countBytes
  }

  /// The number of the next bit.
  var position: Int { next * 8 - bufferedBits }

  /// Loads bytes until at least 56 bits are buffered.
  @inline(__always) mutating func refill() {
    // Up to `slackBytes` after the end are readable. Bytes after them do not matter.
    if next <= countBytes {
      buffer |=
        UInt64(littleEndian: base.loadUnaligned(fromByteOffset: next, as: UInt64.self))
        &<< UInt64(bufferedBits)
    }
    next &+= (63 &- bufferedBits) &>> 3
    bufferedBits |= 56
  }

  @inline(__always) func peek(_ count: Int) -> Int {
    Int(truncatingIfNeeded: buffer & ((1 &<< UInt64(count)) &- 1))
  }

  @inline(__always) mutating func drop(_ count: Int) {
    buffer &>>= UInt64(count)
    bufferedBits &-= count
  }

  @inline(__always) mutating func take(_ count: Int) -> Int {
    let value = peek(count)
    drop(count)
    return value
  }

  mutating func alignToByte() { drop(bufferedBits & 7) }

  mutating func move(toByte byte: Int) {
    next = byte
    buffer = 0
    bufferedBits = 0
  }
}
