// Reading and comparing bytes and words at any offset of a buffer. No function checks the offset: callers do.

/// Returns the 8 bytes at an offset, in the order of this machine.
@inline(__always)
func word(_ bytes: UnsafeRawBufferPointer, _ offset: Int) -> UInt64 {
  bytes.baseAddress.unsafelyUnwrapped.loadUnaligned(fromByteOffset: offset, as: UInt64.self)
}

/// Returns the byte at an offset.
@inline(__always)
func byte(_ bytes: UnsafeRawBufferPointer, _ offset: Int) -> UInt8 {
  bytes.baseAddress.unsafelyUnwrapped.load(fromByteOffset: offset, as: UInt8.self)
}

/// Returns 1 to 4 bytes as a little-endian number.
@inline(__always)
func partialWord(_ bytes: UnsafeRawBufferPointer, _ offset: Int, _ count: Int) -> UInt32 {
  if count == 4 {
    return UInt32(
      littleEndian: bytes.baseAddress.unsafelyUnwrapped.loadUnaligned(
        fromByteOffset: offset, as: UInt32.self))
  }
  var value: UInt32 = 0
  for i in 0..<count { value |= UInt32(byte(bytes, offset + i)) << (8 * UInt32(i)) }
  return value
}

/// Returns how many bytes from both offsets on are equal, at most `limit`.
@inline(__always)
func equalBytes(
  _ a: UnsafeRawBufferPointer, _ offsetA: Int, _ b: UnsafeRawBufferPointer, _ offsetB: Int,
  limit: Int
) -> Int {
  let limit = min(limit, a.count - offsetA, b.count - offsetB)
  var count = 0
  while count + 8 <= limit {
    let difference = word(a, offsetA + count) ^ word(b, offsetB + count)
    if difference != 0 {
      return count + UInt64(littleEndian: difference).trailingZeroBitCount / 8
    }
    count += 8
  }
  while count < limit, byte(a, offsetA + count) == byte(b, offsetB + count) { count += 1 }
  return count
}

/// Returns how many bytes before both offsets are equal, at most `limit`.
func equalBytesBefore(
  _ a: UnsafeRawBufferPointer, _ offsetA: Int, _ b: UnsafeRawBufferPointer, _ offsetB: Int,
  limit: Int
) -> Int {
  let limit = min(limit, offsetA, offsetB)
  var count = 0
  while count < limit, byte(a, offsetA - count - 1) == byte(b, offsetB - count - 1) { count += 1 }
  return count
}
