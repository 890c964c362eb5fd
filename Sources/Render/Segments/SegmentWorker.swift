// Encodes segments on one thread, or takes them from the cache.

import Codec
import Store

/// Encodes segments on one thread.
final class SegmentWorker {
  private let ranges: BlobRangeReader
  private let cache: SegmentCache?
  private let codec: SegmentCodec
  private let encoderName: String
  private static let hint = "Run 'imgstore verify --deep' to see which snapshots are affected"
  private var encoder: SegmentEncoder?
  private var plain = PlainBuffer()

  init(view: OverlayTree, cache: SegmentCache?, codec: SegmentCodec) {
    ranges = BlobRangeReader(view)
    self.cache = cache
    self.codec = codec
    encoderName = codec.encoderName
  }

  func encode(_ segment: Segment) throws -> (EncodedSegment, wasCached: Bool) {
    // Storing a segment costs as little as a cache lookup, and would fill the cache.
    let cache = segment.isStored ? nil : cache
    let key = cache == nil ? Digest.zero : segment.key(encoder: encoderName)
    if let bytes = cache?.find(key),
      let cached = EncodedSegment(cached: bytes, plainBytes: segment.sizeBytes)
    {
      return (cached, true)
    }
    try read(segment)
    if encoder == nil { encoder = SegmentEncoder(codec) }
    guard let encoded = try encoder?.encode(plain.bytes, isStored: segment.isStored) else {
      preconditionFailure("the encoder was just created")
    }
    cache?.put(key, encoded.bytes)
    return (encoded, false)
  }

  /// Reads the plain bytes of a segment into the buffer.
  private func read(_ segment: Segment) throws {
    plain.reset(capacity: segment.sizeBytes)
    for part in segment.parts {
      switch part {
      case .bytes(let bytes): bytes.withUnsafeBytes { plain.append($0) }
      case .blob(let blob, let size, let range): try read(blob, size, range)
      case .spool(let spool, let range): try spool.read(range) { plain.append($0) }
      }
    }
    guard plain.bytes.count == segment.sizeBytes else {
      throw StoreError(
        .damaged, "a segment",
        "has \(plain.bytes.count) bytes instead of the \(segment.sizeBytes) of its entries",
        hint: SegmentWorker.hint)
    }
  }

  private func read(_ blob: Digest, _ size: UInt64, _ range: Range<UInt64>) throws {
    try plain.append(countBytes: range.count) {
      try ranges.read(blob, sizeBytes: size, from: range.lowerBound, into: $0)
    }
  }
}

/// A reusable buffer.
private struct PlainBuffer: ~Copyable {
  private var memory = UnsafeMutableRawBufferPointer.allocate(byteCount: 0, alignment: 64)
  private var count = 0

  deinit { memory.deallocate() }

  var bytes: UnsafeRawBufferPointer { UnsafeRawBufferPointer(rebasing: memory[..<count]) }

  mutating func reset(capacity: Int) {
    count = 0
    guard capacity > memory.count else { return }
    memory.deallocate()
    memory = .allocate(byteCount: capacity, alignment: 64)
  }

  /// Appends bytes that `fill` writes, unless they do not fit.
  mutating func append(
    countBytes: Int, _ fill: (UnsafeMutableRawBufferPointer) throws -> Void
  ) throws {
    guard countBytes <= memory.count - count else { return }
    try fill(UnsafeMutableRawBufferPointer(rebasing: memory[count..<count + countBytes]))
    count += countBytes
  }

  /// Appends bytes. Bytes that do not fit are dropped; the caller compares the count.
  mutating func append(_ more: UnsafeRawBufferPointer) {
    let n = min(more.count, memory.count - count)
    UnsafeMutableRawBufferPointer(rebasing: memory[count..<count + n]).copyMemory(
      from: UnsafeRawBufferPointer(rebasing: more[..<n]))
    count += n
  }
}
