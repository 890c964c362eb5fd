// The plan of an archive: framing and the contents of members, alternating (docs/format.md, "Plans").
//
// Records are grouped in blocks that are decoded one at a time. The layout of a block makes its framing
// compress well. Headers of one length are XORed with the previous header and written column by column.
// Fields that are equal in all headers (owner, device, most digits of most numbers) become runs of zeros.

import Codec
import Platform
import Store

/// Describes how an archive is assembled from blobs.
public struct ArchivePlan: Sendable {
  /// A group of records that is decoded at once.
  struct Block: Sendable {
    let plainOffset: UInt64
    let plainBytes: UInt64
    let firstContent: Int
    let contents: Int
    let rawBytes: Int
    /// The range of its compressed bytes in the plan.
    let stored: Range<Int>
  }

  /// The size of the archive in bytes.
  public let sizeBytes: UInt64
  let blocks: [Block]
  private let bytes: [UInt8]
  private let contentsOffset: Int

  /// The maximum size of an uncompressed block.
  static let maxBlockBytes = 8 << 20

  /// Returns the id of one of the plan's contents.
  func content(_ index: Int) -> Digest {
    bytes.withUnsafeBytes { buffer in
      guard let base = buffer.baseAddress else { return Digest.zero }
      return Digest(loading: base + contentsOffset + index * Digest.byteCount)
    }
  }

  /// Reads a plan.
  /// - Throws: `corrupt` for another kind of plan or sizes that do not add up; `overLimit`; `truncated`.
  public static func decode(_ bytes: [UInt8]) throws(CodecError) -> ArchivePlan {
    try withReader(bytes) { (reader: inout ByteReader) throws(CodecError) in
      guard try reader.byte() == ReconstructionPlan.archiveTag else {
        throw .corrupt("not a plan of an archive")
      }
      let size = try reader.varint(limit: UInt64(Int64.max), "a size")
      let contents = try reader.count(bytesEach: Digest.byteCount)
      let contentsOffset = reader.offset
      try reader.skip(contents * Digest.byteCount)
      var blocks: [Block] = []
      var plain: UInt64 = 0
      var content = 0
      var stored = 0
      for _ in 0..<(try reader.count(bytesEach: 4)) {
        let plainBytes = try reader.varint(limit: size - plain, "a block")
        let count = Int(try reader.varint(limit: UInt64(contents - content), "a count"))
        let raw = Int(try reader.varint(limit: UInt64(maxBlockBytes), "a block"))
        let length = try reader.count(bytesEach: 1)
        guard plainBytes > 0 else { throw .corrupt("a block is empty") }
        blocks.append(
          Block(
            plainOffset: plain, plainBytes: plainBytes, firstContent: content, contents: count,
            rawBytes: raw, stored: stored..<stored + length))
        plain += plainBytes
        content += count
        stored += length
      }
      let start = reader.offset
      try reader.skip(stored)
      try reader.expectEnd()
      guard plain == size, content == contents else {
        throw .corrupt("the blocks do not add up to the size of the blob")
      }
      return ArchivePlan(
        sizeBytes: size,
        blocks: blocks.map {
          Block(
            plainOffset: $0.plainOffset, plainBytes: $0.plainBytes,
            firstContent: $0.firstContent, contents: $0.contents, rawBytes: $0.rawBytes,
            stored: start + $0.stored.lowerBound..<start + $0.stored.upperBound)
        }, bytes: bytes, contentsOffset: contentsOffset)
    }
  }

  /// Returns the blobs between the framing, in order.
  func references() throws(CodecError) -> [(id: Digest, sizeBytes: UInt64)] {
    var references: [(id: Digest, sizeBytes: UInt64)] = []
    for i in blocks.indices {
      let block = try block(i)
      for record in block.records where record.contentBytes > 0 {
        references.append((content(record.content), record.contentBytes))
      }
    }
    return references
  }

  /// Returns the index of the block that contains the byte at `offset`.
  func indexOfBlock(at offset: UInt64) -> Int {
    max(blocks.partitioningIndex { $0.plainOffset > offset } - 1, 0)
  }

