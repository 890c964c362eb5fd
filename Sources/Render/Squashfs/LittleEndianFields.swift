// The little-endian fields of a squashfs structure.

import Archive

/// Reads little-endian words.
struct LittleEndianFields {
  private let bytes: [UInt8]
  private var offset = 0

  init(_ bytes: [UInt8]) { self.bytes = bytes }

  private mutating func number(_ count: Int) throws -> UInt64 {
    guard bytes.count - offset >= count else { throw ArchiveError("a squashfs table is truncated") }
    defer { offset += count }
    return bytes[offset..<offset + count].reversed().reduce(0) { $0 << 8 | UInt64($1) }
  }

  mutating func word16() throws -> UInt16 { UInt16(try number(2)) }
  mutating func word32() throws -> UInt32 { UInt32(try number(4)) }
  mutating func word64() throws -> UInt64 { try number(8) }
}
