// Compresses segments of a deflate stream (RFC 1951). Any number of segments can be concatenated,
// and `SegmentDeflater.end` after them completes one valid stream.
//
// libdeflate compresses whole buffers and marks its last block as the last of the stream. As zlib's
// example gzjoin.c does to join streams, this file clears the mark and pads to a byte boundary with
// an empty stored block.
//
// 1. A segment is used only after it was scanned to its end and verified to decode to the plain bytes.
// 2. With one library version, equal plain bytes give equal segments. Cache keys contain
//    `SegmentDeflater.fingerprint`.

import CDeflate

/// Compresses segments. Belongs to one thread at a time.
public struct SegmentDeflater: ~Copyable {
  private let compressor: OpaquePointer
  private var verifier = DeflateVerifier()

  /// The bytes that end a stream of segments: an empty last block, byte-aligned.
  public static let end: [UInt8] = [0x03, 0x00]

  /// Returns a text that changes whenever the library's output can change.
  public static func fingerprint(level: Int32) -> String {
    "libdeflate \(LIBDEFLATE_VERSION_STRING) level \(level)"
  }

  /// Creates a compressor.
  /// - Parameter level: a level of libdeflate, 1 to 12.
  public init(level: Int32) {
    guard let compressor = libdeflate_alloc_compressor(level) else {
      fatalError("libdeflate: out of memory, or no level \(level)")
    }
    self.compressor = compressor
  }

  deinit { libdeflate_free_compressor(compressor) }

  /// Returns the maximum size of a segment of `count` plain bytes.
  public static func bound(_ count: Int) -> Int {
    libdeflate_deflate_compress_bound(nil, count) + closeBytes
  }
  private static let closeBytes = 5 + DeflateVerifier.slackBytes

  /// Compresses `plain` to a segment that ends at a byte boundary and can be followed by another.
  /// - Throws: `CodecError.corrupt` if libdeflate's output does not decode to `plain`.
  public mutating func deflate(_ plain: UnsafeRawBufferPointer) throws(CodecError) -> [UInt8] {
    let capacity = SegmentDeflater.bound(plain.count)
    var failure: CodecError?
    let segment = [UInt8](unsafeUninitializedCapacity: capacity) { buffer, count in
      let target = UnsafeMutableRawBufferPointer(buffer)
      let size = libdeflate_deflate_compress(
        compressor, plain.baseAddress, plain.count, target.baseAddress,
        capacity - SegmentDeflater.closeBytes)
      do throws(CodecError) {
        guard size > 0 else {
          throw .corrupt("libdeflate: the output does not fit in \(capacity) bytes")
        }
        count = try close(target, size, plain)
      } catch { failure = error }
    }
    if let failure { throw failure }
    return segment
  }

  /// Clears the last-block mark and pads the last byte.
  private mutating func close(
    _ target: UnsafeMutableRawBufferPointer, _ size: Int, _ plain: UnsafeRawBufferPointer
  ) throws(CodecError) -> Int {
    for i in size..<size + SegmentDeflater.closeBytes { target[i] = 0 }
    let info = try verifier.verify(
      UnsafeRawBufferPointer(rebasing: target[..<size]), decodesTo: plain)
    guard info.endBit > (size - 1) * 8 else {
      throw .corrupt("libdeflate: bytes follow the stream")
    }
    target[info.lastBlockBit / 8] &= ~(1 << UInt8(info.lastBlockBit % 8))
    // An empty stored block: three zero bits, zeros up to the byte boundary, lengths 0 and ~0.
    let free = (8 - info.endBit % 8) % 8
    if free > 0 { target[size - 1] &= 0xff >> UInt8(free) }
    var end = size + (free >= 3 ? 0 : 1)
    for byte in [0x00, 0x00, 0xff, 0xff] as [UInt8] {
      target[end] = byte
      end += 1
    }
    return end
  }
}

/// Encodes stored deflate blocks, which are used for already compressed content.
public enum StoredBlocks {
  /// The maximum number of bytes in one block.
  public static let maxBytes = 65535

  /// Returns `plain` as stored blocks, none of which is marked as the last of the stream.
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
