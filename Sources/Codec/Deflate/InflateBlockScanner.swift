// Inflates a raw deflate stream (RFC 1951) and records the start of each block. Recipes need these
// positions to detect the encoder of a stream and to find points where re-encoding can restart.

import CZlib

/// Decodes one raw deflate stream and records its block boundaries. Belongs to one thread at a time.
public final class InflateBlockScanner {
  /// The start of a block.
  public struct Boundary: Sendable, Equatable {
    /// Plain bytes before the block.
    public let plainOffset: UInt64
    /// Bits of the stream before the block.
    public let bitOffset: UInt64
    /// Creates a boundary at the given offsets.
    public init(plainOffset: UInt64, bitOffset: UInt64) {
      self.plainOffset = plainOffset
      self.bitOffset = bitOffset
    }
  }

  /// The maximum number of blocks; a stream with more is rejected. An ordinary stream of 100 GB has 2^21.
  public static let maxBlocks = 1 << 21

  private let stream: UnsafeMutablePointer<z_stream>
  private var consumedBytes: UInt64 = 0
  private var producedBytes: UInt64 = 0
  /// The starts of all decoded blocks, with the start of the stream first and its end last.
  public private(set) var boundaries = [Boundary(plainOffset: 0, bitOffset: 0)]
  /// Whether the last block has been decoded completely.
  public private(set) var isAtEnd = false

  /// Creates a scanner for one stream.
  public init() {
    stream = .allocate(capacity: 1)
    stream.initialize(to: z_stream())
    let r = inflateInit2_(stream, -15, ZLIB_VERSION, Int32(MemoryLayout<z_stream>.size))
    precondition(r == Z_OK, "zlib cannot start: \(r)")
  }

  deinit {
    inflateEnd(stream)
    stream.deallocate()
  }

  /// Decodes as much of `source` as fills `target`, which must not be empty.
  /// - Returns: the numbers of consumed and produced bytes; both are 0 if the stream has ended or
  ///   `source` is empty.
  /// - Throws: `CodecError.corrupt`; `CodecError.overLimit` for more than `maxBlocks` blocks.
  public func decode(
    _ source: UnsafeRawBufferPointer, into target: UnsafeMutableRawBufferPointer
  ) throws(CodecError) -> (consumed: Int, produced: Int) {
    if isAtEnd { return (0, 0) }
    stream.pointee.next_in = UnsafeMutablePointer(
      mutating: source.baseAddress?.assumingMemoryBound(to: UInt8.self))
    stream.pointee.avail_in = UInt32(clamping: source.count)
    stream.pointee.next_out = target.baseAddress?.assumingMemoryBound(to: UInt8.self)
    stream.pointee.avail_out = UInt32(clamping: target.count)
    let (offered, capacity) = (stream.pointee.avail_in, stream.pointee.avail_out)
    func consumed() -> Int { Int(offered - stream.pointee.avail_in) }
    func produced() -> Int { Int(capacity - stream.pointee.avail_out) }
    while !isAtEnd {
      let (inBefore, outBefore) = (stream.pointee.avail_in, stream.pointee.avail_out)
      let r = CZlib.inflate(stream, Z_BLOCK)
      guard r == Z_OK || r == Z_STREAM_END || r == Z_BUF_ERROR else {
        throw .corrupt("deflate: \(stream.pointee.msg.map { String(cString: $0) } ?? "error \(r)")")
      }
      let state = stream.pointee.data_type
      if r == Z_STREAM_END || state & 128 != 0 {
        try recordBoundary(
          plain: producedBytes + UInt64(produced()),
          bits: (consumedBytes + UInt64(consumed())) * 8 - UInt64(state & 7))
      }
      if r == Z_STREAM_END {
        isAtEnd = true
      } else if r == Z_BUF_ERROR
        || (inBefore, outBefore) == (stream.pointee.avail_in, stream.pointee.avail_out)
          && state & 128 == 0
      {
        break
      } else if stream.pointee.avail_out == 0 {
        break
      }
    }
    consumedBytes += UInt64(consumed())
    producedBytes += UInt64(produced())
    return (consumed(), produced())
  }

  private func recordBoundary(plain: UInt64, bits: UInt64) throws(CodecError) {
    guard boundaries.count < InflateBlockScanner.maxBlocks else {
      throw .overLimit("the stream has more than \(InflateBlockScanner.maxBlocks) blocks")
    }
    let boundary = Boundary(plainOffset: plain, bitOffset: bits)
    if boundaries.last != boundary { boundaries.append(boundary) }
  }
}
