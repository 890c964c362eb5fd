// Inflates a raw deflate stream (RFC 1951) and notes where each of its blocks begins: what it takes
// to find out which encoder made the stream, and where it can be made again from the middle.

import CZlib

/// A raw deflate stream on its way. Belongs to one thread at a time.
public final class InflateBlockScanner {
  /// Where a block of the stream begins.
  public struct Boundary: Sendable, Equatable {
    /// Bytes that come out before it.
    public let plainOffset: UInt64
    /// Bits of the stream before it.
    public let bitOffset: UInt64
    public init(plainOffset: UInt64, bitOffset: UInt64) {
      self.plainOffset = plainOffset
      self.bitOffset = bitOffset
    }
  }

  /// A stream of more blocks than this is refused: 2^21 are 100 GB of an ordinary one.
  public static let maxBlocks = 1 << 21

  private let stream: UnsafeMutablePointer<z_stream>
  private var takenBytes: UInt64 = 0
  private var madeBytes: UInt64 = 0
  /// The beginnings of all blocks so far, the stream's own at the front, and its end at the back.
  public private(set) var boundaries = [Boundary(plainOffset: 0, bitOffset: 0)]
  /// The last block has been read to its end.
  public private(set) var isAtEnd = false

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

  /// Decodes as much of `source` as fills `target`, which is not empty.
  /// - Returns: bytes taken and bytes made; both 0 where the stream has ended, or `source` is empty.
  /// - Throws: `corrupt`, `overLimit`.
  public func decode(
    _ source: UnsafeRawBufferPointer, into target: UnsafeMutableRawBufferPointer
  ) throws(CodecError) -> (taken: Int, made: Int) {
    if isAtEnd { return (0, 0) }
    stream.pointee.next_in = UnsafeMutablePointer(
      mutating: source.baseAddress?.assumingMemoryBound(to: UInt8.self))
    stream.pointee.avail_in = UInt32(clamping: source.count)
    stream.pointee.next_out = target.baseAddress?.assumingMemoryBound(to: UInt8.self)
    stream.pointee.avail_out = UInt32(clamping: target.count)
    let (offered, room) = (stream.pointee.avail_in, stream.pointee.avail_out)
    func taken() -> Int { Int(offered - stream.pointee.avail_in) }
    func made() -> Int { Int(room - stream.pointee.avail_out) }
    while !isAtEnd {
      let (inBefore, outBefore) = (stream.pointee.avail_in, stream.pointee.avail_out)
      let r = CZlib.inflate(stream, Z_BLOCK)
      guard r == Z_OK || r == Z_STREAM_END || r == Z_BUF_ERROR else {
        throw .corrupt("deflate: \(stream.pointee.msg.map { String(cString: $0) } ?? "error \(r)")")
      }
      let state = stream.pointee.data_type
      if r == Z_STREAM_END || state & 128 != 0 {
        try note(
          plain: madeBytes + UInt64(made()),
          bits: (takenBytes + UInt64(taken())) * 8 - UInt64(state & 7))
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
    takenBytes += UInt64(taken())
    madeBytes += UInt64(made())
    return (taken(), made())
  }

  private func note(plain: UInt64, bits: UInt64) throws(CodecError) {
    guard boundaries.count < InflateBlockScanner.maxBlocks else {
      throw .overLimit("the stream has more than \(InflateBlockScanner.maxBlocks) blocks")
    }
    let boundary = Boundary(plainOffset: plain, bitOffset: bits)
    if boundaries.last != boundary { boundaries.append(boundary) }
  }
}
