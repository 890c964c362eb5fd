// The writer of archive plans (docs/format.md, "Plans"): the counterpart of `ArchivePlan.decode`.

import Codec
import Platform

/// Writes the plan of an archive, record by record.
public struct ArchivePlanWriter: ~Copyable {
  /// Enough records for framing to compress well, few enough to decode for a single byte.
  private static let recordsPerBlock = 2048
  private static let literalsPerBlock = 2 << 20
  /// The maximum length of a record's framing.
  public static let maxLiteralBytes = 1 << 20

  private struct Record {
    var literal: [UInt8]
    var contentBytes: UInt64
    var zeroBytes: UInt64
  }

  private let headerBytes: Int
  private var open: [Record] = []
  private var openLiteralBytes = 0
  private var contents: [Digest] = []
  private var contentsBefore = 0
  private var table = ByteWriter()
  private var blockCount = 0
  private var stored: [UInt8] = []
  /// The size of the archive so far.
  public private(set) var sizeBytes: UInt64 = 0
  private let compressor = ZstdCompressor(level: 12)

  /// Creates a writer.
  /// - Parameter headerBytes: the length of the header that most records start with: 110 for cpio, 512 for
  ///   tar.
  public init(headerBytes: Int) {
    self.headerBytes = min(headerBytes, ArchivePlanBlock.maxHeaderBytes)
  }

  /// Adds a record.
  /// - Parameters:
  ///   - literal: the framing, at most `maxLiteralBytes` bytes.
  ///   - content: the blob after the framing; not an empty one.
  ///   - zeroBytes: the number of zeros after the content, at most 64 KiB.
  /// - Throws: `CodecError` if a full block cannot be compressed.
  public mutating func add(
    _ literal: [UInt8], content: (id: Digest, sizeBytes: UInt64)?, zeroBytes: Int
  ) throws(CodecError) {
    precondition(literal.count <= ArchivePlanWriter.maxLiteralBytes)
    let size = content?.sizeBytes ?? 0
    if let content, size > 0 { contents.append(content.id) }
    open.append(
      Record(literal: literal, contentBytes: size, zeroBytes: UInt64(zeroBytes)))
    openLiteralBytes += literal.count
    sizeBytes += UInt64(literal.count) + size + UInt64(zeroBytes)
    if open.count >= ArchivePlanWriter.recordsPerBlock
      || openLiteralBytes >= ArchivePlanWriter.literalsPerBlock
    {
      try endBlock()
    }
  }

  /// Ends the last block and returns the bytes of the plan.
  public mutating func finish() throws(CodecError) -> [UInt8] {
    try endBlock()
    var writer = ByteWriter()
    writer.byte(ReconstructionPlan.archiveTag)
    writer.varint(sizeBytes)
    writer.varint(contents.count)
    for content in contents { writer.digest(content) }
    writer.varint(blockCount)
    writer.raw(table.bytes)
    writer.raw(stored)
    return writer.bytes
  }

  private mutating func endBlock() throws(CodecError) {
    let plainBytes = open.reduce(0) {
      $0 + UInt64($1.literal.count) + $1.contentBytes + $1.zeroBytes
    }
    if plainBytes == 0 { return }
    let raw = encodeBlock()
    var packed = [UInt8](repeating: 0, count: ZstdCompressor.bound(raw.count))
    let length = try raw.withUnsafeBytes { (raw) throws(CodecError) in
      try packed.withUnsafeMutableBytes { (packed) throws(CodecError) in
        try compressor.compress(raw, into: packed)
      }
    }
    stored += packed[..<length]
    table.varint(plainBytes)
    table.varint(contents.count - contentsBefore)
    table.varint(raw.count)
    table.varint(length)
    blockCount += 1
    contentsBefore = contents.count
    open.removeAll(keepingCapacity: true)
    openLiteralBytes = 0
  }

  private func encodeBlock() -> [UInt8] {
    var writer = ByteWriter()
    writer.reserve(openLiteralBytes + open.count * 8 + 16)
    writer.varint(open.count)
    writer.varint(headerBytes)
    for record in open { writer.varint(record.literal.count) }
    for record in open { writer.varint(record.contentBytes) }
    for record in open { writer.varint(record.zeroBytes) }
    let complete = open.filter { $0.literal.count >= headerBytes }
    for column in 0..<headerBytes {
      var previous: UInt8 = 0
      for record in complete {
        writer.byte(record.literal[column] ^ previous)
        previous = record.literal[column]
      }
    }
    for record in open {
      writer.raw(record.literal.dropFirst(record.literal.count >= headerBytes ? headerBytes : 0))
    }
    return writer.bytes
  }
}
