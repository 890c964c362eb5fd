// bzip2 streams by libbz2.

import CBzip2

/// Decompresses concatenated bzip2 streams, as the bzip2 tool does. libbz2 verifies the checksums.
public final class Bzip2Decoder: StreamDecoder {
  private let stream: UnsafeMutablePointer<bz_stream>
  /// Whether the input may end here: a stream has ended and no other has begun.
  public private(set) var mayEnd = false

  /// Creates a decoder.
  public init() {
    stream = .allocate(capacity: 1)
    stream.initialize(to: bz_stream())
    begin()
  }

  deinit {
    BZ2_bzDecompressEnd(stream)
    stream.deallocate()
  }

  private func begin() {
    let result = BZ2_bzDecompressInit(stream, 0, 0)
    precondition(result == BZ_OK, "libbz2 cannot start: \(result)")
  }

  /// Decodes as much of `source` as fills `target`. See `StreamDecoder.decode`.
  public func decode(
    _ source: UnsafeRawBufferPointer, into target: UnsafeMutableRawBufferPointer, isLast: Bool
  ) throws(CodecError) -> (consumed: Int, produced: Int) {
    if source.isEmpty, mayEnd { return (0, 0) }
    if mayEnd {
      BZ2_bzDecompressEnd(stream)
      stream.pointee = bz_stream()
      begin()
      mayEnd = false
    }
    stream.pointee.next_in = UnsafeMutablePointer(
      mutating: source.baseAddress?.assumingMemoryBound(to: CChar.self))
    stream.pointee.avail_in = UInt32(clamping: source.count)
    stream.pointee.next_out = target.baseAddress?.assumingMemoryBound(to: CChar.self)
    stream.pointee.avail_out = UInt32(clamping: target.count)
    let before = (input: stream.pointee.avail_in, output: stream.pointee.avail_out)
    switch BZ2_bzDecompress(stream) {
    case BZ_OK: break
    case BZ_STREAM_END: mayEnd = true
    case BZ_MEM_ERROR: throw .overLimit("bzip2: out of memory")
    case BZ_DATA_ERROR: throw .corrupt("bzip2: the data or its checksum is wrong")
    case BZ_DATA_ERROR_MAGIC: throw .corrupt("bzip2: the data is not a bzip2 stream")
    case let other: throw .corrupt("bzip2: error \(other)")
    }
    return (
      Int(before.input - stream.pointee.avail_in), Int(before.output - stream.pointee.avail_out)
    )
  }
}
