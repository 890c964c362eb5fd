// The lengths of the header and trailer of a gzip member (RFC 1952). A recipe stores them verbatim.

/// Measures the framing of gzip members.
enum GzipFrame {
  static let trailerBytes: UInt64 = 8
  private static let maxHeaderBytes: UInt64 = 68 << 10

  /// Returns the length of the member header at `offset`, or nil if none starts there or it is too long.
  static func headerBytes(_ source: RandomAccessSource, at offset: UInt64) throws -> UInt64? {
    guard offset < source.sizeBytes else { return nil }
    let head = try source.bytes(offset..<min(source.sizeBytes, offset + maxHeaderBytes))
    guard head.count >= 10, head[0] == 0x1f, head[1] == 0x8b, head[2] == 8, head[3] & 0xe0 == 0
    else { return nil }
    let flags = head[3]
    var end = 10
    if flags & 4 != 0 {
      guard end + 2 <= head.count else { return nil }
      end += 2 + Int(head[end]) + Int(head[end + 1]) << 8
    }
    for flag in [8, 16] as [UInt8] where flags & flag != 0 {
      guard end < head.count, let zero = head[end...].firstIndex(of: 0) else { return nil }
      end = zero + 1
    }
    if flags & 2 != 0 { end += 2 }
    return end < head.count ? UInt64(end) : nil
  }
}
