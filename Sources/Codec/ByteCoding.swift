// The encoding of numbers and byte strings in every object of the store (docs/format.md, "Encoding"):
// unsigned LEB128 varints in their shortest form, zigzag for signed numbers, and little-endian words.
//
// 1. The reader trusts nothing: it checks every length against the remaining bytes before it uses it.
// 2. The reader rejects a varint that is not in its shortest form, so that each value has one encoding.

/// Encodes values and appends them to a byte array.
public struct ByteWriter: Sendable {
  /// The bytes encoded so far.
  public private(set) var bytes: [UInt8] = []
  /// Creates a writer without bytes.
  public init() {}

  /// Reserves memory for `count` bytes.
  public mutating func reserve(_ count: Int) { bytes.reserveCapacity(count) }

  /// Removes all bytes and keeps the memory.
  public mutating func removeAll() { bytes.removeAll(keepingCapacity: true) }

  /// Appends one byte.
  public mutating func byte(_ value: UInt8) { bytes.append(value) }

  /// Appends an unsigned number as LEB128.
  public mutating func varint(_ value: UInt64) {
    var rest = value
    while rest >= 0x80 {
      bytes.append(UInt8(truncatingIfNeeded: rest) | 0x80)
      rest >>= 7
    }
    bytes.append(UInt8(rest))
  }

  /// Appends a number as LEB128. Stops the program if it is negative.
  public mutating func varint(_ value: Int) { varint(UInt64(value)) }

  /// Appends a signed number in zigzag form: 0, -1, 1, -2 become 0, 1, 2, 3.
  public mutating func signed(_ value: Int64) {
    varint(UInt64(bitPattern: (value << 1) ^ (value >> 63)))
  }

  /// Appends four bytes, little-endian.
  public mutating func word32(_ value: UInt32) {
    withUnsafeBytes(of: value.littleEndian) { bytes.append(contentsOf: $0) }
  }

  /// Appends eight bytes, little-endian.
  public mutating func word64(_ value: UInt64) {
    withUnsafeBytes(of: value.littleEndian) { bytes.append(contentsOf: $0) }
  }

  /// Appends bytes without a length.
  public mutating func raw(_ value: some Sequence<UInt8>) { bytes.append(contentsOf: value) }

  /// Appends the 32 bytes of a digest.
  public mutating func digest(_ value: Digest) {
    withUnsafeTemporaryAllocation(byteCount: 32, alignment: 8) { buffer in
      guard let base = buffer.baseAddress else { return }
      value.store(to: base)
      bytes.append(contentsOf: UnsafeRawBufferPointer(buffer))
    }
  }

  /// Appends a length, then the bytes.
  public mutating func string(_ value: [UInt8]) {
    varint(value.count)
    bytes.append(contentsOf: value)
  }

  /// Appends the length of a text in UTF-8, then its bytes.
  public mutating func string(_ value: String) { string(Array(value.utf8)) }
}

/// Decodes values from a buffer, which must outlive the reader.
public struct ByteReader {
  /// The whole buffer, including the bytes already read.
  public let buffer: UnsafeRawBufferPointer
  /// The offset of the next byte to read.
  public private(set) var offset = 0

  /// Creates a reader at the start of `buffer`.
  public init(_ buffer: UnsafeRawBufferPointer) { self.buffer = buffer }

  /// The number of bytes not yet read.
  public var remaining: Int { buffer.count - offset }
  /// Whether all bytes are read.
  public var isAtEnd: Bool { offset == buffer.count }

  /// Reads one byte.
  /// - Throws: `CodecError.truncated`.
  public mutating func byte() throws(CodecError) -> UInt8 {
    guard offset < buffer.count else { throw .truncated }
    defer { offset += 1 }
    return buffer[offset]
  }

