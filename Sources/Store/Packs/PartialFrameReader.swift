// Frames of which one chunk is wanted (a revert of some files, `cat`): read and decoded from the front, piece
// by piece, as far as the chunk goes.
//
// 1. A chunk counts when the frame's header says it is there, and its SHA-256 is right: nothing else
//    vouches for a beginning.
// 2. Where anything is amiss there is no beginning; reading the whole frame tells what it is.

import Codec
import Platform

/// Reads beginnings. Any thread may call it.
final class PartialFrameReader: Sendable {
  private static let pieceBytes = 64 << 10

  private final class Worker: @unchecked Sendable {  // taken out of the pool by one thread
    let decoder = ZstdPrefixDecoder()
    let piece = UnsafeMutableRawBufferPointer.allocate(byteCount: pieceBytes, alignment: 64)
    deinit { piece.deallocate() }
  }

  private let fileSystem: any FileSystem
  private let buffers: BufferPool
  private let idle = Monitor<[Worker]>([])

  init(_ fileSystem: any FileSystem, _ buffers: BufferPool) {
    self.fileSystem = fileSystem
    self.buffers = buffers
  }

  /// The beginning of a frame in `pack`, to the end of one chunk in it at least.
  func frame(ofChunk id: Digest, at place: ObjectPlace, in pack: Descriptor) -> DecodedFrame? {
    let worker = idle.withLock { $0.popLast() } ?? Worker()
    defer { idle.withLock { $0.append(worker) } }
    guard let frame = try? read(id, place, pack, worker) else { return nil }
    var hash = SHA256()
    let found = frame.withBytes(start: place.start, length: place.length) { hash.digest(of: $0) }
    return found == id ? frame : nil
  }

  private func read(
    _ id: Digest, _ place: ObjectPlace, _ pack: Descriptor, _ worker: Worker
  ) throws -> DecodedFrame {
    var taken = 0
    func next() throws -> UnsafeRawBufferPointer {
      let room = min(worker.piece.count, place.frameBytes - taken)
      guard room > 0 else { throw CodecError.truncated }
      let n = try fileSystem.readFully(
        pack.raw, at: place.address.offset &+ UInt64(taken),
        into: UnsafeMutableRawBufferPointer(rebasing: worker.piece[..<room]))
      guard n == room else { throw CodecError.truncated }
      taken += n
      return UnsafeRawBufferPointer(rebasing: worker.piece[..<n])
    }

    // A directory that is longer than a piece (1,800 objects) makes this throw.
    let front = try next()
    let header = try FrameHeader.parse(front)
    guard header.frameBytes == place.frameBytes,
      header.holds(.chunk, id, start: place.start, length: place.length)
    else { throw CodecError.corrupt("the index has another frame") }
    let end = place.start + place.length
    let target = buffers.take(header.rawBytes)
    let frame = DecodedFrame(header, target, countBytes: end, from: buffers)
    let room = UnsafeMutableRawBufferPointer(rebasing: target[..<header.rawBytes])
    worker.decoder.reset()
    var piece = UnsafeRawBufferPointer(
      rebasing: front[(FrameHeader.byteCount + header.directoryBytes)...])
    while try worker.decoder.decode(piece, into: room) < end { piece = try next() }
    return frame
  }
}
