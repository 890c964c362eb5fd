// Reads packs: a frame is decoded once and kept in memory for reads of its other objects.
//
// 1. No byte of a frame is used before the checksums of its header and of its payload have matched. A chunk
//    of a partial frame is used only after its SHA-256 has matched.
// 2. The cached frames are bounded in bytes. A frame that is in use stays alive outside the cache.
// 3. If two threads request the same frame, it is decoded once: the second thread waits.
// 4. The base of a frame is read before the frame, from frames of less depth (FrameBase.swift). So a thread
//    waits only for frames of less depth than the one that it decodes.
// 5. The first chunk that is requested from a frame is often the only one, so only the frame's beginning is
//    decoded, and not cached (unless the frame has differences). A second request, or a read of the previous
//    frame, decodes the whole frame.

import Codec
import Platform

/// Reads frames from the packs. All methods may be called from any thread.
final class PackReader: Sendable {
  private struct State {
    var files: [Digest: Descriptor] = [:]
    var frames: [FrameAddress: DecodedFrame] = [:]
    var order: [FrameAddress] = []
    var heldBytes = 0
    var reading: Set<FrameAddress> = []
    /// The frames that follow the cached ones and those being decoded.
    var following: Set<FrameAddress> = []
    /// The frames from which one chunk has been requested.
    var requestedOnce: Set<FrameAddress> = []
  }

  let layout: Layout
  private let state = Monitor(State())
  private let decoder: DecoderPool
  let buffers: BufferPool
  /// Finds the chunks of bases: the index, once it is open.
  let baseLocator = Monitor<BaseLocatorBox?>(nil)
  private let partialReader: PartialFrameReader
  private static let cacheBytes = 48 << 20
  private static let maxOpenFiles = 128
  private static let maxRequestedOnce = 4096

  init(_ layout: Layout) {
    self.layout = layout
    buffers = BufferPool()
    decoder = DecoderPool(buffers)
    partialReader = PartialFrameReader(layout.fileSystem, buffers)
  }

  /// Returns a frame, from the cache or decoded.
  /// - Throws: `damaged`, `missing`, `system`.
  func frame(_ address: FrameAddress, frameBytes: Int) throws(StoreError) -> DecodedFrame {
    let cached: DecodedFrame? = state.wait { state -> DecodedFrame?? in
      if let frame = state.frames[address] { return .some(frame) }
      if state.reading.contains(address) { return nil }
      state.reading.insert(address)
      state.following.insert(address.following(frameBytes))
      return .some(nil)
    }
    if let cached { return cached }
    do throws(StoreError) {
      let frame = try read(address, frameBytes: frameBytes)
      state.update { state in
        state.reading.remove(address)
        state.frames[address] = frame
        state.order.append(address)
        state.heldBytes += frame.heldBytes
        while state.heldBytes > PackReader.cacheBytes, state.order.count > 1 {
          let oldest = state.order.removeFirst()
          if let old = state.frames.removeValue(forKey: oldest) {
            state.heldBytes -= old.heldBytes
            state.following.remove(oldest.following(old.header.frameBytes))
          }
        }
        state.requestedOnce.remove(address)
      }
      return frame
    } catch {
      state.update { state in
        state.reading.remove(address)
        state.following.remove(address.following(frameBytes))
      }
      throw error
    }
  }

  /// Returns the frame of a chunk, decoded at least to the end of the chunk.
  /// - Throws: `damaged`, `missing`, `system`.
  func frame(ofChunk id: Digest, at location: ObjectLocation) throws(StoreError) -> DecodedFrame {
    if isFirstRequest(location.address) {
      let pack = try open(location.address.pack)
      let frame = partialReader.frame(ofChunk: id, at: location, in: pack) { header, body in
        try withBase(header) { (base) throws(StoreError) in
          do { return try body(base) } catch {
            throw error as? StoreError ?? .damaged("a frame", "\(error)")
          }
        }
      }
      if let frame { return frame }
    }
    return try frame(location.address, frameBytes: location.frameBytes)
  }

