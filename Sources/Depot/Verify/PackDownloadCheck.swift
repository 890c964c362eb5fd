// Downloads one pack and checks all of it: its name, its frames and its objects.
//
// Memory: one frame and what the connection delivers at once.

import Codec
import ObjectStorage
import Platform
import Store

/// Checks a pack.
struct PackDownloadCheck {
  let depot: Depot
  let pack: DepotPack
  let sizeBytes: UInt64

  /// Collects bytes until a frame is complete.
  private struct FrameBuffer {
    var bytes: [UInt8] = []
    var hasHeader = false
    var objectCount = 0
  }

  /// Reads the pack.
  /// - Returns: the number of its objects; 0 if it was deleted meanwhile.
  /// - Throws: `remoteDamaged` if anything is wrong with it; `StorageError`.
  func run(_ progress: Progress) throws -> Int {
    guard sizeBytes <= PackDirectory.maxPackBytes else {
      throw DepotError.damaged(pack.shortName, of: depot.name, "is larger than any pack")
    }
    var hash = SHA256()
    var buffer = FrameBuffer()
    do {
      try depot.storage.download(DepotKeys.pack(pack), sizeBytes: sizeBytes) { part in
        hash.update(part)
        progress.add(bytes: UInt64(part.count))
        buffer.bytes += part
        try drain(&buffer)
      }
    } catch let error as CodecError {
      throw DepotError.damaged(pack.shortName, of: depot.name, "is damaged: \(error)")
    } catch let error as StorageError {
      if error.kind == .notFound { return 0 }
      guard error.kind == .damaged || error.kind == .tooLarge else { throw error }
      throw DepotError.damaged(pack.shortName, of: depot.name, error.reason)
    }
    guard hash.finish() == pack.digest else {
      throw DepotError.damaged(pack.shortName, of: depot.name, "has other bytes than its name says")
    }
    guard buffer.hasHeader, buffer.bytes.isEmpty else {
      throw DepotError.damaged(pack.shortName, of: depot.name, "ends in the middle of a frame")
    }
    return buffer.objectCount
  }

  /// Checks the complete frames at the start of the buffer and removes them.
  private func drain(_ buffer: inout FrameBuffer) throws {
    if !buffer.hasHeader {
      guard buffer.bytes.count >= PackDirectory.frontBytes else { return }
      guard buffer.bytes.starts(with: PackFormat.headerFront) else {
        throw CodecError.corrupt("it does not start as a pack")
      }
      buffer.bytes.removeFirst(PackDirectory.frontBytes)
      buffer.hasHeader = true
    }
    var start = 0
    while buffer.bytes.count - start >= FrameHeader.byteCount {
      let size = try RawFrame.sizeBytes(
        front: Array(buffer.bytes[start..<(start + FrameHeader.byteCount)]))
      guard buffer.bytes.count - start >= size else { break }
      let frame = try RawFrame(Array(buffer.bytes[start..<(start + size)]))
      _ = try depot.decoder.verify(frame)
      buffer.objectCount += frame.objectCount
      start += size
    }
    if start > 0 { buffer.bytes.removeFirst(start) }
  }
}
