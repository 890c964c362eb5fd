// Builds frames: objects are collected, and compressed together (FrameEncoder.swift).
//
// 1. A frame with a base is twice as large as others: the base is read for all of it at once, and its chunks
//    are near each other. Its base is at most four times as large as its content.
// 2. A base is read from one frame, or from the few that one chunk needs. So reading a frame of depth n
//    decodes about n others. If the chunks of a frame rested on many frames, and theirs as well, reading one
//    of them could decode much of the store (docs/decisions/0096-one-frame-for-a-base.md).

import Codec

/// Collects objects for a frame. Belongs to one thread at a time.
public final class FrameBuilder: @unchecked Sendable {  // one owner at a time
  /// A frame is closed when it has this many raw bytes. There is always space for one more chunk.
  public static let targetBytes = 512 << 10
  /// The same for a frame with a base.
  static let deltaTargetBytes = 1 << 20
  static let capacity = deltaTargetBytes + Chunker.maxBytes
  static let maxObjects = 16 << 10
  /// The most bytes of the base of a new frame.
  package static let maxBaseBytes = 4 << 20

  private(set) var raw: UnsafeMutableRawBufferPointer
  private(set) var count = 0
  private(set) var objects: [(kind: ObjectKind, id: Digest, length: Int)] = []
  private var baseBuffer: UnsafeMutableRawBufferPointer?
  private var baseChunks: [FrameBase.Chunk] = []
  private var chunksInBase: Set<Digest> = []
  private var framesOfBase: Set<FrameAddress> = []
  /// The chunks of the base that each object was added for.
  private(set) var basesOfObjects: [[Digest]] = []
  private(set) var baseBytes = 0
  private var baseDepth: UInt8 = 0

  init() { raw = .allocate(byteCount: FrameBuilder.capacity, alignment: 64) }
  deinit {
    raw.deallocate()
    baseBuffer?.deallocate()
  }

  var isEmpty: Bool { objects.isEmpty }
  var isFull: Bool {
    let target = baseBytes == 0 ? FrameBuilder.targetBytes : FrameBuilder.deltaTargetBytes
    return count >= target || objects.count >= FrameBuilder.maxObjects
  }

  /// The base of the frame; nil if nothing was added to it.
  var base: FrameBase? {
    baseBytes == 0 ? nil : FrameBase(depth: baseDepth, chunks: baseChunks)
  }

  /// The bytes of the base.
  var basePrefix: UnsafeRawBufferPointer {
    UnsafeRawBufferPointer(rebasing: UnsafeRawBufferPointer(baseBuffer ?? raw)[..<baseBytes])
  }

  /// Returns true if the chunk is part of the base.
  func hasInBase(_ chunk: Digest) -> Bool { chunksInBase.contains(chunk) }

  /// Returns true if a chunk of so many bytes fits into the base.
  func hasBaseCapacity(for length: Int) -> Bool { baseBytes + length <= FrameBuilder.maxBaseBytes }

  /// Returns true if the base can have all of these chunks: they fit, and are in frames that it is read from
  /// (invariant 2). The first chunk of a frame decides which frames these are.
  func hasBaseCapacity(for chunks: [BaseReader.Chunk]) -> Bool {
    if isEmpty { return true }
    let newBytes = chunks.reduce(0) { hasInBase($1.id) ? $0 : $0 + $1.location.length }
    return hasBaseCapacity(for: newBytes)
      && chunks.allSatisfy { framesOfBase.contains($0.location.address) }
  }

  /// Appends a chunk to the base, which must not be part of it, if it can be read.
  func addToBase(_ chunk: BaseReader.Chunk, from reader: BaseReader) {
    framesOfBase.insert(chunk.location.address)
    reader.read(chunk) { addToBase(chunk.id, depth: chunk.location.depth, $0) }
  }

  /// Appends a chunk to the base, which must not be part of it. With it, the base must not exceed
  /// `FrameBase.maxBytes`.
  /// - Parameter depth: the depth of the frame that the chunk is read from.
  func addToBase(_ chunk: Digest, depth: UInt8, _ bytes: UnsafeRawBufferPointer) {
    let buffer = baseBuffer(for: baseBytes + bytes.count)
    UnsafeMutableRawBufferPointer(rebasing: buffer[baseBytes..<baseBytes + bytes.count])
      .copyMemory(from: bytes)
    baseChunks.append(FrameBase.Chunk(id: chunk, length: bytes.count))
    chunksInBase.insert(chunk)
    baseBytes += bytes.count
    baseDepth = max(baseDepth, FrameBase.depth(above: depth))
  }

  /// Returns the buffer of the base, enlarged to `count` bytes: frames of other programs may have larger
  /// bases.
  private func baseBuffer(for count: Int) -> UnsafeMutableRawBufferPointer {
    precondition(count <= FrameBase.maxBytes, "the base is too large")
    if let baseBuffer, baseBuffer.count >= count { return baseBuffer }
    let new = UnsafeMutableRawBufferPointer.allocate(
      byteCount: count <= FrameBuilder.maxBaseBytes
        ? FrameBuilder.maxBaseBytes : FrameBase.maxBytes,
      alignment: 64)
    if let old = baseBuffer {
      new.copyMemory(from: UnsafeRawBufferPointer(rebasing: old[..<baseBytes]))
      old.deallocate()
    }
    baseBuffer = new
    return new
  }

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

  /// Appends a chunk that resembles some chunks of the base.
  func add(_ id: Digest, _ bytes: UnsafeRawBufferPointer, resembling base: [Digest]) {
    add(.chunk, id, bytes)
    basesOfObjects.append(base)
  }

  /// Calls `body` with each chunk of the base and its bytes.
  func forEachBaseChunk(_ body: (Digest, UnsafeRawBufferPointer) -> Void) {
    let prefix = basePrefix
    var start = 0
    for chunk in baseChunks {
      body(chunk.id, UnsafeRawBufferPointer(rebasing: prefix[start..<start + chunk.length]))
      start += chunk.length
    }
  }

  /// Removes all objects and the base, and keeps the memory.
  func clear() {
    count = 0
    objects.removeAll(keepingCapacity: true)
    baseBytes = 0
    baseDepth = 0
    basesOfObjects.removeAll(keepingCapacity: true)
    baseChunks.removeAll(keepingCapacity: true)
    chunksInBase.removeAll(keepingCapacity: true)
    framesOfBase.removeAll(keepingCapacity: true)
  }
}
