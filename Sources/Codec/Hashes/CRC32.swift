// The CRC of gzip, xz and zip (ISO 3309, RFC 1952 section 8). libdeflate computes it (three times
// as fast as the next), zlib combines it.

import CDeflate
import CZlib

/// A running CRC-32.
public struct CRC32: Sendable, Equatable {
  public private(set) var value: UInt32 = 0
  public init() {}
  /// Goes on from a value.
  public init(value: UInt32) { self.value = value }

  public mutating func update(_ bytes: UnsafeRawBufferPointer) {
    guard let base = bytes.baseAddress else { return }
    value = libdeflate_crc32(value, base, bytes.count)
  }

  /// As if `countBytes` bytes whose CRC is `crc` had been fed.
  public mutating func append(_ crc: UInt32, countBytes: UInt64) {
    value = UInt32(
      truncatingIfNeeded: crc32_combine(uLong(value), uLong(crc), Int(clamping: countBytes)))
  }

  public static func of(_ bytes: UnsafeRawBufferPointer) -> UInt32 {
    var crc = CRC32()
    crc.update(bytes)
    return crc.value
  }

  public static func of(_ bytes: [UInt8]) -> UInt32 { bytes.withUnsafeBytes { of($0) } }
}
