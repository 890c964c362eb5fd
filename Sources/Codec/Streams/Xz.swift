// xz streams (the .xz file format, version 1.2.1) by liblzma.

import CLzma
import Glibc

/// Decompresses concatenated xz streams, as the xz tool does. liblzma verifies the check of each stream.
///
/// Zero padding in multiples of four bytes may follow a stream; other bytes after a stream are an error.
public final class XzDecoder: StreamDecoder {
  private let stream: UnsafeMutablePointer<lzma_stream>
  /// Whether the input may end here.
  public private(set) var mayEnd = false

  private let memoryLimitBytes: Int

  /// Creates a decoder.
  /// - Parameters:
  ///   - memoryLimitBytes: the maximum memory of the decoder.
  ///   - isLegacy: whether the stream has the older format, ".lzma".
  public init(memoryLimitBytes: Int = decoderMemoryLimitBytes, isLegacy: Bool = false) {
    self.memoryLimitBytes = memoryLimitBytes
    stream = .allocate(capacity: 1)
    stream.initialize(to: lzma_stream())
    let r =
      isLegacy
      ? lzma_alone_decoder(stream, UInt64(memoryLimitBytes))
      : lzma_stream_decoder(stream, UInt64(memoryLimitBytes), clzma_concatenated)
    precondition(r == LZMA_OK, "liblzma cannot start: \(r.rawValue)")
  }

  deinit {
    lzma_end(stream)
    stream.deallocate()
  }

  /// Decodes as much of `source` as fills `target`. See `StreamDecoder.decode`.
  public func decode(
    _ source: UnsafeRawBufferPointer, into target: UnsafeMutableRawBufferPointer, isLast: Bool
  ) throws(CodecError) -> (consumed: Int, produced: Int) {
    if mayEnd { return (0, 0) }
    stream.pointee.next_in = source.baseAddress?.assumingMemoryBound(to: UInt8.self)
    stream.pointee.avail_in = source.count
    stream.pointee.next_out = target.baseAddress?.assumingMemoryBound(to: UInt8.self)
    stream.pointee.avail_out = target.count
    switch lzma_code(stream, isLast ? LZMA_FINISH : LZMA_RUN) {
    case LZMA_OK: break
    // No progress: the input is consumed, and `mayEnd` tells the caller that the stream is incomplete.
    case LZMA_BUF_ERROR: break
    case LZMA_STREAM_END: mayEnd = true
    case LZMA_MEM_ERROR: throw .overLimit("xz: out of memory")
    case LZMA_MEMLIMIT_ERROR:
      throw .overLimit("xz: the stream needs more than \(memoryLimitBytes >> 20) MiB of memory")
    case LZMA_FORMAT_ERROR: throw .corrupt("xz: the data is not an xz stream")
    case LZMA_OPTIONS_ERROR:
      throw .corrupt("xz: the stream uses options that liblzma does not support")
    case LZMA_DATA_ERROR: throw .corrupt("xz: the data or its checksum is wrong")
    case let other: throw .corrupt("xz: error \(other.rawValue)")
    }
    return (source.count - stream.pointee.avail_in, target.count - stream.pointee.avail_out)
  }
}

// MARK: - Streams of independent blocks

/// The sizes of a block, as recorded in the index of its stream.
public struct XzBlockSize: Sendable, Equatable {
  /// The size of the block without its padding to a multiple of four bytes.
  public let unpaddedBytes: UInt64
  /// The size of the decoded block.
  public let plainBytes: UInt64
}

/// The header, index and footer of a stream (The .xz File Format 1.2.1, sections 2.1 and 4).
///
/// The check of each block is a CRC-32. The kernel's decompressor for initial ramdisks supports no
/// stronger check (Documentation/staging/xz.rst).
public enum XzStream {
  /// The stream header.
  public static let header: [UInt8] = {
    var flags = XzStream.flags
    var bytes = [UInt8](repeating: 0, count: 12)
    let r = lzma_stream_header_encode(&flags, &bytes)
    precondition(r == LZMA_OK, "liblzma cannot write a header: \(r.rawValue)")
    return bytes
  }()

  /// Returns the index of `blocks` and the stream footer.
  /// - Throws: `CodecError.corrupt` if the blocks do not fit into an index; `CodecError.overLimit`
  ///   if memory is exhausted.
  public static func end(of blocks: [XzBlockSize]) throws(CodecError) -> [UInt8] {
    guard let index = lzma_index_init(nil) else { throw .overLimit("xz: out of memory") }
    defer { lzma_index_end(index, nil) }
    for block in blocks {
      let r = lzma_index_append(index, nil, block.unpaddedBytes, block.plainBytes)
      guard r == LZMA_OK else { throw .corrupt("xz: a block does not fit into the index") }
    }
    var bytes = [UInt8](repeating: 0, count: Int(lzma_index_size(index)))
    var written = 0
    guard lzma_index_buffer_encode(index, &bytes, &written, bytes.count) == LZMA_OK else {
      throw .corrupt("xz: the index cannot be written")
    }
    var flags = XzStream.flags
    flags.backward_size = lzma_index_size(index)
    var footer = [UInt8](repeating: 0, count: 12)
    guard lzma_stream_footer_encode(&flags, &footer) == LZMA_OK else {
      throw .corrupt("xz: the footer cannot be written")
    }
    return bytes + footer
  }

