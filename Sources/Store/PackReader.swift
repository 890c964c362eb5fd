// Reading packs: one frame at a time, decoded once and kept for its neighbours.
//
// 1. Nothing of a frame is used before its header's checksum and zstd's checksum were right; of a frame
//    that is decoded in part, one chunk, before its SHA-256 was.
// 2. The decoded frames held at once are bounded in bytes; whoever still uses one keeps it alive.
// 3. Two threads that want the same frame decode it once: the second waits.
// 4. The first chunk that is asked of a frame is often the only one (a revert of some files, `cat`): the
//    frame is decoded no further than it goes, and not kept. Who begins at a frame's beginning, or asks
//    again, gets the whole.

import Codec
import Platform

/// A decoded frame, or its beginning.
public final class DecodedFrame: @unchecked Sendable {  // immutable once decoded
  public let header: FrameHeader
  private let buffer: UnsafeMutableRawBufferPointer
  private let raw: UnsafeRawBufferPointer
  /// Where the buffer is from; nil for one of its own.
  private let lender: FrameBuffers?

  /// - Parameter countBytes: how much of the buffer is decoded.
  fileprivate init(
    _ header: FrameHeader, _ buffer: UnsafeMutableRawBufferPointer, countBytes: Int,
    _ lender: FrameBuffers?
  ) {
    self.header = header
    self.buffer = buffer
    raw = UnsafeRawBufferPointer(rebasing: buffer[..<countBytes])
    self.lender = lender
  }

  deinit { if let lender { lender.giveBack(buffer) } else { buffer.deallocate() } }

  /// The bytes of an object at `start`; valid while this frame lives.
  public func bytes(start: Int, length: Int) -> UnsafeRawBufferPointer {
    UnsafeRawBufferPointer(rebasing: raw[start..<start + length])
  }
}

/// Where a frame is.
struct FrameAddress: Hashable, Sendable {
  let pack: Digest
  let offset: UInt64
}

/// Reads frames out of the packs folder. Any thread may call it.
final class PackReader: Sendable {
  private struct State {
    var files: [Digest: Descriptor] = [:]
    var frames: [FrameAddress: DecodedFrame] = [:]
    var order: [FrameAddress] = []
    var heldBytes = 0
    var underWay: Set<FrameAddress> = []
    /// Those of which one chunk has been asked.
    var begun: Set<FrameAddress> = []
  }

  private let layout: Layout
  private let state = Monitor(State())
  private static let cacheBytes = 32 << 20
  private static let openFiles = 128
  private static let begunFrames = 4096
  /// A chunk that begins before is at its frame's beginning.
  private static let beginningBytes = 64 << 10

  init(_ layout: Layout) { self.layout = layout }

  func frame(_ address: FrameAddress, frameBytes: Int) throws(StoreError) -> DecodedFrame {
    let cached: DecodedFrame? = state.wait { state -> DecodedFrame?? in
      if let frame = state.frames[address] { return .some(frame) }
      if state.underWay.contains(address) { return nil }
      state.underWay.insert(address)
      return .some(nil)
    }
    if let cached { return cached }
    do throws(StoreError) {
      let frame = try read(address, frameBytes: frameBytes)
      state.update { state in
        state.underWay.remove(address)
        state.frames[address] = frame
        state.order.append(address)
        state.heldBytes += frame.header.rawBytes
        while state.heldBytes > PackReader.cacheBytes, state.order.count > 1 {
          if let old = state.frames.removeValue(forKey: state.order.removeFirst()) {
            state.heldBytes -= old.header.rawBytes
          }
        }
        state.begun.remove(address)
      }
      return frame
    } catch {
      state.update { _ = $0.underWay.remove(address) }
      throw error
    }
  }

