// The segment renderer: an archive stream, compressed on all cores, of which what was compressed
// before is copied (design.md section 7).
//
// 1. The same entries give the same bytes: with a warm cache, a cold one, one core or many.
// 2. A segment whose encoded form is in the cache costs no read of content: its key follows from
//    framing and blob ids.
// 3. Memory is bounded: `windowPerThread` segments a thread, and a plain buffer each.
// 4. The entries come, and the stream goes out, on the caller's thread and in order.

import Archive
import Codec
import Platform
import Store

/// What a rendering was made of.
public struct RenderReport: Sendable, Equatable {
  public var segments = 0
  /// Segments that the cache had.
  public var cachedSegments = 0
  public var plainBytes: UInt64 = 0
  /// Plain bytes of segments that the cache had.
  public var cachedPlainBytes: UInt64 = 0
  public var writtenBytes: UInt64 = 0
  public init() {}
}

/// Renders streams of archive entries.
public struct SegmentRenderer {
  private static let windowPerThread = 4

  private let view: OverlayTree
  private let cache: SegmentCache?
  private let codec: SegmentCodec
  private let threads: Int
  private let progress: Progress

  /// - Parameters:
  ///   - view: where blobs are that edits brought and the store does not have; nil for none.
  ///   - cache: nil to encode everything.
  ///   - threads: how many encode.
  public init(
    _ store: ObjectStore, view: OverlayTree? = nil, cache: SegmentCache?, codec: SegmentCodec,
    threads: Int = processorCount, progress: Progress
  ) {
    self.view = view ?? OverlayTree(store, modified: Timestamp(seconds: 0, nanoseconds: 0))
    self.cache = cache
    self.codec = codec
    self.threads = max(threads, 1)
    self.progress = progress
  }

  /// Writes one stream.
  /// - Parameters:
  ///   - entries: calls its argument with each entry, in order; returns the archive's end.
  ///   - sink: gets the compressed stream.
  /// - Throws: what `entries` and `sink` throw, `StoreError`, `CodecError`.
  public func render(
    _ entries: ((ArchiveEntry) throws -> Void) throws -> [UInt8], to sink: @escaping ByteSink
  ) throws -> RenderReport {
    let pool = SegmentPool(
      view: view, cache: cache, codec: codec, progress: progress, threads: threads)
    let handles = try startWorkers(threads) { pool.work() }
    defer {
      pool.close()
      for handle in handles { handle.join() }
    }
    var envelope = StreamEnvelope(codec)
    var report = RenderReport()
    func write(_ bytes: UnsafeRawBufferPointer) throws {
      report.writtenBytes += UInt64(bytes.count)
      try sink(bytes)
    }
    func writeNext() throws {
      let (encoded, wasCached) = try pool.dequeue()
      try envelope.add(encoded)
      report.segments += 1
      report.plainBytes += encoded.plainBytes
      if wasCached {
        report.cachedSegments += 1
        report.cachedPlainBytes += encoded.plainBytes
      }
      try encoded.bytes.withUnsafeBytes {
        try write(UnsafeRawBufferPointer(rebasing: $0[encoded.payloadRange]))
      }
    }
    func push(_ segment: Segment) throws {
      pool.give(segment)
      while pool.underWay >= threads * SegmentRenderer.windowPerThread { try writeNext() }
    }
    try envelope.header.withUnsafeBytes { try write($0) }
    var cutter = Segmenter(codec.sizes)
    let trailer = try entries { entry in try cutter.add(entry) { try push($0) } }
    try cutter.finish(trailer, push)
    while pool.underWay > 0 { try writeNext() }
    try envelope.trailer().withUnsafeBytes { try write($0) }
    return report
  }
}

/// Segments under way: given and taken in order by one thread, encoded by several.
private final class SegmentPool: Sendable {
  private struct State {
    var waiting: [(number: Int, segment: Segment)] = []
    var done: [Int: (encoded: EncodedSegment, wasCached: Bool)] = [:]
    var given = 0
    var taken = 0
    var failure: (any Error)?
    var isClosed = false
  }
  private let state = Monitor(State())
  private let view: OverlayTree
  private let cache: SegmentCache?
  private let codec: SegmentCodec
  private let progress: Progress

