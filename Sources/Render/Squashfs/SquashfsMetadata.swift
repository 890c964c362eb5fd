// Metadata blocks: a stream of records, split every 8 KiB and compressed. Each block follows a word
// with its length. A record may span two blocks; its position is that of its first byte.

import Codec

/// Compresses metadata blocks. Belongs to one thread.
final class SquashfsMetadataCompressor {
  private let compressor: BlockCompressor
  private let packed = UnsafeMutableRawBufferPointer.allocate(
    byteCount: Squashfs.metadataBytes, alignment: 64)

  init(_ codec: BlockCodec) {
    compressor = BlockCompressor(codec, maxBytes: Squashfs.metadataBytes)
  }

  deinit { packed.deallocate() }

  /// Returns the block in its on-disk format, including the length.
  fileprivate func compress(_ raw: [UInt8]) throws(RenderError) -> [UInt8] {
    var block: [UInt8] = []
    do throws(CodecError) {
      let count = try raw.withUnsafeBytes { (bytes) throws(CodecError) in
        try compressor.compress(bytes, into: packed)
      }
      if let count {
        block.append16(UInt16(count))
        block += packed[..<count]
      } else {
        block.append16(UInt16(raw.count) | Squashfs.metadataUncompressed)
        block += raw
      }
    } catch {
      throw RenderError(
        "a squashfs metadata block", "could not be compressed correctly: \(error)",
        hint: "Test the memory and the processor of this machine: one of them is faulty")
    }
    return block
  }
}

/// A table that is being built. The compressed blocks stay in memory until the table is written.
struct SquashfsMetadata {
  private let compressor: SquashfsMetadataCompressor
  private var open: [UInt8] = []
  /// The completed blocks.
  private(set) var bytes: [UInt8] = []
  /// The start of each block in `bytes`.
  private(set) var blocks: [UInt64] = []

  init(_ compressor: SquashfsMetadataCompressor) { self.compressor = compressor }

  /// The position of the next record.
  var position: MetadataReference {
    MetadataReference(block: UInt64(bytes.count), offset: UInt16(open.count))
  }

  mutating func append(_ record: [UInt8]) throws(RenderError) {
    open += record
    while open.count >= Squashfs.metadataBytes {
      try close(Array(open[..<Squashfs.metadataBytes]))
      open.removeFirst(Squashfs.metadataBytes)
    }
  }

  /// Completes the last block.
  mutating func finish() throws(RenderError) {
    if !open.isEmpty { try close(open) }
    open = []
  }

  private mutating func close(_ raw: [UInt8]) throws(RenderError) {
    blocks.append(UInt64(bytes.count))
    bytes += try compressor.compress(raw)
    // Positions in listings have 32 bits.
    guard bytes.count <= Int(UInt32.max) else {
      throw RenderError("squashfs image", "has more metadata than the format can address")
    }
  }
}
