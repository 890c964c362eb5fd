// Where an archive stream is cut into segments.
//
// 1. Cuts follow from the entries' paths and sizes alone: no content is read to find them, and the
//    store's chunks, frames and packs have no say.
// 2. A cut after an entry depends on that entry, once a segment is long enough: a change in the
//    tree moves the cuts around it, and the next cut is an old one again.
// 3. A large file is cut at multiples of `normalBytes` from its own beginning.
// 4. A segment's key follows from what it is made of: framing bytes, and ranges of blobs.

import Codec

/// A piece of a segment.
public enum SegmentPart: Sendable {
  case bytes([UInt8])
  case blob(Digest, sizeBytes: UInt64, range: Range<UInt64>)
  case spool(Spool, range: Range<UInt64>)
}

/// A stretch of an archive stream that is encoded by itself.
public struct Segment: Sendable {
  public internal(set) var parts: [SegmentPart] = []
  /// Plain bytes.
  public internal(set) var sizeBytes = 0
  /// It is compressed already, and is stored.
  public internal(set) var isStored = false

  /// The key's first half; the other is the encoder's name.
  public func key(encoder: String) -> Digest {
    var hash = SHA256()
    hash.update(Array("imgstore segment 1\n\(encoder)\n".utf8))
    for part in parts {
      var fields = ByteWriter()
      switch part {
      case .bytes(let bytes):
        fields.byte(1)
        fields.varint(bytes.count)
        hash.update(fields.bytes)
        hash.update(bytes)
      case .blob(let blob, let size, let range):
        Segment.describe(blob, size, range, &fields)
        hash.update(fields.bytes)
      case .spool(let spool, let range):
        Segment.describe(spool.digest, spool.sizeBytes, range, &fields)
        hash.update(fields.bytes)
      }
    }
    return hash.finish()
  }

  private static func describe(
    _ content: Digest, _ size: UInt64, _ range: Range<UInt64>, _ fields: inout ByteWriter
  ) {
    fields.byte(2)
    fields.digest(content)
    fields.varint(size)
    fields.varint(range.lowerBound)
    fields.varint(range.upperBound)
  }
}

/// How long segments are, in plain bytes. The largest is `maxBytes + normalBytes`.
public struct SegmentSizes: Sendable, Equatable {
  public let minBytes: Int
  public let normalBytes: Int
  public let maxBytes: Int

  public init(minBytes: Int, normalBytes: Int, maxBytes: Int) {
    precondition(0 < minBytes && minBytes <= normalBytes && normalBytes <= maxBytes)
    self.minBytes = minBytes
    self.normalBytes = normalBytes
    self.maxBytes = maxBytes
  }
}

/// Cuts a stream of entries.
public struct Segmenter {
  private let sizes: SegmentSizes
  private var open = Segment()

  public init(_ sizes: SegmentSizes) { self.sizes = sizes }

  /// Takes an entry, and hands out the segments that it ends.
  public mutating func add(
    _ entry: ArchiveEntry, _ output: (Segment) throws -> Void
  ) rethrows {
    let isLarge = entry.content.sizeBytes >= UInt64(sizes.normalBytes)
    if isLarge, open.sizeBytes >= sizes.minBytes { try cut(output) }
    append(entry.header)
    if entry.isCompressed { try cut(output) }
    switch entry.content {
    case .none: break
    case .bytes(let bytes): append(bytes)
    case .blob(let blob, let size):
      try addRanges(of: size, entry.isCompressed, output) {
        .blob(blob, sizeBytes: size, range: $0)
      }
    case .spool(let spool):
      try addRanges(of: spool.sizeBytes, entry.isCompressed, output) { .spool(spool, range: $0) }
    }
    if entry.isCompressed, open.isStored { try cut(output) }
    if entry.paddingBytes > 0 { append([UInt8](repeating: 0, count: entry.paddingBytes)) }
    if isEnd(after: entry) { try cut(output) }
  }

  /// Framing that belongs to no entry: the archive's end.
  public mutating func finish(
    _ trailer: [UInt8], _ output: (Segment) throws -> Void
  ) rethrows {
    append(trailer)
    try cut(output)
  }

  private mutating func addRanges(
    of size: UInt64, _ isStored: Bool, _ output: (Segment) throws -> Void,
    _ part: (Range<UInt64>) -> SegmentPart
  ) rethrows {
    let step = UInt64(sizes.normalBytes)
    var start: UInt64 = 0
    while start < size {
      // What is left behind the last cut, up to half a step more, stays together.
      let rest = size - start
      let end = rest < step + step / 2 ? size : start + step
      open.parts.append(part(start..<end))
      open.sizeBytes += Int(end - start)
      open.isStored = isStored
      start = end
      if start < size { try cut(output) }
    }
  }

  private mutating func append(_ bytes: [UInt8]) {
    if bytes.isEmpty { return }
    open.sizeBytes += bytes.count
    if case .bytes(let before) = open.parts.last {
      open.parts[open.parts.count - 1] = .bytes(before + bytes)
    } else {
      open.parts.append(.bytes(bytes))
    }
  }

  private mutating func cut(_ output: (Segment) throws -> Void) rethrows {
    if open.sizeBytes == 0 { return }
    let segment = open
    open = Segment()
    try output(segment)
  }

  /// One entry in `normalBytes` of entries ends a segment: the larger, the likelier.
  private func isEnd(after entry: ArchiveEntry) -> Bool {
    if open.sizeBytes < sizes.minBytes { return false }
    if open.sizeBytes >= sizes.maxBytes { return true }
    let chance = min(entry.sizeBytes, UInt64(sizes.normalBytes)) << 32 / UInt64(sizes.normalBytes)
    return UInt64(CRC32.of(entry.path)) < chance
  }
}
