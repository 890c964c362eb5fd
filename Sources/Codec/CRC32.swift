// The CRC of gzip and zip (ISO 3309, RFC 1952 section 8), by zlib.

import CZlib

/// A running CRC-32.
public struct CRC32: Sendable, Equatable {
  public private(set) var value: UInt32 = 0
  public init() {}

  public mutating func update(_ bytes: UnsafeRawBufferPointer) {
    guard let base = bytes.baseAddress else { return }
    value = UInt32(
      truncatingIfNeeded: crc32_z(
        uLong(value), base.assumingMemoryBound(to: UInt8.self), bytes.count))
  }

  public static func of(_ bytes: UnsafeRawBufferPointer) -> UInt32 {
    var crc = CRC32()
    crc.update(bytes)
    return crc.value
  }

  public static func of(_ bytes: [UInt8]) -> UInt32 { bytes.withUnsafeBytes { of($0) } }
}
