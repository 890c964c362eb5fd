// Writes one gzip member (RFC 1952) as a stream. The header has no name and no time, so the same input
// gives the same bytes.

import Archive
import CZlib
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

/// Compresses a stream to raw deflate. The level can change within the stream.
///
/// Level 0 writes stored blocks, so that already compressed content passes at copying speed.
/// Belongs to one thread at a time.
public final class Deflater {
  private let stream: UnsafeMutablePointer<z_stream>
  private let buffer: UnsafeMutableRawBufferPointer
  private var level: Int32

  /// Creates a compressor.
  /// - Parameter level: 0 (stored) to 9.
  public init(level: Int32) {
    stream = .allocate(capacity: 1)
    stream.initialize(to: z_stream())
    buffer = .allocate(byteCount: 256 << 10, alignment: 16)
    self.level = level
    let r = deflateInit2_(
      stream, level, Z_DEFLATED, -15, 9, Z_DEFAULT_STRATEGY, ZLIB_VERSION,
      Int32(MemoryLayout<z_stream>.size))
    precondition(r == Z_OK, "zlib cannot start: \(r)")
  }

  deinit {
    deflateEnd(stream)
    stream.deallocate()
    buffer.deallocate()
  }

  /// Changes the level of the bytes that follow.
  /// - Throws: `CodecError.corrupt` if zlib fails; the errors of `output`.
  public func setLevel(_ level: Int32, _ output: (UnsafeRawBufferPointer) throws -> Void) throws {
    guard level != self.level else { return }
    self.level = level
    stream.pointee.avail_in = 0
    // zlib first compresses its buffered input at the old level, which can take several rounds.
    while true {
      resetOutput()
      let r = deflateParams(stream, level, Z_DEFAULT_STRATEGY)
      try flushOutput(output)
      if r == Z_OK { return }
      guard r == Z_BUF_ERROR else { throw CodecError.corrupt("zlib: deflateParams returned \(r)") }
    }
  }

  /// Compresses bytes.
  /// - Parameter output: receives compressed bytes, zero or more times.
  /// - Throws: `CodecError.corrupt` if zlib fails; the errors of `output`.
  public func write(
    _ bytes: UnsafeRawBufferPointer, _ output: (UnsafeRawBufferPointer) throws -> Void
  ) throws {
    var rest = bytes
    while !rest.isEmpty {
      let step = min(rest.count, 1 << 30)
      try run(UnsafeRawBufferPointer(rebasing: rest[..<step]), Z_NO_FLUSH, output)
      rest = UnsafeRawBufferPointer(rebasing: rest[step...])
    }
  }

  /// Ends the stream.
  /// - Throws: `CodecError.corrupt` if zlib fails; the errors of `output`.
  public func finish(_ output: (UnsafeRawBufferPointer) throws -> Void) throws {
    try run(UnsafeRawBufferPointer(start: nil, count: 0), Z_FINISH, output)
  }

  private func run(
    _ bytes: UnsafeRawBufferPointer, _ flush: Int32,
    _ output: (UnsafeRawBufferPointer) throws -> Void
  ) throws {
    stream.pointee.next_in = UnsafeMutablePointer(
      mutating: bytes.baseAddress?.assumingMemoryBound(to: UInt8.self))
    stream.pointee.avail_in = UInt32(bytes.count)
    while true {
      resetOutput()
      let r = deflate(stream, flush)
      guard r == Z_OK || r == Z_STREAM_END || r == Z_BUF_ERROR else {
        throw CodecError.corrupt("zlib: deflate returned \(r)")
      }
      let wasFull = stream.pointee.avail_out == 0
      try flushOutput(output)
      if r == Z_STREAM_END { return }
      if !wasFull, flush == Z_NO_FLUSH { return }
    }
  }

  private func resetOutput() {
    stream.pointee.next_out = buffer.baseAddress?.assumingMemoryBound(to: UInt8.self)
    stream.pointee.avail_out = UInt32(buffer.count)
  }

  private func flushOutput(_ output: (UnsafeRawBufferPointer) throws -> Void) throws {
    let n = buffer.count - Int(stream.pointee.avail_out)
    if n > 0 { try output(UnsafeRawBufferPointer(rebasing: buffer[..<n])) }
  }
}
