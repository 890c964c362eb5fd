// Renders an archive stream: compresses its segments on all processors, and copies those that were
// compressed before from the cache (docs/decisions/0033-cached-segments.md).
//
// 1. Equal entries give equal bytes, with a warm or a cold cache, and with one or many processors.
// 2. A cached segment needs no read of content: its key is derived from framing and blob ids.
// 3. Memory is bounded: `windowPerThread` segments and one plain buffer per thread.
// 4. The caller's thread produces the entries and writes the stream, in order.

import Archive
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
    var envelope = StreamEnvelope(codec)
    var report = RenderReport()
    func write(_ bytes: UnsafeRawBufferPointer) throws {
      report.writtenBytes += UInt64(bytes.count)
      try sink(bytes)
    }
    try envelope.header.withUnsafeBytes { try write($0) }
    var segmenter = Segmenter(codec.sizes)
    try runInOrder(
      threads: threads, window: threads * SegmentRenderer.windowPerThread,
      makeWorker: { [view, cache, codec, progress] in
        let worker = SegmentWorker(view: view, cache: cache, codec: codec)
        return { (segment: Segment) in
          let result = try worker.encode(segment)
          progress.add(bytes: UInt64(segment.sizeBytes))
          return result
        }
      },
      use: { _, result in
        let (encoded, wasCached) = result
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
      },
      produce: { submit in
        let trailer = try entries { entry in try segmenter.add(entry, submit) }
        try segmenter.finish(trailer, submit)
      })
    try envelope.trailer().withUnsafeBytes { try write($0) }
    return report
  }
}
