// The frame headers of a pack without the payloads, and the objects in `dirs/` that gather them
// (docs/format.md, "The depot"):
//
//     "IMGDIRS", byte 1
//     varint   number of packs
//     per pack: digest, the 16 bytes of its writer, varint size, varint number of frames,
//              per frame: its header and directory, as in the pack
//
// 1. The frames of a pack follow each other without gaps from the end of its header to its size, so their
//    offsets are known, and none can be omitted.
// 2. Counts and sizes are checked before memory is allocated. Each frame's header has its checksum.

import Codec
import Store

/// The headers of all frames of one pack.
package struct PackDirectory: Sendable {
  package let pack: DepotPack
  package let sizeBytes: UInt64
  /// The headers and directories of the frames, one behind the other.
  package let headers: [UInt8]
  package let frameCount: Int

  package init(pack: DepotPack, sizeBytes: UInt64, headers: [UInt8], frameCount: Int) {
    (self.pack, self.sizeBytes) = (pack, sizeBytes)
    (self.headers, self.frameCount) = (headers, frameCount)
  }

  /// The bytes before the first frame.
  static let frontBytes = 16
  /// The largest pack that a reader accepts (docs/format.md, "The directory").
  static let maxPackBytes: UInt64 = 1 << 30

  /// A frame with its offset in the pack.
  package struct Frame {
    package let offset: UInt64
    package let header: FrameHeader
    /// The range of the header and the directory in `headers`.
    let headerRange: Range<Int>
  }

  /// Calls `body` for each frame, in order.
  /// - Throws: `corrupt` if the headers are invalid or do not cover the pack; errors of `body`.
  package func forEachFrame(_ body: (Frame) throws -> Void) throws {
    try headers.withUnsafeBytes { bytes in
      var offset = UInt64(PackDirectory.frontBytes)
      var position = 0
      for _ in 0..<frameCount {
        let header = try FrameHeader.parse(UnsafeRawBufferPointer(rebasing: bytes[position...]))
        let start = position
        position += FrameHeader.byteCount + header.directoryBytes
        try body(Frame(offset: offset, header: header, headerRange: start..<position))
        offset += UInt64(header.frameBytes)
      }
      guard offset == sizeBytes, position == bytes.count else {
        throw CodecError.corrupt("the frames do not cover the pack")
      }
    }
  }

  /// Returns the bytes of a frame that belong into a directory: all but the payload.
  static func front(of frame: RawFrame) -> ArraySlice<UInt8> {
    frame.bytes[..<(FrameHeader.byteCount + frame.header.directoryBytes)]
  }
}

/// The content of an object in `dirs/`.
package enum DirectoryObject {
  private static let magic = Array("IMGDIRS".utf8) + [1]
  /// The largest object that a reader accepts.
  static let maxBytes = 64 << 20
  /// A writer gathers directories up to this size, unless one is larger.
  static let targetBytes = 8 << 20

  /// Returns the bytes of an object, which name it.
  package static func encode(_ directories: [PackDirectory]) -> [UInt8] {
    var writer = ByteWriter()
    writer.reserve(directories.reduce(64) { $0 + $1.headers.count + 64 })
    writer.raw(magic)
    writer.varint(directories.count)
    for directory in directories {
      writer.digest(directory.pack.digest)
      writer.word64(directory.pack.writer.high.byteSwapped)
      writer.word64(directory.pack.writer.low.byteSwapped)
      writer.varint(directory.sizeBytes)
      writer.varint(directory.frameCount)
      writer.raw(directory.headers)
    }
    return writer.bytes
  }

  /// Reads the bytes of an object.
  /// - Throws: `corrupt` for other content, an invalid frame, or frames that do not cover their pack;
  ///   `overLimit`; `truncated`.
  package static func decode(_ bytes: [UInt8]) throws(CodecError) -> [PackDirectory] {
    let directories = try bytes.withUnsafeBytes { (bytes) throws(CodecError) in
      var reader = ByteReader(bytes)
      guard try reader.raw(min(magic.count, reader.remaining)) == magic else {
        throw .corrupt("the object is not a list of directories")
      }
      var directories: [PackDirectory] = []
      for _ in 0..<(try reader.count(bytesEach: 50)) {
        directories.append(try decodePack(&reader))
      }
      try reader.expectEnd()
      return directories
    }
    return directories
  }

  private static func decodePack(_ reader: inout ByteReader) throws(CodecError) -> PackDirectory {
    let digest = try reader.digest()
    let high = try reader.word64().byteSwapped
    let writer = WriterID(high: high, low: try reader.word64().byteSwapped)
    let size = try reader.varint(limit: PackDirectory.maxPackBytes, "the size of a pack")
    let frameCount = try reader.count(bytesEach: FrameHeader.byteCount)
    let start = reader.offset
    var coveredBytes = UInt64(PackDirectory.frontBytes)
    for _ in 0..<frameCount {
      let rest = UnsafeRawBufferPointer(rebasing: reader.buffer[reader.offset...])
      let header = try FrameHeader.parse(rest)
      try reader.skip(FrameHeader.byteCount + header.directoryBytes)
      coveredBytes += UInt64(header.frameBytes)
      guard coveredBytes <= size else { throw .corrupt("the frames are longer than their pack") }
    }
    guard coveredBytes == size else { throw .corrupt("the frames do not cover their pack") }
    return PackDirectory(
      pack: DepotPack(digest: digest, writer: writer), sizeBytes: size,
      headers: [UInt8](UnsafeRawBufferPointer(rebasing: reader.buffer[start..<reader.offset])),
      frameCount: frameCount)
  }
}