  /// The frame of a chunk, decoded as far as the chunk goes at least.
  func frame(ofChunk id: Digest, at place: ObjectPlace) throws(StoreError) -> DecodedFrame {
    let (end, isImpossible) = place.start.addingReportingOverflow(place.length)
    if place.start >= PackReader.beginningBytes, !isImpossible, isFirst(place.address) {
      let frame = try read(place.address, frameBytes: place.frameBytes, upTo: end)
      if frame.header.holds(.chunk, id, start: place.start, length: place.length) {
        var hash = SHA256()
        if hash.digest(of: frame.bytes(start: place.start, length: place.length)) == id {
          return frame
        }
      }
      // The whole tells whether the index or the frame is wrong.
    }
    return try frame(place.address, frameBytes: place.frameBytes)
  }

  private func isFirst(_ address: FrameAddress) -> Bool {
    state.withLock { state in
      if state.frames[address] != nil || state.underWay.contains(address) { return false }
      if state.begun.count >= PackReader.begunFrames { state.begun.removeAll() }
      return state.begun.insert(address).inserted
    }
  }

  /// The header of the frame at `offset`; nil at the end of the pack.
  func header(
    _ file: Descriptor, _ pack: Digest, at offset: UInt64
  ) throws(StoreError) -> FrameHeader? {
    let object = "pack \(pack.shortHex) at \(offset)"
    var front = try readBytes(file, object, at: offset, count: FrameHeader.byteCount)
    if front.isEmpty { return nil }
    let lengths = try decoding(object) { () throws(CodecError) in
      guard front.count == FrameHeader.byteCount else { throw .truncated }
      var result: Result<FrameHeader.Lengths, CodecError> = .failure(.truncated)
      front.withUnsafeBytes { buffer in
        do throws(CodecError) { result = .success(try FrameHeader.parseLengths(buffer)) } catch {
          result = .failure(error)
        }
      }
      return try result.get()
    }
    front += try readBytes(
      file, object, at: offset + UInt64(FrameHeader.byteCount), count: lengths.directoryBytes)
    return try decoding(object) { () throws(CodecError) in try parseHeader(front) }
  }

  func open(_ pack: Digest) throws(StoreError) -> Descriptor {
    if let file = state.withLock({ $0.files[pack] }) { return file }
    let file = try find(pack)
    state.withLock { state in
      if state.files.count >= PackReader.openFiles { state.files.removeAll() }
      state.files[pack] = file
    }
    return file
  }

  /// A pack may move to doomed/ and back while we look for it.
  private func find(_ pack: Digest) throws(StoreError) -> Descriptor {
    for folder in [layout.packs, layout.doomed, layout.packs] {
      do throws(SystemError) {
        return try layout.fileSystem.openFile(
          at: folder.raw, Array(pack.hex.utf8), [.read, .noFollow])
      } catch {
        if error.code != .notFound { throw .system(error, "pack \(pack.hex)") }
      }
    }
    throw .missing("pack \(pack.hex)", "the file is not in the store's folder packs/")
  }

  /// Closes packs that are to be removed, so that their space is free at once.
  func forget(_ packs: some Sequence<Digest>) {
    state.withLock { state in
      for pack in packs { state.files[pack] = nil }
    }
  }

  /// The bytes of a frame as they are, and what they decode to.
  func wholeFrame(
    _ address: FrameAddress, frameBytes: Int
  ) throws(StoreError) -> (bytes: [UInt8], frame: DecodedFrame) {
    let object = "pack \(address.pack.shortHex) at \(address.offset)"
    let file = try open(address.pack)
    let bytes = try readBytes(file, object, at: address.offset, count: frameBytes)
    return try decoding(object) { () throws(CodecError) in
      guard bytes.count == frameBytes else { throw .truncated }
      let header = try parseHeader(bytes)
      guard header.frameBytes == frameBytes else { throw .corrupt("the frame's length is another") }
      var result: Result<DecodedFrame, CodecError> = .failure(.truncated)
      bytes.withUnsafeBytes { buffer in
        do throws(CodecError) { result = .success(try decode(header, buffer)) } catch {
          result = .failure(error)
        }
      }
      return (bytes, try result.get())
    }
  }

  /// The zstd level that a pack says its frames have; 0 where it says none.
  func level(of pack: Digest) throws(StoreError) -> UInt32 {
    let front = try readBytes(
      try open(pack), "pack \(pack.shortHex)", at: 0, count: PackFormat.headerBytes)
    return PackFormat.level(of: front) ?? 0
  }

