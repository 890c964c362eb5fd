// Frames of which a single chunk is needed (a revert of some files, `cat`). They are read and decoded block
// by block from the front, to the end of the chunk.
//
// 1. A chunk is valid if the frame's header lists it and its SHA-256 matches. Nothing else verifies a partial
//    frame.
// 2. Any failure gives no result, and so does a frame of differences, whose literals come last. The caller
//    reads the whole frame then, which reports the cause.

import Codec
import Platform

/// Reads beginnings of frames. All methods may be called from any thread.
final class PartialFrameReader: Sendable {
  private static let inputBytes = 64 << 10

  private final class Worker: @unchecked Sendable {  // taken out of the pool by one thread
    let decoder = ZstdPrefixDecoder()
    let input = UnsafeMutableRawBufferPointer.allocate(byteCount: inputBytes, alignment: 64)
    deinit { input.deallocate() }
  }

  private let fileSystem: any FileSystem
  private let buffers: BufferPool
  private let idle = Monitor<[Worker]>([])

  /// Calls its closure with the bytes of a frame's base (`PackReader.withBase`).
  typealias BaseReader = (FrameHeader, (UnsafeRawBufferPointer?) throws -> DecodedFrame) throws ->
    DecodedFrame

  init(_ fileSystem: any FileSystem, _ buffers: BufferPool) {
    self.fileSystem = fileSystem
    self.buffers = buffers
  }

  /// Returns the beginning of a frame in `pack`, at least to the end of a chunk in it; nil on any failure.
  /// - Parameter withBase: reads the base.
  func frame(
    ofChunk id: Digest, at location: ObjectLocation, in pack: Descriptor, withBase: BaseReader
  ) -> DecodedFrame? {
    let worker = idle.withLock { $0.popLast() } ?? Worker()
    defer { idle.withLock { $0.append(worker) } }
    guard let frame = try? read(id, location, pack, worker, withBase) else { return nil }
    var hash = SHA256()
    let digest = frame.withBytes(start: location.start, length: location.length) {
      hash.digest(of: $0)
    }
    return digest == id ? frame : nil
  }

  private func read(
    _ id: Digest, _ location: ObjectLocation, _ pack: Descriptor, _ worker: Worker,
    _ withBase: BaseReader
  ) throws -> DecodedFrame {
    var readBytes = 0
    func next() throws -> UnsafeRawBufferPointer {
      let count = min(worker.input.count, location.frameBytes - readBytes)
      guard count > 0 else { throw CodecError.truncated }
      let n = try fileSystem.readFully(
        pack.raw, at: location.address.offset &+ UInt64(readBytes),
        into: UnsafeMutableRawBufferPointer(rebasing: worker.input[..<count]))
      guard n == count else { throw CodecError.truncated }
      readBytes += n
      return UnsafeRawBufferPointer(rebasing: worker.input[..<n])
    }

    // A directory longer than one block (1,800 objects) throws here.
    let front = try next()
    let header = try FrameHeader.parse(front)
    guard header.codec == .zstd, header.frameBytes == location.frameBytes,
      header.holds(.chunk, id, start: location.start, length: location.length)
    else { throw CodecError.corrupt("the index lists another frame") }
    let endOfChunk = location.start + location.length
    return try withBase(header) { base in
      let target = buffers.acquire(header.rawBytes)
      let frame = DecodedFrame(header, target, countBytes: endOfChunk, from: buffers)
      let output = UnsafeMutableRawBufferPointer(rebasing: target[..<header.rawBytes])
      worker.decoder.reset(base: base ?? UnsafeRawBufferPointer(start: nil, count: 0))
      // The base is valid during this call only.
      defer { worker.decoder.reset() }
      var input = UnsafeRawBufferPointer(
        rebasing: front[(FrameHeader.byteCount + header.directoryBytes)...])
      while try worker.decoder.decode(input, into: output) < endOfChunk { input = try next() }
      return frame
    }
  }
}
