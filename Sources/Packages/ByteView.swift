// Checked access to bytes in a buffer: the only code of this module that turns offsets into memory accesses.

/// A buffer with checked accesses. Valid as long as the buffer is.
struct ByteView {
  let buffer: UnsafeRawBufferPointer
  init(_ buffer: UnsafeRawBufferPointer) { self.buffer = buffer }

  var count: Int { buffer.count }

  func byte(_ at: Int) throws(MalformedDataError) -> UInt8 {
    guard at >= 0, at < buffer.count else { throw MalformedDataError("it ends too early") }
    return buffer[at]
  }

  func view(_ at: Int, _ length: Int) throws(MalformedDataError) -> ByteView {
    guard at >= 0, length >= 0, at <= buffer.count, length <= buffer.count - at else {
      throw MalformedDataError("it ends too early")
    }
    return ByteView(UnsafeRawBufferPointer(rebasing: buffer[at..<at + length]))
  }

  func word16(_ at: Int, isBigEndian: Bool = false) throws(MalformedDataError) -> Int {
    let value = try view(at, 2).buffer.loadUnaligned(as: UInt16.self)
    return Int(isBigEndian ? value.bigEndian : value.littleEndian)
  }

  func word32(_ at: Int, isBigEndian: Bool = false) throws(MalformedDataError) -> UInt32 {
    let value = try view(at, 4).buffer.loadUnaligned(as: UInt32.self)
    return isBigEndian ? value.bigEndian : value.littleEndian
  }

  /// Returns a 32-bit word as an offset or a length.
  func length(_ at: Int, isBigEndian: Bool = false) throws(MalformedDataError) -> Int {
    Int(try word32(at, isBigEndian: isBigEndian))
  }

  /// Returns the bytes from `at` up to the next NUL.
  func string(_ at: Int) throws(MalformedDataError) -> [UInt8] {
    guard at >= 0, at <= buffer.count else { throw MalformedDataError("it ends too early") }
    guard let end = buffer[at...].firstIndex(of: 0) else {
      throw MalformedDataError("a text in it is not terminated")
    }
    return [UInt8](buffer[at..<end])
  }
}
