// One pass over a stream: what it holds, by name, and how it is put together; nothing is stored.

import Archive
import Codec
import Platform
import Store

/// A deflate stream of a source, inflated from its beginning. Read by one thread, looked at when that
/// has come to the end.
final class InflatingSource: @unchecked Sendable {
  let walk = InflateBlockScanner()
  private let source: RandomAccessSource
  private let start: UInt64
  private var position: UInt64
  private let window = UnsafeMutableRawBufferPointer.allocate(byteCount: 1 << 20, alignment: 4096)
  private var held: Range<Int> = 0..<0

  init(_ source: RandomAccessSource, at offset: UInt64) {
    self.source = source
    start = offset
    position = offset
  }

  deinit { window.deallocate() }

  /// Bytes of the stream; known at its end.
  var sizeBytes: UInt64 { ((walk.boundaries.last?.bitOffset ?? 0) + 7) / 8 }

  /// - Throws: `CodecError` where the stream is damaged or cut off.
  func read(_ target: UnsafeMutableRawBufferPointer) throws -> Int {
    while true {
      if walk.isAtEnd || target.isEmpty { return 0 }
      if held.isEmpty {
        let n = try source.read(at: position, into: window)
        guard n > 0 else { throw CodecError.truncated }
        position += UInt64(n)
        held = 0..<n
      }
      let (taken, made) = try walk.decode(
        UnsafeRawBufferPointer(rebasing: UnsafeRawBufferPointer(window)[held]), into: target)
      held = held.lowerBound + taken..<held.upperBound
      if made > 0 { return made }
      if taken == 0, !walk.isAtEnd, !held.isEmpty {
        throw CodecError.corrupt("the decoder is stuck")
      }
    }
  }
}

/// What a stream turned out to be.
struct StreamAnalysis: Sendable {
  struct Content: Sendable {
    let id: Digest
    let sizeBytes: UInt64
    /// Where it begins in the stream.
    let offset: UInt64
    /// How it begins, as far as that tells what it is.
    let isGzip: Bool
  }

  let id: Digest
  let sizeBytes: UInt64
  /// The plan of an archive; nil where the stream is none, and one content is all of it.
  let plan: [UInt8]?
  let contents: [Content]
  let records: Int

  /// Reads a stream to its end.
  init(_ source: @escaping ByteSource, progress: Progress) throws {
    // The whole is hashed beside; what is read next must not touch bytes that are being hashed.
    let whole = HashedSource(source)
    let records = try ArchiveRecords { try whole.read($0) }
    var writer = ArchivePlanWriter(headerBytes: records.form.headerBytes)
    var contents: [Content] = []
    var count = 0
    var hasFraming = false
    var offset: UInt64 = 0
    var hash = SHA256()
    let room = UnsafeMutableRawBufferPointer.allocate(byteCount: 256 << 10, alignment: 64)
    defer { room.deallocate() }
    while let record = try records.next() {
      count += 1
      offset += UInt64(record.literal.count)
      var content: (id: Digest, sizeBytes: UInt64)?
      if record.contentBytes != 0 {
        var size: UInt64 = 0
        var isGzip = false
        while true {
          let n = try records.read(room)
          if n == 0 { break }
          if size == 0 { isGzip = n > 2 && room[0] == 0x1f && room[1] == 0x8b }
          hash.update(UnsafeRawBufferPointer(rebasing: room[..<n]))
          progress.add(bytes: UInt64(n))
          size += UInt64(n)
        }
        let id = hash.finish()
        if size > 0 {
          content = (id, size)
          contents.append(Content(id: id, sizeBytes: size, offset: offset, isGzip: isGzip))
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

/// A source whose bytes are hashed on a thread of their own.
private final class HashedSource {
  private let source: ByteSource
  private let side = BackgroundHasher()
  /// In turn: one is read from while others are hashed.
  private let windows = (0..<BufferPipeline.rangeCount).map { _ in
    UnsafeMutableRawBufferPointer.allocate(byteCount: 512 << 10, alignment: 4096)
  }
  private var current = 0
  private var held: Range<Int> = 0..<0
  private var isAtEnd = false
  private(set) var countBytes: UInt64 = 0

  init(_ source: @escaping ByteSource) { self.source = source }

  deinit {
    side.wait()
    for window in windows { window.deallocate() }
  }

  func read(_ target: UnsafeMutableRawBufferPointer) throws -> Int {
    if held.isEmpty { try refill() }
    let n = min(held.count, target.count)
    if n == 0 { return 0 }
    target.copyMemory(
      from: UnsafeRawBufferPointer(
        rebasing: windows[current][held.lowerBound..<held.lowerBound + n]))
    held = held.lowerBound + n..<held.upperBound
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
    held = 0..<n
    countBytes += UInt64(n)
    side.begin(UnsafeRawBufferPointer(rebasing: window[..<n]))
  }

  func finish() -> Digest { side.finish() }
}
