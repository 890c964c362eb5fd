// Downloads one pack and checks all of it: its name, its frames and its objects.
//
// A frame with a base is checked if its base is there: a frame that no snapshot needs may have lost it.
// Whether a needed one has, the light check finds out.
//
// Memory: what the connection delivers at once, one frame, and some frames with bases with these.

import Codec
import ObjectStorage
import Platform
import Store

/// Checks a pack.
struct PackDownloadCheck {
  let depot: Depot
  let pack: DepotPack
  let sizeBytes: UInt64
  let present: PresentCopies
  private static let maxDeltaBytes = 8 << 20

  /// Collects bytes until a frame is complete.
  private struct FrameBuffer {
    var bytes: [UInt8] = []
    var hasHeader = false
    var objectCount = 0
    /// The offset of `bytes` in the pack.
    var offset: UInt64 = 0
    /// Frames with bases that are not checked yet.
    var deltas: [(location: FrameLocation, raw: RawFrame)] = []
    var deltaBytes = 0
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
      try checkDeltas(&buffer)
    } catch let error as DamagedFrameError {
      throw DepotError.damaged(pack.shortName, of: depot.name, "is damaged: \(error.reason)")
    } catch is VanishedPackError {
      throw DepotError(
        .busy, pack.shortName, "of \(depot.name) was not checked: a collection moved its bases",
        hint: "Verify the depot again")
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
      buffer.offset = UInt64(PackDirectory.frontBytes)
      buffer.hasHeader = true
    }
    var start = 0
    while buffer.bytes.count - start >= FrameHeader.byteCount {
      let size = try RawFrame.sizeBytes(
        front: Array(buffer.bytes[start..<(start + FrameHeader.byteCount)]))
      guard buffer.bytes.count - start >= size else { break }
      let frame = try RawFrame(Array(buffer.bytes[start..<(start + size)]))
      if let base = frame.header.base {
        let location = FrameLocation(
          pack: pack, offset: buffer.offset, frameBytes: size, depth: base.depth)
        try note(frame, at: location, in: &buffer)
      } else {
        _ = try depot.decoder.verify(frame)
        buffer.objectCount += frame.objectCount
      }
      start += size
      buffer.offset += UInt64(size)
    }
    if start > 0 { buffer.bytes.removeFirst(start) }
  }

  /// Keeps a frame with a base until some of them are checked together.
  private func note(
    _ frame: RawFrame, at location: FrameLocation, in buffer: inout FrameBuffer
  ) throws {
    guard try present.base(of: location) == frame.header.base else {
      throw CodecError.corrupt("a frame has another base than its directory")
    }
    if try present.missingBase(of: location) != nil { return }
    buffer.deltas.append((location, frame))
    buffer.deltaBytes += frame.bytes.count + frame.header.rawBytes
    if buffer.deltaBytes >= PackDownloadCheck.maxDeltaBytes { try checkDeltas(&buffer) }
  }

  private func checkDeltas(_ buffer: inout FrameBuffer) throws {
    let deltas = buffer.deltas
    (buffer.deltas, buffer.deltaBytes) = ([], 0)
    try FrameReader(depot, present).decode(deltas) { decoded in
      try FrameDecoder.verify(decoded)
      buffer.objectCount += decoded.header.objects.count
    }
  }
}
