// Deflates a segment of a longer stream (RFC 1951): pieces made by this file may follow each other
// in any number, and an end (`SegmentDeflater.end`) makes them one stream.
//
// libdeflate compresses whole buffers and marks its last block as the stream's last. What zlib's
// example gzjoin.c does to join streams is done here: the mark is cleared, and an empty stored
// block fills the last byte up.
//
// 1. A piece counts only after it was walked to its end and found to decode to the plain bytes.
// 2. The same plain bytes give the same piece, with one library version: the level's name in cache
//    keys carries `SegmentDeflater.fingerprint`.

import CDeflate

/// Deflates segments. Belongs to one thread at a time.
public struct SegmentDeflater: ~Copyable {
  private let compressor: OpaquePointer
  private var proof = DeflateVerifier()

  /// Ends a stream of pieces: an empty last block, byte-aligned.
  public static let end: [UInt8] = [0x03, 0x00]

  /// What of the library decides on the bytes.
  public static func fingerprint(level: Int32) -> String {
    "libdeflate \(LIBDEFLATE_VERSION_STRING) level \(level)"
  }

  /// - Parameter level: libdeflate's, 1 ... 12.
  public init(level: Int32) {
    guard let compressor = libdeflate_alloc_compressor(level) else {
      fatalError("libdeflate: out of memory, or no level \(level)")
    }
    self.compressor = compressor
  }

  deinit { libdeflate_free_compressor(compressor) }

  /// The largest size that a piece of `count` plain bytes can have.
  public static func bound(_ count: Int) -> Int {
    libdeflate_deflate_compress_bound(nil, count) + closeBytes
  }
  private static let closeBytes = 5 + DeflateVerifier.slackBytes

  /// Deflates `plain` to a piece that ends at a byte's end and may be followed by another.
  public mutating func deflate(_ plain: UnsafeRawBufferPointer) throws(CodecError) -> [UInt8] {
    let capacity = SegmentDeflater.bound(plain.count)
    var failure: CodecError?
    let piece = [UInt8](unsafeUninitializedCapacity: capacity) { buffer, count in
      let room = UnsafeMutableRawBufferPointer(buffer)
      let size = libdeflate_deflate_compress(
        compressor, plain.baseAddress, plain.count, room.baseAddress,
        capacity - SegmentDeflater.closeBytes)
      do throws(CodecError) {
        guard size > 0 else { throw .corrupt("libdeflate found no room in \(capacity) bytes") }
        count = try close(room, size, plain)
      } catch { failure = error }
    }
    if let failure { throw failure }
    return piece
  }

  /// Clears the mark of the last block and fills up the last byte.
  private mutating func close(
    _ room: UnsafeMutableRawBufferPointer, _ size: Int, _ plain: UnsafeRawBufferPointer
  ) throws(CodecError) -> Int {
    for i in size..<size + SegmentDeflater.closeBytes { room[i] = 0 }
    let shape = try proof.verify(
      UnsafeRawBufferPointer(rebasing: room[..<size]), decodesTo: plain)
    guard shape.endBit > (size - 1) * 8 else {
      throw .corrupt("libdeflate: bytes are left behind the stream")
    }
    room[shape.lastBlockBit / 8] &= ~(1 << UInt8(shape.lastBlockBit % 8))
    // An empty stored block: three zero bits, zeros to the byte's end, lengths 0 and ~0.
    let free = (8 - shape.endBit % 8) % 8
    if free > 0 { room[size - 1] &= 0xff >> UInt8(free) }
    var end = size + (free >= 3 ? 0 : 1)
    for byte in [0x00, 0x00, 0xff, 0xff] as [UInt8] {
      room[end] = byte
      end += 1
    }
    return end
  }
}

/// Stored deflate blocks: for what is compressed already.
public enum StoredBlocks {
  /// The most that one block holds.
  public static let maxBytes = 65535

  /// `plain` as stored blocks, of which none is a stream's last.
  public static func encode(_ plain: UnsafeRawBufferPointer) -> [UInt8] {
    var blocks: [UInt8] = []
    blocks.reserveCapacity(plain.count + (plain.count / maxBytes + 1) * 5)
    var rest = plain
    while !rest.isEmpty {
      let n = UInt16(min(rest.count, maxBytes))
      blocks += [
        0, UInt8(truncatingIfNeeded: n), UInt8(n >> 8), UInt8(truncatingIfNeeded: ~n),
        UInt8(~n >> 8),
      ]
      blocks += rest[..<(rest.startIndex + Int(n))]
      rest = UnsafeRawBufferPointer(rebasing: rest.dropFirst(Int(n)))
    }
    return blocks
  }
}
