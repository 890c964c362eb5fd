// Splits an archive stream into segments.
//
// 1. Boundaries depend only on the paths and sizes of entries. No content is read to find them, and
//    the store's chunks, frames and packs do not matter.
// 2. Once a segment is long enough, a boundary after an entry depends on that entry. A change in
//    the tree moves the boundaries around it, and the following ones stay.
// 3. A large file is split at multiples of `normalBytes` from its own beginning.
// 4. A segment's key is derived from its parts: framing bytes, and ranges of blobs.

import Codec

/// A part of a segment.
public enum SegmentPart: Sendable {
  /// Framing bytes, or a content in memory.
  case bytes([UInt8])
  /// A range of a blob.
  case blob(Digest, sizeBytes: UInt64, range: Range<UInt64>)
  /// A range of a rendered file.
  case spool(Spool, range: Range<UInt64>)
}

/// A part of an archive stream that is encoded independently.
public struct Segment: Sendable {
  /// The parts in order.
  public internal(set) var parts: [SegmentPart] = []
  /// The number of plain bytes.
  public internal(set) var sizeBytes = 0
  /// Whether the segment is already compressed and is stored.
  public internal(set) var isStored = false

  /// Returns the cache key of the segment, which also covers the encoder's name.
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

/// The sizes of segments in plain bytes. The largest possible size is `maxBytes + normalBytes`.
public struct SegmentSizes: Sendable, Equatable {
  /// The size below which a segment does not end after a small entry.
  public let minBytes: Int
  /// The average size, and the size of the parts of large files.
  public let normalBytes: Int
  /// The size at which a segment ends after any entry.
  public let maxBytes: Int
  /// Whether all segments but the last have `maxBytes`, whatever they contain.
  let isFixed: Bool

  /// Creates the sizes of segments that all have one size, except for the last.
  public init(fixedBytes: Int) {
    (minBytes, normalBytes, maxBytes, isFixed) = (fixedBytes, fixedBytes, fixedBytes, true)
  }

  /// Creates sizes, which must be ascending.
  public init(minBytes: Int, normalBytes: Int, maxBytes: Int) {
    precondition(0 < minBytes && minBytes <= normalBytes && normalBytes <= maxBytes)
    self.minBytes = minBytes
    self.normalBytes = normalBytes
    self.maxBytes = maxBytes
    isFixed = false
  }
}

/// Splits a stream of entries.
public struct Segmenter {
  private let sizes: SegmentSizes
  private var open = Segment()

  /// Creates a segmenter.
  public init(_ sizes: SegmentSizes) { self.sizes = sizes }

  /// Adds an entry, and outputs the segments that it completes.
  public mutating func add(
    _ entry: ArchiveEntry, _ output: (Segment) throws -> Void
  ) rethrows {
    if sizes.isFixed { return try addFixed(entry, output) }
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

  /// Adds the end of the archive, and outputs the last segment.
  public mutating func finish(
    _ trailer: [UInt8], _ output: (Segment) throws -> Void
  ) rethrows {
    if sizes.isFixed { try addFixed(trailer, output) } else { append(trailer) }
    try cut(output)
  }

  private mutating func addFixed(
    _ entry: ArchiveEntry, _ output: (Segment) throws -> Void
  ) rethrows {
    try addFixed(entry.header, output)
    switch entry.content {
    case .none: break
    case .bytes(let bytes): try addFixed(bytes, output)
    case .blob(let blob, let size):
      try addFixed(size, output) { .blob(blob, sizeBytes: size, range: $0) }
    case .spool(let spool): try addFixed(spool.sizeBytes, output) { .spool(spool, range: $0) }
    }
    try addFixed([UInt8](repeating: 0, count: entry.paddingBytes), output)
  }

  private mutating func addFixed(
    _ bytes: [UInt8], _ output: (Segment) throws -> Void
  ) rethrows {
    try addFixed(UInt64(bytes.count), output) {
      .bytes(Array(bytes[Int($0.lowerBound)..<Int($0.upperBound)]))
    }
  }

  private mutating func addFixed(
    _ size: UInt64, _ output: (Segment) throws -> Void, _ part: (Range<UInt64>) -> SegmentPart
  ) rethrows {
    var start: UInt64 = 0
    while start < size {
      let end = min(size, start + UInt64(sizes.maxBytes - open.sizeBytes))
      open.parts.append(part(start..<end))
      open.sizeBytes += Int(end - start)
      start = end
      if open.sizeBytes == sizes.maxBytes { try cut(output) }
    }
  }

  private mutating func addRanges(
    of size: UInt64, _ isStored: Bool, _ output: (Segment) throws -> Void,
    _ part: (Range<UInt64>) -> SegmentPart
  ) rethrows {
    let step = UInt64(sizes.normalBytes)
    var start: UInt64 = 0
    while start < size {
      // The rest of a file, up to one and a half steps, stays together.
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

  /// Returns whether a segment ends after the entry. On average one entry in `normalBytes` bytes
  /// ends a segment; larger entries are more likely to.
  private func isEnd(after entry: ArchiveEntry) -> Bool {
    if open.sizeBytes < sizes.minBytes { return false }
    if open.sizeBytes >= sizes.maxBytes { return true }
    let chance = min(entry.sizeBytes, UInt64(sizes.normalBytes)) << 32 / UInt64(sizes.normalBytes)
    return UInt64(CRC32.of(entry.path)) < chance
  }
}
