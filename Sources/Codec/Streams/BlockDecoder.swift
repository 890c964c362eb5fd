// Decompression of single blocks whose plain size is unknown, apart from its limit. Squashfs images
// of other programs contain such blocks.

import CDeflate
import CLzma
import CZstd

/// Decompresses blocks. Belongs to one thread at a time.
public final class BlockDecoder {
  /// The formats of blocks.
  public enum Format: Sendable {
    case zlib, xz, zstd
  }

  private let format: Format
  private let deflate: OpaquePointer?
  private static let memoryLimitBytes: UInt64 = 64 << 20

  /// Creates a decoder for one format.
  public init(_ format: Format) {
    self.format = format
    deflate = format == .zlib ? libdeflate_alloc_decompressor() : nil
  }

  deinit { if let deflate { libdeflate_free_decompressor(deflate) } }

  /// Decompresses one block into the front of `target`.
  /// - Returns: the number of plain bytes.
  /// - Throws: `CodecError.corrupt` for a damaged block, and for one that does not fit into `target`.
  public func decode(
    _ source: UnsafeRawBufferPointer, into target: UnsafeMutableRawBufferPointer
  ) throws(CodecError) -> Int {
    switch format {
    case .zlib:
      var count = 0
      guard let deflate,
        libdeflate_zlib_decompress(
          deflate, source.baseAddress, source.count, target.baseAddress, target.count, &count)
          == LIBDEFLATE_SUCCESS
      else { throw .corrupt("zlib: the block does not decode") }
      return count
    case .xz:
      var limit = BlockDecoder.memoryLimitBytes
      var consumed = 0
      var count = 0
      let result = lzma_stream_buffer_decode(
        &limit, 0, nil, source.baseAddress?.assumingMemoryBound(to: UInt8.self), &consumed,
        source.count, target.baseAddress?.assumingMemoryBound(to: UInt8.self), &count, target.count)
      guard result == LZMA_OK else { throw .corrupt("xz: the block does not decode") }
      return count
    case .zstd:
      let count = ZSTD_decompress(
        target.baseAddress, target.count, source.baseAddress, source.count)
      guard ZSTD_isError(count) == 0 else { throw .corrupt("zstd: the block does not decode") }
      return count
    }
  }
}