  private static var flags: lzma_stream_flags {
    var flags = lzma_stream_flags()
    flags.version = 0
    flags.backward_size = UInt64.max  // unknown
    flags.check = LZMA_CHECK_CRC32
    return flags
  }
}

/// Compresses independent blocks of one stream. Belongs to one thread at a time.
public final class XzBlockCompressor {
  private let options: UnsafeMutablePointer<lzma_options_lzma>
  private let filters: UnsafeMutablePointer<lzma_filter>

  /// Returns a text that changes whenever liblzma's output can change.
  public static func fingerprint(preset: UInt32) -> String {
    "liblzma \(lzma_version_number()) preset \(preset) crc32"
  }

  /// Creates a compressor.
  /// - Parameter preset: a preset of liblzma, 0 to 9. Its encoder needs about 100 MB at preset 6.
  public init(preset: UInt32) {
    options = .allocate(capacity: 1)
    options.initialize(to: lzma_options_lzma())
    guard lzma_lzma_preset(options, preset) == 0 else {
      fatalError("liblzma has no preset \(preset)")
    }
    filters = .allocate(capacity: 2)
    filters[0] = lzma_filter(id: 0x21, options: options)  // LZMA2
    filters[1] = lzma_filter(id: UInt64.max, options: nil)  // the end of the chain
  }

  deinit {
    options.deallocate()
    filters.deallocate()
  }

  /// Returns one block with its header, padding and check. The block is decoded and compared before
  /// it is returned.
  /// - Throws: `CodecError.corrupt` if liblzma fails or the block does not decode to `plain`;
  ///   `CodecError.overLimit` if `plain` is too large.
  public func compress(_ plain: UnsafeRawBufferPointer) throws(CodecError) -> [UInt8] {
    var block = lzma_block()
    block.version = 0
    block.check = LZMA_CHECK_CRC32
    block.filters = filters
    let bound = lzma_block_buffer_bound(plain.count)
    guard bound > 0 else { throw .overLimit("xz: a block of \(plain.count) bytes") }
    var result = LZMA_OK
    let bytes = [UInt8](unsafeUninitializedCapacity: bound) { target, count in
      result = lzma_block_buffer_encode(
        &block, nil, plain.baseAddress?.assumingMemoryBound(to: UInt8.self), plain.count,
        target.baseAddress, &count, bound)
    }
    guard result == LZMA_OK else { throw .corrupt("xz: liblzma returned \(result.rawValue)") }
    try verify(bytes, &block, plain)
    return bytes
  }

  private func verify(
    _ bytes: [UInt8], _ block: inout lzma_block, _ plain: UnsafeRawBufferPointer
  ) throws(CodecError) {
    let copy = UnsafeMutableRawBufferPointer.allocate(byteCount: max(plain.count, 1), alignment: 64)
    defer { copy.deallocate() }
    var consumed = Int(block.header_size)
    var produced = 0
    let result = lzma_block_buffer_decode(
      &block, nil, bytes, &consumed, bytes.count,
      copy.baseAddress?.assumingMemoryBound(to: UInt8.self),
      &produced, plain.count)
    guard result == LZMA_OK, consumed == bytes.count, produced == plain.count,
      plain.elementsEqual(UnsafeRawBufferPointer(rebasing: copy[..<produced]))
    else { throw .corrupt("xz: a block decodes to other bytes than its source") }
  }

  /// Returns the index entry of a block that `compress` returned.
  /// - Parameter plainBytes: the size of the block's source.
  /// - Throws: `CodecError.corrupt` if the block's header is damaged.
  public static func size(
    of block: UnsafeRawBufferPointer, plainBytes: UInt64
  ) throws(CodecError) -> XzBlockSize {
    guard let base = block.baseAddress, let first = block.first, first > 0,
      block.count >= (Int(first) + 1) * 4
    else { throw .corrupt("xz: a block has no header") }
    var filters = [lzma_filter](repeating: lzma_filter(), count: 5)
    return try filters.withUnsafeMutableBufferPointer {
      (chain) throws(CodecError) -> XzBlockSize in
      var header = lzma_block()
      header.version = 0
      header.check = LZMA_CHECK_CRC32
      header.filters = chain.baseAddress
      header.header_size = (UInt32(first) + 1) * 4
      let result = lzma_block_header_decode(
        &header, nil, base.assumingMemoryBound(to: UInt8.self))
      guard result == LZMA_OK else { throw .corrupt("xz: a block's header is damaged") }
      for filter in chain.prefix(while: { $0.id != UInt64.max }) { free(filter.options) }
      let unpadded = lzma_block_unpadded_size(&header)
      guard unpadded > 0, (unpadded + 3) & ~3 == UInt64(block.count) else {
        throw .corrupt("xz: the length of a block does not match its header")
      }
      return XzBlockSize(unpaddedBytes: unpadded, plainBytes: plainBytes)
    }
  }
}
