// Gzip (RFC 1952) streams by zlib.

import CZlib

/// Decompresses concatenated gzip members (RFC 1952), as the gzip tool does.
public final class GzipInflater: StreamDecoder {
  private let stream: UnsafeMutablePointer<z_stream>
  private var isBetweenMembers = true
  private var hasEndedMember = false
  private var crc = CRC32()
  private var countBytes: UInt64 = 0
  /// The last eight consumed bytes. At the end of a member they are its CRC and its length.
  private var trailer: [UInt8] = []

  /// Creates a decoder.
  public init() {
    stream = .allocate(capacity: 1)
    stream.initialize(to: z_stream())
    // 16 + 15: gzip framing, window of 32 KiB. The CRC and the length are checked here because libdeflate's
    // CRC takes a tenth of the time of zlib's. zlib's takes a quarter of the time of reading a bundle.
    let r = inflateInit2_(stream, 31, ZLIB_VERSION, Int32(MemoryLayout<z_stream>.size))
    precondition(r == Z_OK, "zlib cannot start: \(r)")
    inflateValidate(stream, 0)
  }

  deinit {
    inflateEnd(stream)
    stream.deallocate()
  }

  /// Decodes as much of `source` as fills `target`. See `StreamDecoder.decode`.
  public func decode(
    _ source: UnsafeRawBufferPointer, into target: UnsafeMutableRawBufferPointer, isLast: Bool
  ) throws(CodecError) -> (consumed: Int, produced: Int) {
    stream.pointee.next_in = UnsafeMutablePointer(
      mutating: source.baseAddress?.assumingMemoryBound(to: UInt8.self))
    stream.pointee.avail_in = UInt32(source.count)
    stream.pointee.next_out = target.baseAddress?.assumingMemoryBound(to: UInt8.self)
    stream.pointee.avail_out = UInt32(target.count)
    skipPadding()
    if stream.pointee.avail_in == 0, isBetweenMembers { return (source.count, 0) }
    // Run at least one round, even without input: zlib may hold output that did not fit earlier.
    rounds: repeat {
      let (input, output) = (stream.pointee.next_in, stream.pointee.next_out)
      let (inputBytes, outputBytes) = (stream.pointee.avail_in, stream.pointee.avail_out)
      let r = CZlib.inflate(stream, Z_NO_FLUSH)
      note(input, Int(inputBytes - stream.pointee.avail_in))
      check(output, Int(outputBytes - stream.pointee.avail_out))
      switch r {
      case Z_OK: isBetweenMembers = false
      case Z_BUF_ERROR: break rounds
      case Z_STREAM_END:
        try endMember()
        (isBetweenMembers, hasEndedMember) = (true, true)
        skipPadding()
      default:
        throw .corrupt("gzip: \(stream.pointee.msg.map { String(cString: $0) } ?? "error \(r)")")
      }
    } while stream.pointee.avail_in > 0 && stream.pointee.avail_out > 0
    return (
      source.count - Int(stream.pointee.avail_in), target.count - Int(stream.pointee.avail_out)
    )
  }

  private func note(_ bytes: UnsafePointer<UInt8>?, _ count: Int) {
    guard let bytes, count > 0 else { return }
    let consumed = UnsafeBufferPointer(start: bytes, count: count)
    trailer = Array((trailer + consumed.suffix(8)).suffix(8))
  }

  private func check(_ bytes: UnsafePointer<UInt8>?, _ count: Int) {
    guard let bytes, count > 0 else { return }
    crc.update(UnsafeRawBufferPointer(start: bytes, count: count))
    countBytes &+= UInt64(count)
  }

  /// Compares the member's CRC and length with the decoded content.
  private func endMember() throws(CodecError) {
    func word(_ at: Int) -> UInt32 {
      (0..<4).reduce(0) { $0 | UInt32(trailer[at + $1]) << (8 * UInt32($1)) }
    }
    guard trailer.count == 8, word(0) == crc.value else {
      throw .corrupt("gzip: incorrect data check")
    }
    guard word(4) == UInt32(truncatingIfNeeded: countBytes) else {
      throw .corrupt("gzip: incorrect length check")
    }
    crc = CRC32()
    countBytes = 0
    trailer = []
    inflateReset(stream)
    inflateValidate(stream, 0)
  }

  /// Skips the zeros that tape drives leave after a member. gzip ignores them, too.
  private func skipPadding() {
    guard isBetweenMembers, hasEndedMember else { return }
    while stream.pointee.avail_in > 0, stream.pointee.next_in.pointee == 0 {
      stream.pointee.next_in += 1
      stream.pointee.avail_in -= 1
    }
  }

  /// Whether the input may end here: no member is incomplete.
  public var mayEnd: Bool { isBetweenMembers }
}
