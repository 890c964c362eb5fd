// Renders an archive stream: compresses its segments on all processors, and copies those that were
// compressed before from the cache (docs/decisions/0033-cached-segments.md).
//
// 1. Equal entries give equal bytes, with a warm or a cold cache, and with one or many processors.
// 2. A cached segment needs no read of content: its key is derived from framing and blob ids.
// 3. Memory is bounded: `windowPerThread` segments and one plain buffer per thread.
// 4. The caller's thread produces the entries and writes the stream, in order.

import Archive
import Codec
import Platform
import Store

/// Statistics of a rendering.
public struct RenderReport: Sendable, Equatable {
  /// The number of segments.
  public var segments = 0
  /// The number of segments from the cache.
  public var cachedSegments = 0
  /// The number of plain bytes.
  public var plainBytes: UInt64 = 0
  /// The number of plain bytes in segments from the cache.
  public var cachedPlainBytes: UInt64 = 0
  /// The number of compressed bytes.
  public var writtenBytes: UInt64 = 0
  /// Creates an empty report.
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

  /// Creates a renderer.
  /// - Parameters:
  ///   - view: contains blobs that edits added and the store does not have; nil for none.
  ///   - cache: the segment cache; nil encodes everything.
  ///   - codec: the compressed format.
  ///   - threads: the number of threads that encode.
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
  ///   - entries: calls its argument with each entry, in order, and returns the end of the archive.
  ///   - sink: receives the compressed stream.
  /// - Returns: the statistics.
  /// - Throws: `StoreError`, `CodecError`; the errors of `entries` and `sink`.
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
      pool.enqueue(segment)
      while pool.pendingCount >= threads * SegmentRenderer.windowPerThread { try writeNext() }
    }
    try envelope.header.withUnsafeBytes { try write($0) }
    var segmenter = Segmenter(codec.sizes)
    let trailer = try entries { entry in try segmenter.add(entry) { try push($0) } }
    try segmenter.finish(trailer, push)
    while pool.pendingCount > 0 { try writeNext() }
    try envelope.trailer().withUnsafeBytes { try write($0) }
    return report
  }
}

/// The pending segments. One thread enqueues and dequeues them in order; several encode them.
private final class SegmentPool: Sendable {
  private struct State {
    var waiting: [(number: Int, segment: Segment)] = []
    var done: [Int: (encoded: EncodedSegment, wasCached: Bool)] = [:]
    var enqueuedCount = 0
    var dequeuedCount = 0
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

  var pendingCount: Int { state.withLock { $0.enqueuedCount - $0.dequeuedCount } }

  func enqueue(_ segment: Segment) {
    state.update { state in
      state.waiting.append((state.enqueuedCount, segment))
      state.enqueuedCount += 1
    }
  }

  /// Waits for the next encoded segment in order.
  func dequeue() throws -> (EncodedSegment, wasCached: Bool) {
    let result = state.wait { state -> Result<(EncodedSegment, Bool), any Error>? in
      if let failure = state.failure { return .failure(failure) }
      guard let next = state.done.removeValue(forKey: state.dequeuedCount) else { return nil }
      state.dequeuedCount += 1
      return .success((next.encoded, next.wasCached))
    }
    return try result.get()
  }

  /// Tells the workers to end.
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
