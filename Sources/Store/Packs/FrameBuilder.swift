// Builds frames: objects are collected, compressed together, and verified before they reach a pack.

import Codec

/// Collects objects for a frame. Belongs to one thread at a time.
public final class FrameBuilder: @unchecked Sendable {  // one owner at a time
  /// A frame is closed when it has this many raw bytes. There is always space for one more chunk.
  public static let targetBytes = 512 << 10
  static let capacity = targetBytes + Chunker.maxBytes
  static let maxObjects = 16 << 10

  private(set) var raw: UnsafeMutableRawBufferPointer
  private(set) var count = 0
  private(set) var objects: [(kind: ObjectKind, id: Digest, length: Int)] = []

  init() { raw = .allocate(byteCount: FrameBuilder.capacity, alignment: 64) }
  deinit { raw.deallocate() }

  var isEmpty: Bool { objects.isEmpty }
  var isFull: Bool { count >= FrameBuilder.targetBytes || objects.count >= FrameBuilder.maxObjects }

  /// Returns true if an object of this length fits.
  func hasCapacity(for length: Int) -> Bool { count + length <= FrameBuilder.capacity }

  /// Enlarges the empty buffer for one object larger than a frame: the recipe of a file of many gigabytes.
  func grow(for length: Int) {
    precondition(isEmpty && length <= Int(FrameHeader.maxRawBytes))
    guard length > raw.count else { return }
    raw.deallocate()
    raw = .allocate(byteCount: length, alignment: 64)
  }

  /// Appends an object, which must fit.
  func add(_ kind: ObjectKind, _ id: Digest, _ bytes: UnsafeRawBufferPointer) {
    precondition(count + bytes.count <= raw.count, "the object does not fit into the frame")
    if let source = bytes.baseAddress, let target = raw.baseAddress {
      (target + count).copyMemory(from: source, byteCount: bytes.count)
    }
    objects.append((kind, id, bytes.count))
    count += bytes.count
  }

  /// Removes all objects and keeps the memory.
  func clear() {
    count = 0
    objects.removeAll(keepingCapacity: true)
  }
}

/// Compresses full builders into frames. Each thread has its own, because it owns codec contexts and buffers.
final class FrameEncoder {
  private let compressor: ZstdCompressor
  private let decompressor = ZstdDecompressor()
  private var stored: UnsafeMutableRawBufferPointer
  private var check: UnsafeMutableRawBufferPointer

  init(_ tuning: StoreTuning) {
    compressor = ZstdCompressor(level: tuning.level, hashLog: tuning.hashLog)
    stored = .allocate(byteCount: ZstdCompressor.bound(FrameBuilder.capacity), alignment: 64)
    check = .allocate(byteCount: FrameBuilder.capacity, alignment: 64)
  }

  /// Enlarges the buffers for a frame of `count` raw bytes.
  private func ensureCapacity(_ count: Int) {
    guard count > check.count else { return }
    stored.deallocate()
    check.deallocate()
    stored = .allocate(byteCount: ZstdCompressor.bound(count), alignment: 64)
    check = .allocate(byteCount: count, alignment: 64)
  }

  deinit {
    stored.deallocate()
    check.deallocate()
  }

  /// Compresses a frame, decodes it again, compares, and passes header and payload to `output`.
  ///
  /// The payload is valid during the call only. A frame that does not decode to its input never reaches a
  /// pack.
  /// - Throws: `damaged` if the comparison fails; errors of `output`.
  func encode(
    _ builder: FrameBuilder,
    _ output: (_ header: [UInt8], _ payload: UnsafeRawBufferPointer) throws(StoreError) -> Void
  ) throws(StoreError) {
    let raw = UnsafeRawBufferPointer(rebasing: builder.raw[..<builder.count])
    ensureCapacity(raw.count)
    let payload: UnsafeRawBufferPointer
    do throws(CodecError) {
      let n = try compressor.compress(raw, into: stored)
      payload = UnsafeRawBufferPointer(rebasing: stored[..<n])
      let decoded = UnsafeMutableRawBufferPointer(rebasing: check[..<raw.count])
      try decompressor.decompress(payload, into: decoded)
      guard equal(raw, UnsafeRawBufferPointer(decoded)) else {
        throw .corrupt("the decoded bytes differ from the input")
      }
    } catch {
      throw StoreError(
        .damaged, "a frame", "did not survive compression: \(error)",
        hint: "The memory or the processor of this machine is faulty. Test it before you continue"
      )
    }
    try output(FrameHeader.encode(objects: builder.objects, storedBytes: payload.count), payload)
  }
}
