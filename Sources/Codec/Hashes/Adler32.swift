// The Adler-32 checksum of zlib streams and of rpm's ndb databases (RFC 1950, section 9), by zlib.

import CZlib

/// Computes Adler-32 checksums.
public enum Adler32 {
  /// Returns the checksum of `bytes`.
  public static func of(_ bytes: UnsafeRawBufferPointer) -> UInt32 {
    guard let base = bytes.baseAddress else { return 1 }
    return UInt32(
      truncatingIfNeeded: adler32_z(1, base.assumingMemoryBound(to: UInt8.self), bytes.count))
  }
}
