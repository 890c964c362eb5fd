// Reads squashfs 4.0 images from any program as the stream of a tar archive, so that all archive
// readers can read them.
//
// 1. The image is untrusted: every offset, size and count is checked before use, and each directory
//    is listed once.
// 2. gzip, xz and zstd are supported. lz4, lzo and lzma are rejected by name.
// 3. Memory: the tables of the image as needed, the list of its entries, one block and one
//    fragment. Sockets are omitted, because no archive can contain them.

import Archive
import Codec
import Platform

/// An open squashfs image.
public final class SquashfsReader {
  /// Fills a buffer with the image's bytes from an offset.
  public typealias ReadImage = (_ offset: UInt64, UnsafeMutableRawBufferPointer) throws -> Void

  /// The first bytes of an image.
  public static let magic: [UInt8] = Array("hsqs".utf8)

  let read: ReadImage
  let sizeBytes: UInt64
  let decoder: BlockDecoder
  /// The size of the image.
  public var imageBytes: UInt64 { sizeBytes }
  /// The block size.
  public let blockBytes: Int
  /// The creation time in seconds since 1970.
  public let madeSeconds: UInt32
  /// The compression for a new image of the same kind.
  public let compression: SquashfsOptions.Compression
  let rootReference: UInt64
  let inodeTable: UInt64
  let directoryTable: UInt64
  let fragmentTable: UInt64
  let fragmentCount: UInt32
  let ownerTable: UInt64
  let ownerCount: UInt16
  let xattrTable: UInt64
  private var metadata: [UInt64: (bytes: [UInt8], next: UInt64)] = [:]
  var fragment: (number: UInt32, bytes: [UInt8])?
  /// The most recently read file, and the offset of its next block.
  var current: (reference: UInt64, sizeBytes: UInt64, data: FileData, block: Int, at: UInt64)?

  static let maxDepth = 2000
  static let maxEntries = 20_000_000
  static let maxListingBytes: UInt64 = 256 << 20
  private static let maxHeldBlocks = 512

  /// Opens an image.
  /// - Parameters:
  ///   - sizeBytes: the size of the image.
  ///   - read: reads the image.
  /// - Throws: `ArchiveError` if the file is not a squashfs image, or not a supported one; the
  ///   errors of `read`.
  public init(sizeBytes: UInt64, _ read: @escaping ReadImage) throws {
    self.read = read
    self.sizeBytes = sizeBytes
    guard sizeBytes >= 96 else { throw ArchiveError("it is too short for a squashfs image") }
    var head = [UInt8](repeating: 0, count: 96)
    try head.withUnsafeMutableBytes { try read(0, $0) }
    var fields = LittleEndianFields(head)
    guard head.starts(with: SquashfsReader.magic) else {
      throw ArchiveError("it is not a squashfs image")
    }
    _ = try fields.word32()
    _ = try fields.word32()
    madeSeconds = try fields.word32()
    let block = try fields.word32()
    fragmentCount = try fields.word32()
    let compressor = try fields.word16()
    _ = try fields.word16()
    _ = try fields.word16()
    ownerCount = try fields.word16()
    let major = try fields.word16()
    _ = try fields.word16()
    rootReference = try fields.word64()
    _ = try fields.word64()
    ownerTable = try fields.word64()
    xattrTable = try fields.word64()
    inodeTable = try fields.word64()
    directoryTable = try fields.word64()
    fragmentTable = try fields.word64()
    guard major == 4, (4096...1 << 20).contains(block), block.nonzeroBitCount == 1 else {
      throw ArchiveError("the squashfs image has an unsupported version or block size")
    }
    blockBytes = Int(block)
    switch compressor {
    case 1: (decoder, compression) = (BlockDecoder(.zlib), .gzip())
    case 4: (decoder, compression) = (BlockDecoder(.xz), .xz())
    case 6: (decoder, compression) = (BlockDecoder(.zstd), .zstd())
    default:
      let names: [UInt16: String] = [2: "lzma", 3: "lzo", 5: "lz4"]
      let name = names[compressor] ?? "number \(compressor)"
      throw ArchiveError(
        "the squashfs image is compressed with \(name), which imgstore cannot read",
        remedy: "Convert it: 'unsquashfs -d TREE IMAGE', then 'mksquashfs TREE NEW -comp zstd'; or "
          + "take TREE itself: 'imgstore snapshot TREE'")
    }
  }