  /// Reads an unsigned LEB128 number.
  /// - Throws: `CodecError.truncated`; `CodecError.corrupt` if the number does not fit in 64 bits
  ///   or is not in its shortest form.
  public mutating func varint() throws(CodecError) -> UInt64 {
    var value: UInt64 = 0
    var shift: UInt64 = 0
    while true {
      let next = try byte()
      if shift == 63, next > 1 { throw .corrupt("a number does not fit in 64 bits") }
      value |= UInt64(next & 0x7f) << shift
      if next < 0x80 {
        if next == 0, shift > 0 { throw .corrupt("a number is not in its shortest form") }
        return value
      }
      shift += 7
    }
  }

  /// Reads a varint that must not exceed `limit`.
  /// - Parameter what: the subject of the error message.
  /// - Throws: the errors of `varint()`; `CodecError.overLimit`.
  public mutating func varint(limit: UInt64, _ what: String) throws(CodecError) -> UInt64 {
    let value = try varint()
    guard value <= limit else {
      throw .overLimit("\(what) is \(value), over the limit of \(limit)")
    }
    return value
  }

  /// Reads a count of elements that occupy at least `bytesEach` bytes each.
  ///
  /// A count that the remaining bytes cannot hold is rejected before anything is allocated for it.
  /// - Throws: the errors of `varint()`; `CodecError.overLimit`.
  public mutating func count(bytesEach: Int) throws(CodecError) -> Int {
    Int(try varint(limit: UInt64(remaining / max(bytesEach, 1)), "a count"))
  }

  /// Reads a signed number in zigzag form.
  /// - Throws: the errors of `varint()`.
  public mutating func signed() throws(CodecError) -> Int64 {
    let value = try varint()
    return Int64(bitPattern: value >> 1) ^ -Int64(bitPattern: value & 1)
  }

  /// Reads four bytes, little-endian.
  /// - Throws: `CodecError.truncated`.
  public mutating func word32() throws(CodecError) -> UInt32 {
    guard remaining >= 4 else { throw .truncated }
    defer { offset += 4 }
    return UInt32(littleEndian: buffer.loadUnaligned(fromByteOffset: offset, as: UInt32.self))
  }

  /// Reads eight bytes, little-endian.
  /// - Throws: `CodecError.truncated`.
  public mutating func word64() throws(CodecError) -> UInt64 {
    guard remaining >= 8 else { throw .truncated }
    defer { offset += 8 }
    return UInt64(littleEndian: buffer.loadUnaligned(fromByteOffset: offset, as: UInt64.self))
  }

  /// Reads the 32 bytes of a digest.
  /// - Throws: `CodecError.truncated`.
  public mutating func digest() throws(CodecError) -> Digest {
    guard remaining >= 32, let base = buffer.baseAddress else { throw .truncated }
    defer { offset += 32 }
    return Digest(loading: base + offset)
  }

  /// Reads `count` bytes.
  /// - Throws: `CodecError.truncated`.
  public mutating func raw(_ count: Int) throws(CodecError) -> [UInt8] {
    guard count >= 0, count <= remaining else { throw .truncated }
    defer { offset += count }
    return [UInt8](UnsafeRawBufferPointer(rebasing: buffer[offset..<offset + count]))
  }

  /// Skips `count` bytes.
  /// - Throws: `CodecError.truncated`.
  public mutating func skip(_ count: Int) throws(CodecError) {
    guard count >= 0, count <= remaining else { throw .truncated }
    offset += count
  }

  /// Reads a length and that many bytes.
  /// - Throws: the errors of `count(bytesEach:)`.
  public mutating func string() throws(CodecError) -> [UInt8] {
    let length = try count(bytesEach: 1)
    return try raw(length)
  }

  /// Reads a length and a text of that many bytes in UTF-8.
  /// - Throws: the errors of `string()`; `CodecError.corrupt` if the bytes are not UTF-8.
  public mutating func text() throws(CodecError) -> String {
    guard let text = String(validating: try string(), as: UTF8.self) else {
      throw .corrupt("a text is not UTF-8")
    }
    return text
  }

  /// Checks that all bytes are read.
  /// - Throws: `CodecError.corrupt` if bytes remain.
  public func expectEnd() throws(CodecError) {
    if !isAtEnd { throw .corrupt("\(remaining) bytes are left over") }
  }
}