  /// Returns true for the first request of a frame that nothing suggests will be read further (invariant 5).
  private func isFirstRequest(_ address: FrameAddress) -> Bool {
    state.withLock { state in
      if state.frames[address] != nil || state.reading.contains(address) { return false }
      if state.following.contains(address) { return false }
      if state.requestedOnce.count >= PackReader.maxRequestedOnce {
        state.requestedOnce.removeAll()
      }
      return state.requestedOnce.insert(address).inserted
    }
  }

  /// Returns the header of the frame at `offset`; nil at the end of the pack.
  /// - Throws: `damaged` if the bytes are not a header; `system`.
  func header(
    _ file: Descriptor, _ pack: Digest, at offset: UInt64
  ) throws(StoreError) -> FrameHeader? {
    let object = "pack \(pack.shortHex) at \(offset)"
    var front = try readBytes(file, object, at: offset, count: FrameHeader.byteCount)
    if front.isEmpty { return nil }
    let lengths = try mapCodecErrors(object) { () throws(CodecError) in
      guard front.count == FrameHeader.byteCount else { throw .truncated }
      return try front.withUnsafeBytes { (front) throws(CodecError) in
        try FrameHeader.parseLengths(front)
      }
    }
    front += try readBytes(
      file, object, at: offset + UInt64(FrameHeader.byteCount), count: lengths.directoryBytes)
    return try mapCodecErrors(object) { () throws(CodecError) in try parseHeader(front) }
  }

  /// Opens a pack in packs/ or doomed/, or returns its open descriptor.
  func open(_ pack: Digest) throws(StoreError) -> Descriptor {
    if let file = state.withLock({ $0.files[pack] }) { return file }
    let file = try find(pack)
    state.withLock { state in
      if state.files.count >= PackReader.maxOpenFiles { state.files.removeAll() }
      state.files[pack] = file
    }
    return file
  }

  /// Searches packs/ twice, because a pack may move to doomed/ and back during the search.
  private func find(_ pack: Digest) throws(StoreError) -> Descriptor {
    for directory in [layout.packs, layout.doomed, layout.packs] {
      let opened: Layout.OpenedFile
      do throws(SystemError) {
        opened = try layout.openRegular(directory, Array(pack.hex.utf8))
      } catch {
        if error.code == .notFound { continue }
        throw .system(error, "pack \(pack.hex)")
      }
      switch opened {
      case .file(let file, _): return file
      case .unexpected(let reason): throw .damaged("pack \(pack.shortHex)", reason)
      }
    }
    throw .missing("pack \(pack.hex)", "the file is not in the store's directory packs/")
  }

  /// Closes packs that will be deleted, so that their space is free at once.
  func close(_ packs: some Sequence<Digest>) {
    state.withLock { state in
      for pack in packs { state.files[pack] = nil }
    }
  }

  /// Runs `body`, which reads `file` under a name that no pack has.
  func withFile<R>(
    _ file: Descriptor, as name: Digest, _ body: () throws -> R
  ) rethrows -> R {
    state.update { $0.files[name] = file }
    defer { close([name]) }
    return try body()
  }

  /// Closes all packs and drops all frames, because other files may have their names now.
  func closeAll() {
    state.update { state in
      state.files = [:]
      state.frames = [:]
      state.order = []
      state.heldBytes = 0
      state.following = []
      state.requestedOnce = []
    }
  }

  /// Returns the stored bytes of a frame, whose payload is not decoded.
  /// - Throws: `damaged`, `missing`, `system`.
  func rawFrame(_ address: FrameAddress, frameBytes: Int) throws(StoreError) -> RawFrame {
    let object = "pack \(address.pack.shortHex) at \(address.offset)"
    guard frameBytes <= RawFrame.maxBytes else { throw .impossibleRow("frame") }
    let file = try open(address.pack)
    let bytes = try readBytes(file, object, at: address.offset, count: frameBytes)
    return try mapCodecErrors(object) { () throws(CodecError) in
      guard bytes.count == frameBytes else { throw .truncated }
      return try RawFrame(bytes)
    }
  }

