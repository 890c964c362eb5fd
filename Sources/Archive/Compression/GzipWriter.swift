// Writes one gzip member (RFC 1952) as a stream. The header has no name and no time, so the same input
// gives the same bytes.

import Codec

/// Compresses a stream to gzip.
public final class GzipWriter {
  private let deflater: Deflater
  private let level: Int32
  private let sink: ByteSink
  private var crc = CRC32()
  private var countBytes: UInt64 = 0

  /// Writes the header.
  /// - Parameter level: zlib's, 1 ... 9.
  public init(level: Int32 = 6, _ sink: @escaping ByteSink) throws {
    self.level = level
    self.sink = sink
    deflater = Deflater(level: level)
    // Magic, deflate, no flags, no time, no extra flags, Unix.
    let header: [UInt8] = [0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 3]
    try header.withUnsafeBytes { try sink($0) }
  }

  /// Switches compression on or off; compressed data goes into stored blocks.
  public func setCompressing(_ isCompressing: Bool) throws {
    try deflater.setLevel(isCompressing ? level : 0, sink)
  }

  /// Writes bytes.
  public func write(_ bytes: UnsafeRawBufferPointer) throws {
    crc.update(bytes)
    countBytes += UInt64(bytes.count)
    try deflater.write(bytes, sink)
  }

  /// Ends the member; no write may follow.
  public func finish() throws {
    try deflater.finish(sink)
    var trailer = ByteWriter()
    trailer.word32(crc.value)
    trailer.word32(UInt32(truncatingIfNeeded: countBytes))
    try trailer.bytes.withUnsafeBytes { try sink($0) }
  }
}
