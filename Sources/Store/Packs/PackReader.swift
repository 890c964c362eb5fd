// Reading packs: one frame at a time, decoded once and kept for its neighbours.
//
// 1. Nothing of a frame is used before its header's checksum and zstd's checksum were right; of a frame's
//    beginning, one chunk, before its SHA-256 was.
// 2. The decoded frames held at once are bounded in bytes; whoever still uses one keeps it alive.
// 3. Two threads that want the same frame decode it once: the second waits.
// 4. The first chunk that is asked of a frame is often the only one: it gets the frame's beginning, which is
//    not kept. Who asks again, or went through the frame before it, gets the whole.

import Codec
import Platform

/// Reads frames out of the packs folder. Any thread may call it.
final class PackReader: Sendable {
  private struct State {
    var files: [Digest: Descriptor] = [:]
    var frames: [FrameAddress: DecodedFrame] = [:]
    var order: [FrameAddress] = []
    var heldBytes = 0
    var underWay: Set<FrameAddress> = []
    /// Those behind the frames held and under way.
    var following: Set<FrameAddress> = []
    /// Those of which one chunk has been asked.
    var begun: Set<FrameAddress> = []
  }

  let layout: Layout
  private let state = Monitor(State())
  private let decoder = DecoderPool()
  private let buffers: BufferPool
  private let beginnings: PartialFrameReader
  private static let cacheBytes = 48 << 20
  private static let openFiles = 128
  private static let begunFrames = 4096

  init(_ layout: Layout) {
    self.layout = layout
    buffers = BufferPool()
    beginnings = PartialFrameReader(layout.fileSystem, buffers)
  }

  func frame(_ address: FrameAddress, frameBytes: Int) throws(StoreError) -> DecodedFrame {
    let cached: DecodedFrame? = state.wait { state -> DecodedFrame?? in
      if let frame = state.frames[address] { return .some(frame) }
      if state.underWay.contains(address) { return nil }
      state.underWay.insert(address)
      state.following.insert(address.following(frameBytes))
      return .some(nil)
    }
    if let cached { return cached }
    do throws(StoreError) {
      let frame = try read(address, frameBytes: frameBytes)
      state.update { state in
        state.underWay.remove(address)
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
        state.begun.remove(address)
      }
      return frame
    } catch {
      state.update { state in
        state.underWay.remove(address)
        state.following.remove(address.following(frameBytes))
      }
      throw error
    }
  }

  /// The frame of a chunk, decoded as far as the chunk goes at least.
  func frame(ofChunk id: Digest, at place: ObjectPlace) throws(StoreError) -> DecodedFrame {
    if isAlone(place.address) {
      let pack = try open(place.address.pack)
      if let frame = beginnings.frame(ofChunk: id, at: place, in: pack) { return frame }
    }
    return try frame(place.address, frameBytes: place.frameBytes)
  }

  /// Nothing but the chunk that is asked for now is known to be wanted of this frame.
  private func isAlone(_ address: FrameAddress) -> Bool {
    state.withLock { state in
      if state.frames[address] != nil || state.underWay.contains(address) { return false }
      if state.following.contains(address) { return false }
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
      let opened: Layout.OpenedFile
      do throws(SystemError) {
        opened = try layout.openRegular(folder, Array(pack.hex.utf8))
      } catch {
        if error.code == .notFound { continue }
        throw .system(error, "pack \(pack.hex)")
      }
      switch opened {
      case .file(let file, _): return file
      case .odd(let reason): throw .damaged("pack \(pack.shortHex)", reason)
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

  /// Runs `body`, which finds `file` under a name that no pack has.
  func withFile<R>(
    _ file: Descriptor, as name: Digest, _ body: () throws -> R
  ) rethrows -> R {
    state.update { $0.files[name] = file }
    defer { forget([name]) }
    return try body()
  }

  /// Closes all packs and forgets all frames: other files may have their names now.
  func forgetAll() {
    state.update { state in
      state.files = [:]
      state.frames = [:]
      state.order = []
      state.heldBytes = 0
      state.following = []
      state.begun = []
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

  private func read(
    _ address: FrameAddress, frameBytes: Int
  ) throws(StoreError) -> DecodedFrame {
    let object = "pack \(address.pack.shortHex) at \(address.offset)"
    let file = try open(address.pack)
    guard frameBytes <= Int(FrameHeader.maxDirectoryBytes) + 2 * Int(FrameHeader.maxRawBytes) else {
      throw .impossibleRow("frame")
    }
    let lent = buffers.take(frameBytes)
    defer { buffers.release(lent) }
    let buffer = UnsafeMutableRawBufferPointer(rebasing: lent[..<frameBytes])
    let n = try explaining(object) { () throws(SystemError) in
      try layout.fileSystem.readFully(file.raw, at: address.offset, into: buffer)
    }
    return try decoding(object) { () throws(CodecError) in
      guard n == frameBytes else { throw .truncated }
      let header = try FrameHeader.parse(UnsafeRawBufferPointer(buffer))
      guard header.frameBytes == frameBytes else { throw .corrupt("the frame's length is another") }
      return try decode(header, UnsafeRawBufferPointer(buffer))
    }
  }

  /// Decodes the payload of a frame whose bytes are `frame`.
  func decode(
    _ header: FrameHeader, _ frame: UnsafeRawBufferPointer
  ) throws(CodecError) -> DecodedFrame {
    let payload = UnsafeRawBufferPointer(
      rebasing: frame[(FrameHeader.byteCount + header.directoryBytes)...])
    let target = buffers.take(header.rawBytes)
    let frame = DecodedFrame(header, target, countBytes: header.rawBytes, from: buffers)
    try decoder.decompress(
      payload, UnsafeMutableRawBufferPointer(rebasing: target[..<header.rawBytes]))
    return frame
  }

  func readBytes(
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
