// The CRC-32 of gzip, xz and zip (ISO 3309; RFC 1952, section 8). libdeflate computes it, three
// times as fast as the next library; zlib combines two values.

import CDeflate
import CZlib

/// An incremental CRC-32.
public struct CRC32: Sendable, Equatable {
  /// The CRC of all bytes so far.
  public private(set) var value: UInt32 = 0
  /// Creates the CRC of no bytes.
  public init() {}
  /// Continues from an earlier value.
  public init(value: UInt32) { self.value = value }

  /// Adds bytes.
  public mutating func update(_ bytes: UnsafeRawBufferPointer) {
    guard let base = bytes.baseAddress else { return }
    value = libdeflate_crc32(value, base, bytes.count)
  }

  /// Adds `countBytes` bytes of which only the CRC is known.
  public mutating func append(_ crc: UInt32, countBytes: UInt64) {
    value = UInt32(
      truncatingIfNeeded: crc32_combine(uLong(value), uLong(crc), Int(clamping: countBytes)))
  }

  /// Returns the CRC of `bytes`.
  public static func of(_ bytes: UnsafeRawBufferPointer) -> UInt32 {
    var crc = CRC32()
    crc.update(bytes)
    return crc.value
  }

  /// Returns the CRC of `bytes`.
  public static func of(_ bytes: [UInt8]) -> UInt32 { bytes.withUnsafeBytes { of($0) } }
}
