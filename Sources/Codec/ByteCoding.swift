// How numbers and byte strings are laid out in every object of ours (docs/format.md, "Encoding"):
// unsigned LEB128 varints in their shortest form, zigzag for signed ones, little-endian words.
//
// The reader trusts nothing: it checks every length against what is left before it uses it, and
// refuses a varint that is not the shortest, so that one value has one spelling.

/// Appends encoded values to a byte array.
public struct ByteWriter: Sendable {
  public private(set) var bytes: [UInt8] = []
  public init() {}

  public mutating func reserve(_ count: Int) { bytes.reserveCapacity(count) }

  public mutating func byte(_ value: UInt8) { bytes.append(value) }

  public mutating func varint(_ value: UInt64) {
    var rest = value
    while rest >= 0x80 {
      bytes.append(UInt8(truncatingIfNeeded: rest) | 0x80)
      rest >>= 7
    }
    bytes.append(UInt8(rest))
  }

  public mutating func varint(_ value: Int) { varint(UInt64(value)) }

  /// Zigzag: 0, -1, 1, -2 become 0, 1, 2, 3.
  public mutating func signed(_ value: Int64) {
    varint(UInt64(bitPattern: (value << 1) ^ (value >> 63)))
  }

  public mutating func word32(_ value: UInt32) {
    withUnsafeBytes(of: value.littleEndian) { bytes.append(contentsOf: $0) }
  }

  public mutating func word64(_ value: UInt64) {
    withUnsafeBytes(of: value.littleEndian) { bytes.append(contentsOf: $0) }
  }

  /// The bytes alone, without a length.
  public mutating func raw(_ value: some Sequence<UInt8>) { bytes.append(contentsOf: value) }

  public mutating func digest(_ value: Digest) {
    withUnsafeTemporaryAllocation(byteCount: 32, alignment: 8) { buffer in
      guard let base = buffer.baseAddress else { return }
      value.store(to: base)
      bytes.append(contentsOf: UnsafeRawBufferPointer(buffer))
    }
  }

  /// A length, then the bytes.
  public mutating func string(_ value: [UInt8]) {
    varint(value.count)
    bytes.append(contentsOf: value)
  }

  public mutating func string(_ value: String) { string(Array(value.utf8)) }
}

/// Takes encoded values from a buffer; the buffer must outlive it.
public struct ByteReader {
  /// All of the bytes, also those already taken.
  public let buffer: UnsafeRawBufferPointer
  public private(set) var offset = 0

  public init(_ buffer: UnsafeRawBufferPointer) { self.buffer = buffer }

  public var remaining: Int { buffer.count - offset }
  public var isAtEnd: Bool { offset == buffer.count }

  public mutating func byte() throws(CodecError) -> UInt8 {
    guard offset < buffer.count else { throw .truncated }
    defer { offset += 1 }
    return buffer[offset]
  }

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

  /// A varint that must not be over `limit`.
  public mutating func varint(limit: UInt64, _ what: String) throws(CodecError) -> UInt64 {
    let value = try varint()
    guard value <= limit else {
      throw .overLimit("\(what) is \(value), over the limit of \(limit)")
    }
    return value
  }

  /// A count of things of which each takes `bytesEach` or more: never more than can follow.
  public mutating func count(bytesEach: Int) throws(CodecError) -> Int {
    Int(try varint(limit: UInt64(remaining / max(bytesEach, 1)), "a count"))
  }

  public mutating func signed() throws(CodecError) -> Int64 {
    let value = try varint()
    return Int64(bitPattern: value >> 1) ^ -Int64(bitPattern: value & 1)
  }

  public mutating func word32() throws(CodecError) -> UInt32 {
    guard remaining >= 4 else { throw .truncated }
    defer { offset += 4 }
    return UInt32(littleEndian: buffer.loadUnaligned(fromByteOffset: offset, as: UInt32.self))
  }

  public mutating func word64() throws(CodecError) -> UInt64 {
    guard remaining >= 8 else { throw .truncated }
    defer { offset += 8 }
    return UInt64(littleEndian: buffer.loadUnaligned(fromByteOffset: offset, as: UInt64.self))
  }

  public mutating func digest() throws(CodecError) -> Digest {
    guard remaining >= 32, let base = buffer.baseAddress else { throw .truncated }
    defer { offset += 32 }
    return Digest(loading: base + offset)
  }

  public mutating func raw(_ count: Int) throws(CodecError) -> [UInt8] {
    guard count >= 0, count <= remaining else { throw .truncated }
    defer { offset += count }
    return [UInt8](UnsafeRawBufferPointer(rebasing: buffer[offset..<offset + count]))
  }

  public mutating func skip(_ count: Int) throws(CodecError) {
    guard count >= 0, count <= remaining else { throw .truncated }
    offset += count
  }

  public mutating func string() throws(CodecError) -> [UInt8] {
    let length = try count(bytesEach: 1)
    return try raw(length)
  }

  public mutating func text() throws(CodecError) -> String {
    guard let text = String(validating: try string(), as: UTF8.self) else {
      throw .corrupt("a text is not UTF-8")
    }
    return text
  }

  /// Throws where bytes are left over.
  public func expectEnd() throws(CodecError) {
    if !isAtEnd { throw .corrupt("\(remaining) bytes are left over") }
  }
}