  /// Returns the stored bytes of a frame and the decoded frame.
  /// - Throws: `damaged`, `missing`, `system`.
  func wholeFrame(
    _ address: FrameAddress, frameBytes: Int
  ) throws(StoreError) -> (bytes: [UInt8], frame: DecodedFrame) {
    let object = "pack \(address.pack.shortHex) at \(address.offset)"
    let file = try open(address.pack)
    let bytes = try readBytes(file, object, at: address.offset, count: frameBytes)
    let header = try mapCodecErrors(object) { () throws(CodecError) in
      guard bytes.count == frameBytes else { throw .truncated }
      let header = try parseHeader(bytes)
      guard header.frameBytes == frameBytes else {
        throw .corrupt("the frame has another length than the index says")
      }
      return header
    }
    let frame = try bytes.withUnsafeBytes { (bytes) throws(StoreError) in
      try decode(header, bytes, object)
    }
    return (bytes, frame)
  }

  /// Returns the zstd level that a pack records for its frames; 0 if it records none.
  func level(of pack: Digest) throws(StoreError) -> UInt32 {
    let front = try readBytes(
      try open(pack), "pack \(pack.shortHex)", at: 0, count: PackFormat.headerBytes)
    return PackFormat.level(of: front) ?? 0
  }

  /// Reads and decodes a whole frame.
  private func read(
    _ address: FrameAddress, frameBytes: Int
  ) throws(StoreError) -> DecodedFrame {
    let object = "pack \(address.pack.shortHex) at \(address.offset)"
    let file = try open(address.pack)
    guard frameBytes <= Int(FrameHeader.maxDirectoryBytes) + 2 * Int(FrameHeader.maxRawBytes) else {
      throw .impossibleRow("frame")
    }
    let frameBuffer = buffers.acquire(frameBytes)
    defer { buffers.release(frameBuffer) }
    let buffer = UnsafeMutableRawBufferPointer(rebasing: frameBuffer[..<frameBytes])
    let n = try mapSystemError(
      object, try layout.fileSystem.readFully(file.raw, at: address.offset, into: buffer))
    let header = try mapCodecErrors(object) { () throws(CodecError) in
      guard n == frameBytes else { throw .truncated }
      let header = try FrameHeader.parse(UnsafeRawBufferPointer(buffer))
      guard header.frameBytes == frameBytes else {
        throw .corrupt("the frame has another length than the index says")
      }
      return header
    }
    return try decode(header, UnsafeRawBufferPointer(buffer), object)
  }

  /// Decodes the payload of a frame from its stored bytes, after the base of the frame was read.
  /// - Parameter object: the name of the frame for messages.
  /// - Throws: `damaged` for a damaged payload; the errors of `withBase`.
  func decode(
    _ header: FrameHeader, _ frame: UnsafeRawBufferPointer, _ object: String
  ) throws(StoreError) -> DecodedFrame {
    let payload = UnsafeRawBufferPointer(
      rebasing: frame[(FrameHeader.byteCount + header.directoryBytes)...])
    return try withBase(header) { (base) throws(StoreError) in
      let target = buffers.acquire(header.rawBytes)
      let frame = DecodedFrame(header, target, countBytes: header.rawBytes, from: buffers)
      try mapCodecErrors(object) { () throws(CodecError) in
        try decoder.decode(
          payload, header.codec, base: base,
          into: UnsafeMutableRawBufferPointer(rebasing: target[..<header.rawBytes]))
      }
      return frame
    }
  }

  /// Reads at most `count` bytes; fewer at the end of the file.
  func readBytes(
    _ file: Descriptor, _ object: String, at offset: UInt64, count: Int
  ) throws(StoreError) -> [UInt8] {
    var result = Result<Int, SystemError>.success(0)
    let bytes = [UInt8](unsafeUninitializedCapacity: count) { buffer, initializedCount in
      result = Result { () throws(SystemError) in
        try layout.fileSystem.readFully(
          file.raw, at: offset,
          into: UnsafeMutableRawBufferPointer(
            rebasing: UnsafeMutableRawBufferPointer(buffer)[..<count]))
      }
      if case .success(let n) = result { initializedCount = n }
    }
    _ = try mapSystemError(object, try result.get())
    return bytes
  }
}

private func parseHeader(_ bytes: [UInt8]) throws(CodecError) -> FrameHeader {
  try bytes.withUnsafeBytes { (bytes) throws(CodecError) in try FrameHeader.parse(bytes) }
}
