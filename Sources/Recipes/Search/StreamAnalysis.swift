// Analyzes a stream in one pass: names its contents and records its structure. Nothing is stored.

import Archive
import Codec
import Platform
import Store

/// A deflate stream of a source, inflated from its start. One thread reads it; other threads use
/// its results after it has ended.
final class InflatingSource: @unchecked Sendable {
  let scanner = InflateBlockScanner()
  private let source: RandomAccessSource
  private let start: UInt64
  private var position: UInt64
  private let window = UnsafeMutableRawBufferPointer.allocate(byteCount: 1 << 20, alignment: 4096)
  private var buffered: Range<Int> = 0..<0

  init(_ source: RandomAccessSource, at offset: UInt64) {
    self.source = source
    start = offset
    position = offset
  }

  deinit { window.deallocate() }

  /// The size of the stream in bytes; known at its end.
  var sizeBytes: UInt64 { ((scanner.boundaries.last?.bitOffset ?? 0) + 7) / 8 }

  /// Reads decompressed bytes.
  /// - Throws: `CodecError` if the stream is damaged or truncated.
  func read(_ target: UnsafeMutableRawBufferPointer) throws -> Int {
    while true {
      if scanner.isAtEnd || target.isEmpty { return 0 }
      if buffered.isEmpty {
        let n = try source.read(at: position, into: window)
        guard n > 0 else { throw CodecError.truncated }
        position += UInt64(n)
        buffered = 0..<n
      }
      let (consumed, produced) = try scanner.decode(
        UnsafeRawBufferPointer(rebasing: UnsafeRawBufferPointer(window)[buffered]), into: target)
      buffered = buffered.lowerBound + consumed..<buffered.upperBound
      if produced > 0 { return produced }
      if consumed == 0, !scanner.isAtEnd, !buffered.isEmpty {
        throw CodecError.corrupt("the decoder makes no progress")
      }
    }
  }
}

/// The result of an analysis.
struct StreamAnalysis: Sendable {
  struct Content: Sendable {
    let id: Digest
    let sizeBytes: UInt64
    /// The offset in the stream.
    let offset: UInt64
    /// Whether the content starts like a compressed file.
    let isCompressed: Bool
  }

  let id: Digest
  let sizeBytes: UInt64
  /// The plan of an archive; nil if the stream is a single content.
  let plan: [UInt8]?
  let contents: [Content]
  let records: Int

  /// Reads a stream to its end.
  init(_ source: @escaping ByteSource, progress: Progress) throws {
    // The whole stream is hashed concurrently, so bytes that are being hashed must not be overwritten.
    let whole = HashedSource(source)
    let records = try ArchiveRecords { try whole.read($0) }
    var writer = ArchivePlanWriter(headerBytes: records.form.headerBytes)
    var contents: [Content] = []
    var count = 0
    var hasFraming = false
    var offset: UInt64 = 0
    var hash = SHA256()
    let buffer = UnsafeMutableRawBufferPointer.allocate(byteCount: 256 << 10, alignment: 64)
    defer { buffer.deallocate() }
    while let record = try records.next() {
      count += 1
      offset += UInt64(record.literal.count)
      var content: (id: Digest, sizeBytes: UInt64)?
      if record.contentBytes != 0 {
        var size: UInt64 = 0
        var isCompressed = false
        while true {
          let n = try records.read(buffer)
          if n == 0 { break }
          if size == 0 { isCompressed = MemberFraming.isMember(buffer.prefix(n)) }
          hash.update(UnsafeRawBufferPointer(rebasing: buffer[..<n]))
          progress.add(bytes: UInt64(n))
          size += UInt64(n)
        }
        let id = hash.finish()
        if size > 0 {
          content = (id, size)
          contents.append(
            Content(id: id, sizeBytes: size, offset: offset, isCompressed: isCompressed))
          offset += size
        }
      }
      let zeros = try records.padding()
      offset += UInt64(zeros)
      if !record.literal.isEmpty || zeros > 0 { hasFraming = true }
      try writer.add(record.literal, content: content, zeroBytes: zeros)
    }
    id = whole.finish()
    sizeBytes = whole.countBytes
    plan = hasFraming ? try writer.finish() : nil
    self.contents = contents
    self.records = count
  }
}

/// A source whose bytes are hashed on a separate thread.
private final class HashedSource {
  private let source: ByteSource
  private let hasher = BackgroundHasher()
  /// Used in rotation: one is read while others are hashed.
  private let windows = (0..<BufferPipeline.rangeCount).map { _ in
    UnsafeMutableRawBufferPointer.allocate(byteCount: 512 << 10, alignment: 4096)
  }
  private var current = 0
  private var buffered: Range<Int> = 0..<0
  private var isAtEnd = false
  private(set) var countBytes: UInt64 = 0

  init(_ source: @escaping ByteSource) { self.source = source }

  deinit {
    hasher.wait()
    for window in windows { window.deallocate() }
  }

  func read(_ target: UnsafeMutableRawBufferPointer) throws -> Int {
    if buffered.isEmpty { try refill() }
    let n = min(buffered.count, target.count)
    if n == 0 { return 0 }
    target.copyMemory(
      from: UnsafeRawBufferPointer(
        rebasing: windows[current][buffered.lowerBound..<buffered.lowerBound + n]))
    buffered = buffered.lowerBound + n..<buffered.upperBound
    return n
  }

  private func refill() throws {
    if isAtEnd { return }
    current = (current + 1) % windows.count
    let window = windows[current]
    var n = 0
    while n < window.count {
      let more = try source(UnsafeMutableRawBufferPointer(rebasing: window[n...]))
      if more == 0 {
        isAtEnd = true
        break
      }
      n += more
    }
    buffered = 0..<n
    countBytes += UInt64(n)
    hasher.begin(UnsafeRawBufferPointer(rebasing: window[..<n]))
  }

  func finish() -> Digest { hasher.finish() }
}