  /// - Parameter end: how far it is to be decoded; nil for the whole.
  private func read(
    _ address: FrameAddress, frameBytes: Int, upTo end: Int? = nil
  ) throws(StoreError) -> DecodedFrame {
    let object = "pack \(address.pack.shortHex) at \(address.offset)"
    let file = try open(address.pack)
    guard frameBytes <= Int(FrameHeader.maxDirectoryBytes) + 2 * Int(FrameHeader.maxRawBytes) else {
      throw .damaged(object, "the index gives the frame an impossible length")
    }
    let lent = buffers.take(frameBytes)
    defer { buffers.giveBack(lent) }
    let buffer = UnsafeMutableRawBufferPointer(rebasing: lent[..<frameBytes])
    let n = try explaining(object) { () throws(SystemError) in
      try layout.fileSystem.readFully(file.raw, at: address.offset, into: buffer)
    }
    return try decoding(object) { () throws(CodecError) in
      guard n == frameBytes else { throw .truncated }
      let header = try FrameHeader.parse(UnsafeRawBufferPointer(buffer))
      guard header.frameBytes == frameBytes else { throw .corrupt("the frame's length is another") }
      return try decode(header, UnsafeRawBufferPointer(buffer), upTo: end)
    }
  }

  /// Decodes the payload of a frame whose bytes are `frame`.
  func decode(
    _ header: FrameHeader, _ frame: UnsafeRawBufferPointer, upTo end: Int? = nil
  ) throws(CodecError) -> DecodedFrame {
    let payload = UnsafeRawBufferPointer(
      rebasing: frame[(FrameHeader.byteCount + header.directoryBytes)...])
    let end = min(end ?? header.rawBytes, header.rawBytes)
    let isWhole = end == header.rawBytes
    let raw: UnsafeMutableRawBufferPointer =
      isWhole ? .allocate(byteCount: end, alignment: 64) : buffers.take(end)
    let frame = DecodedFrame(header, raw, countBytes: end, isWhole ? nil : buffers)
    try decoder.decompress(
      payload, UnsafeMutableRawBufferPointer(rebasing: raw[..<end]), isWhole: isWhole)
    return frame
  }

  private let decoder = DecoderPool()
  private let buffers = FrameBuffers()

  private func readBytes(
    _ file: Descriptor, _ object: String, at offset: UInt64, count: Int
  ) throws(StoreError) -> [UInt8] {
    let buffer = UnsafeMutableRawBufferPointer.allocate(byteCount: max(count, 1), alignment: 8)
    defer { buffer.deallocate() }
    let n = try explaining(object) { () throws(SystemError) in
      try layout.fileSystem.readFully(
        file.raw, at: offset, into: UnsafeMutableRawBufferPointer(rebasing: buffer[..<count]))
    }
    return [UInt8](buffer[..<n])
  }
}

private func parseHeader(_ bytes: [UInt8]) throws(CodecError) -> FrameHeader {
  var result: Result<FrameHeader, CodecError> = .failure(.truncated)
  bytes.withUnsafeBytes { buffer in
    do throws(CodecError) { result = .success(try FrameHeader.parse(buffer)) } catch {
      result = .failure(error)
    }
  }
  return try result.get()
}

/// As many decompressors as threads that use one at once.
final class DecoderPool: Sendable {
  private final class Decoder: @unchecked Sendable {  // taken out of the pool by one thread
    let zstd = ZstdDecompressor()
  }
  private let idle = Monitor<[Decoder]>([])

  func decompress(
    _ source: UnsafeRawBufferPointer, _ target: UnsafeMutableRawBufferPointer, isWhole: Bool
  ) throws(CodecError) {
    let decoder = idle.withLock { $0.popLast() } ?? Decoder()
    defer { idle.withLock { $0.append(decoder) } }
    if isWhole {
      try decoder.zstd.decompress(source, into: target)
    } else {
      try decoder.zstd.decompressBeginning(of: source, into: target)
    }
  }
}