  init(
    view: OverlayTree, cache: SegmentCache?, codec: SegmentCodec, progress: Progress, threads: Int
  ) {
    self.view = view
    self.cache = cache
    self.codec = codec
    self.progress = progress
  }

  var underWay: Int { state.withLock { $0.given - $0.taken } }

  func give(_ segment: Segment) {
    state.update { state in
      state.waiting.append((state.given, segment))
      state.given += 1
    }
  }

  /// Waits for the next segment in order.
  func dequeue() throws -> (EncodedSegment, wasCached: Bool) {
    let result = state.wait { state -> Result<(EncodedSegment, Bool), any Error>? in
      if let failure = state.failure { return .failure(failure) }
      guard let next = state.done.removeValue(forKey: state.taken) else { return nil }
      state.taken += 1
      return .success((next.encoded, next.wasCached))
    }
    return try result.get()
  }

  /// Lets the workers end.
  func close() { state.update { $0.isClosed = true } }

  func work() {
    var worker = SegmentWorker(view: view, cache: cache, codec: codec)
    while let (number, segment) = next() {
      do {
        let result = try worker.encode(segment)
        progress.add(bytes: UInt64(segment.sizeBytes))
        state.update { $0.done[number] = result }
      } catch {
        state.update { $0.failure = $0.failure ?? error }
        return
      }
    }
  }

  private func next() -> (Int, Segment)? {
    state.wait { state -> (Int, Segment)?? in
      if state.isClosed || state.failure != nil { return .some(nil) }
      if state.waiting.isEmpty { return nil }
      return .some(state.waiting.removeFirst())
    }
  }
}

/// Encodes segments on one thread.
private struct SegmentWorker: ~Copyable {
  private let view: OverlayTree
  private let cache: SegmentCache?
  private let codec: SegmentCodec
  private let encoderName: String
  private static let advice = "Run 'imgstore verify --deep' to see which snapshots are affected"
  private var encoder: SegmentEncoder?
  private var plain = PlainBuffer()

  init(view: OverlayTree, cache: SegmentCache?, codec: SegmentCodec) {
    self.view = view
    self.cache = cache
    self.codec = codec
    encoderName = codec.encoderName
  }

  mutating func encode(_ segment: Segment) throws -> (EncodedSegment, wasCached: Bool) {
    // What is stored costs no more than a look into the cache, and would fill it.
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
      preconditionFailure("there is an encoder")
    }
    cache?.put(key, encoded.bytes)
    return (encoded, false)
  }

  /// Fills the plain buffer.
  private mutating func read(_ segment: Segment) throws {
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
        "has \(plain.bytes.count) bytes where its entries have "
          + "\(segment.sizeBytes)", advice: SegmentWorker.advice)
    }
  }

  private mutating func read(_ blob: Digest, _ size: UInt64, _ range: Range<UInt64>) throws {
    if let bytes = view.content(blob), UInt64(bytes.count) == size, range.upperBound <= size {
      let range = Int(range.lowerBound)..<Int(range.upperBound)
      bytes.withUnsafeBytes { plain.append(UnsafeRawBufferPointer(rebasing: $0[range])) }
      return
    }
    let store = view.store
    let before = plain.bytes.count
    for part in try store.parts(of: blob, sizeBytes: size) {
      let end = part.offset + UInt64(part.lengthBytes)
      if end <= range.lowerBound { continue }
      if part.offset >= range.upperBound { break }
      let from = Int(max(range.lowerBound, part.offset) - part.offset)
      let to = Int(min(range.upperBound, end) - part.offset)
      try store.read(part) { _, bytes in
        plain.append(UnsafeRawBufferPointer(rebasing: bytes[from..<to]))
      }
    }
    guard UInt64(plain.bytes.count - before) == UInt64(range.count) else {
      throw StoreError(
        .damaged, "blob \(blob.hex)", "is shorter than its tree says", advice: SegmentWorker.advice)
    }
  }
}

/// A buffer that is filled again and again.
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

  /// What does not fit is left out; the caller counts.
  mutating func append(_ more: UnsafeRawBufferPointer) {
    let n = min(more.count, memory.count - count)
    UnsafeMutableRawBufferPointer(rebasing: memory[count..<count + n]).copyMemory(
      from: UnsafeRawBufferPointer(rebasing: more[..<n]))
    count += n
  }
}