  /// Decodes a block.
  func block(_ index: Int) throws(CodecError) -> ArchivePlanBlock {
    let block = blocks[index]
    let raw = UnsafeMutableRawBufferPointer.allocate(
      byteCount: max(block.rawBytes, 1), alignment: 16)
    defer { raw.deallocate() }
    let target = UnsafeMutableRawBufferPointer(rebasing: raw[..<block.rawBytes])
    try bytes.withUnsafeBytes { (bytes) throws(CodecError) in
      try ZstdDecompressor().decompress(
        UnsafeRawBufferPointer(rebasing: bytes[block.stored]), into: target)
    }
    var reader = ByteReader(UnsafeRawBufferPointer(target))
    return try ArchivePlanBlock(&reader, block)
  }
}

/// The decoded records of a block.
struct ArchivePlanBlock: Sendable {
  /// Framing, a content and zeros, in this order; each may be empty.
  struct Record: Sendable {
    /// The offset from the start of the block.
    var offset: UInt64 = 0
    var literal: Range<Int> = 0..<0
    /// The index of the content among the plan's contents, if `contentBytes` is not 0.
    var content = 0
    var contentBytes: UInt64 = 0
    var zeroBytes: UInt64 = 0
  }

  static let maxRecords = 4096
  static let maxHeaderBytes = 512
  static let maxZeroBytes: UInt64 = 64 << 10

  private(set) var records: [Record] = []
  private(set) var literals: [UInt8] = []

  fileprivate init(_ reader: inout ByteReader, _ block: ArchivePlan.Block) throws(CodecError) {
    let count = Int(try reader.varint(limit: UInt64(ArchivePlanBlock.maxRecords), "a count"))
    let header = Int(try reader.varint(limit: UInt64(ArchivePlanBlock.maxHeaderBytes), "a header"))
    records = Array(repeating: Record(), count: count)
    var literalBytes = 0
    for i in 0..<count {
      let length = Int(try reader.varint(limit: UInt64(ArchivePlan.maxBlockBytes), "framing"))
      records[i].literal = literalBytes..<literalBytes + length
      literalBytes += length
      guard literalBytes <= ArchivePlan.maxBlockBytes else { throw .overLimit("too much framing") }
    }
    var remainingBytes = block.plainBytes
    guard UInt64(literalBytes) <= remainingBytes else { throw .corrupt("a block is too long") }
    remainingBytes -= UInt64(literalBytes)
    var content = block.firstContent
    for i in 0..<count {
      let length = try reader.varint(limit: remainingBytes, "a content")
      remainingBytes -= length
      records[i].contentBytes = length
      records[i].content = content
      if length > 0 { content += 1 }
    }
    for i in 0..<count {
      let length = try reader.varint(
        limit: min(remainingBytes, ArchivePlanBlock.maxZeroBytes), "padding")
      remainingBytes -= length
      records[i].zeroBytes = length
    }
    guard remainingBytes == 0, content == block.firstContent + block.contents else {
      throw .corrupt("a block does not have the size that its plan says")
    }
    var offset: UInt64 = 0
    for i in 0..<count {
      records[i].offset = offset
      offset += UInt64(records[i].literal.count) + records[i].contentBytes + records[i].zeroBytes
    }
    literals = Array(repeating: 0, count: literalBytes)
    try readHeaders(&reader, header)
    for record in records {
      let start = record.literal.count >= header ? header : 0
      let tail = try reader.raw(record.literal.count - start)
      literals.replaceSubrange(
        record.literal.lowerBound + start..<record.literal.upperBound, with: tail)
    }
    try reader.expectEnd()
  }

  /// Reads the headers column by column, each XORed with the previous header.
  private mutating func readHeaders(_ reader: inout ByteReader, _ header: Int) throws(CodecError) {
    let starts = records.filter { $0.literal.count >= header }.map(\.literal.lowerBound)
    for column in 0..<header {
      let bytes = try reader.raw(starts.count)
      var previous: UInt8 = 0
      for (start, byte) in zip(starts, bytes) {
        previous ^= byte
        literals[start + column] = previous
      }
    }
  }

  /// Returns the index of the record that contains the byte at `offset`.
  func indexOfRecord(at offset: UInt64) -> Int {
    max(records.partitioningIndex { $0.offset > offset } - 1, 0)
  }
}
