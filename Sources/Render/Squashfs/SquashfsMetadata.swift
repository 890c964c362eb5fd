// Metadata blocks: a stream of records, cut at every 8 KiB and compressed, each block after a word
// with its length. A record may lie across two blocks; its place is that of its first byte.

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

  /// The block as it lies on disk, with its word of length.
  fileprivate func press(_ raw: [UInt8]) throws(RenderError) -> [UInt8] {
    var result: Result<Int?, CodecError> = .success(nil)
    raw.withUnsafeBytes { buffer in
      do throws(CodecError) {
        result = .success(try compressor.compress(buffer, into: packed))
      } catch {
        result = .failure(error)
      }
    }
    var block: [UInt8] = []
    do throws(CodecError) {
      if let count = try result.get() {
        block.append16(UInt16(count))
        block += packed[..<count]
      } else {
        block.append16(UInt16(raw.count) | Squashfs.metadataUncompressed)
        block += raw
      }
    } catch {
      throw RenderError(
        "a squashfs metadata block", "did not survive compression: \(error)",
        advice: "The memory or the processor of this machine is faulty: test it before going on")
    }
    return block
  }
}

/// A table under way. The compressed blocks are held until the table is written.
struct SquashfsMetadata {
  private let press: SquashfsMetadataCompressor
  private var open: [UInt8] = []
  /// The finished blocks.
  private(set) var bytes: [UInt8] = []
  /// Where each of them begins in `bytes`.
  private(set) var blocks: [UInt64] = []

  init(_ press: SquashfsMetadataCompressor) { self.press = press }

  /// Where the next record will be.
  var place: MetadataReference {
    MetadataReference(block: UInt64(bytes.count), offset: UInt16(open.count))
  }

  mutating func append(_ record: [UInt8]) throws(RenderError) {
    open += record
    while open.count >= Squashfs.metadataBytes {
      try close(Array(open[..<Squashfs.metadataBytes]))
      open.removeFirst(Squashfs.metadataBytes)
    }
  }

  /// Closes the last block.
  mutating func finish() throws(RenderError) {
    if !open.isEmpty { try close(open) }
    open = []
  }

  private mutating func close(_ raw: [UInt8]) throws(RenderError) {
    blocks.append(UInt64(bytes.count))
    bytes += try press.press(raw)
    // Places in listings have 32 bits.
    guard bytes.count <= Int(UInt32.max) else {
      throw RenderError("squashfs image", "has more metadata than the format can address")
    }
  }
}
