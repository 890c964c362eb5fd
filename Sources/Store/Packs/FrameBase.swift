// The base of a frame: chunks of other frames, whose bytes one after the other are what the payload is
// compressed against, in one of the forms of `FrameCodec`. A frame with a base is a delta (docs/format.md,
// "Frames").
//
// 1. The depth of a frame without a base is 0. The depth of another one is more than that of each frame that
//    its base is read from. So reading ends: no frame rests on itself.
// 2. Of several copies of a chunk, the one in the frame of least depth is read (`Index.location`). No command
//    removes that copy of a needed chunk and leaves a deeper one. So invariant 1 stays true for frames that
//    were written when another copy was read.
// 3. Depth and bytes are limited, and checked before memory is allocated.

import Codec

/// Lists the chunks that a frame is compressed against.
public struct FrameBase: Sendable, Equatable {
  /// The greatest depth that a reader accepts.
  public static let maxDepth: UInt8 = 16
  /// The most bytes of a base that a reader accepts.
  public static let maxBytes = 16 << 20

  /// A chunk of the base.
  public struct Chunk: Sendable, Hashable {
    public let id: Digest
    public let length: Int

    /// Creates the description of a chunk.
    public init(id: Digest, length: Int) {
      self.id = id
      self.length = length
    }
  }

  /// The most frames that must be decoded one before the other until this one can be.
  public let depth: UInt8
  /// The chunks in the order of their bytes in the prefix.
  public let chunks: [Chunk]
  /// The sum of the chunks' lengths.
  public let sizeBytes: Int

  /// Returns the depth of a frame that is based on chunks of a frame of this depth.
  package static func depth(above depth: UInt8) -> UInt8 { depth < .max ? depth + 1 : depth }

  /// Creates a base.
  package init(depth: UInt8, chunks: [Chunk]) {
    self.depth = depth
    self.chunks = chunks
    sizeBytes = chunks.reduce(0) { $0 + $1.length }
  }

  /// Reads a base from the end of a directory.
  /// - Throws: `corrupt` for a depth of 0 or no chunks; `overLimit`; `truncated`.
  init(_ reader: inout ByteReader) throws(CodecError) {
    let depth = try reader.byte()
    guard depth > 0 else { throw .corrupt("the frame's base has the depth 0") }
    guard depth <= FrameBase.maxDepth else {
      throw .overLimit("the frame's base has the depth \(depth)")
    }
    let count = try reader.varint(
      limit: UInt64(FrameHeader.maxDirectoryBytes / 33), "the number of chunks of a base")
    var chunks: [Chunk] = []
    var sizeBytes = 0
    for _ in 0..<count {
      let id = try reader.digest()
      let length = Int(
        try reader.varint(limit: UInt64(FrameBase.maxBytes - sizeBytes), "the length of a base"))
      chunks.append(Chunk(id: id, length: length))
      sizeBytes += length
    }
    guard sizeBytes > 0 else { throw .corrupt("the frame's base is empty") }
    self.depth = depth
    self.chunks = chunks
    self.sizeBytes = sizeBytes
  }

  func encode(_ writer: inout ByteWriter) {
    writer.byte(depth)
    writer.varint(chunks.count)
    for chunk in chunks {
      writer.digest(chunk.id)
      writer.varint(chunk.length)
    }
  }
}