  // MARK: Blocks

  func bytes(_ offset: UInt64, _ count: Int) throws -> [UInt8] {
    guard offset <= sizeBytes, UInt64(count) <= sizeBytes - offset else {
      throw ArchiveError("a squashfs table is outside the image")
    }
    var result = [UInt8](repeating: 0, count: count)
    if count > 0 { try result.withUnsafeMutableBytes { try read(offset, $0) } }
    return result
  }

  func decode(_ packed: [UInt8], maxBytes: Int) throws -> [UInt8] {
    var plain = [UInt8](repeating: 0, count: maxBytes)
    let count = try packed.withUnsafeBytes { source in
      try plain.withUnsafeMutableBytes { target throws -> Int in
        do throws(CodecError) {
          return try decoder.decode(source, into: target)
        } catch {
          throw ArchiveError("a squashfs block is damaged: \(error)")
        }
      }
    }
    plain.removeSubrange(count...)
    return plain
  }

  /// Returns a metadata block, and the offset of the next one.
  private func block(_ offset: UInt64) throws -> (bytes: [UInt8], next: UInt64) {
    if let known = metadata[offset] { return known }
    let header = try bytes(offset, 2)
    let word = UInt16(header[0]) | UInt16(header[1]) << 8
    let size = Int(word & 0x7fff)
    guard size <= Squashfs.metadataBytes else {
      throw ArchiveError("a squashfs metadata block has \(size) bytes")
    }
    let packed = try bytes(offset + 2, size)
    let plain =
      word & Squashfs.metadataUncompressed != 0
      ? packed : try decode(packed, maxBytes: Squashfs.metadataBytes)
    if metadata.count >= SquashfsReader.maxHeldBlocks { metadata.removeAll() }
    let result = (plain, offset + 2 + UInt64(size))
    metadata[offset] = result
    return result
  }

  /// A position in a sequence of metadata blocks.
  struct Cursor {
    var block: UInt64
    var offset: Int
  }

  func readBytes(_ count: Int, _ cursor: inout Cursor) throws -> [UInt8] {
    var result: [UInt8] = []
    while result.count < count {
      let (bytes, next) = try block(cursor.block)
      guard cursor.offset <= bytes.count, !bytes.isEmpty else {
        throw ArchiveError("a squashfs reference points outside its block")
      }
      let n = min(count - result.count, bytes.count - cursor.offset)
      result += bytes[cursor.offset..<cursor.offset + n]
      cursor.offset += n
      if cursor.offset == bytes.count { cursor = Cursor(block: next, offset: 0) }
    }
    return result
  }

  func fields(_ count: Int, _ cursor: inout Cursor) throws -> LittleEndianFields {
    LittleEndianFields(try readBytes(count, &cursor))
  }

  /// Returns an element of a table that a list of blocks describes.
  func element(_ table: UInt64, _ index: UInt64, size: Int) throws -> [UInt8] {
    let byte = index * UInt64(size)
    let (slot, overflow) = table.addingReportingOverflow(byte / UInt64(Squashfs.metadataBytes) * 8)
    guard !overflow else { throw ArchiveError("a squashfs table is outside the image") }
    var pointer = LittleEndianFields(try bytes(slot, 8))
    var cursor = Cursor(
      block: try pointer.word64(), offset: Int(byte % UInt64(Squashfs.metadataBytes)))
    return try readBytes(size, &cursor)
  }

  func owner(_ index: UInt16) throws -> UInt32 {
    guard index < ownerCount else { throw ArchiveError("a squashfs owner is not in its table") }
    var fields = LittleEndianFields(try element(ownerTable, UInt64(index), size: 4))
    return try fields.word32()
  }
}
