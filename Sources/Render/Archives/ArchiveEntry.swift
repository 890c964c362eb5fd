// An entry of an archive stream, as the renderer sees it: framing bytes, and a content that may be a blob.

import Codec

/// The bytes between the header of an entry and its padding.
public enum ArchiveEntryContent: Sendable {
  /// No content.
  case none
  /// Bytes in memory.
  case bytes([UInt8])
  /// A blob of the store.
  case blob(Digest, sizeBytes: UInt64)
  /// A rendered file.
  case spool(Spool)

  /// The size of the content in bytes.
  public var sizeBytes: UInt64 {
    switch self {
    case .none: 0
    case .bytes(let bytes): UInt64(bytes.count)
    case .blob(_, let size): size
    case .spool(let spool): spool.sizeBytes
    }
  }
}

/// An entry with its framing. Its content may still be in the store.
public struct ArchiveEntry: Sendable {
  /// The entry's path, which determines segment boundaries.
  public let path: [UInt8]
  /// The headers and all other bytes before the content.
  public let header: [UInt8]
  /// The content.
  public let content: ArchiveEntryContent
  /// The number of zeros after the content.
  public let paddingBytes: Int
  /// Whether the content is already compressed and goes into stored blocks.
  public let isCompressed: Bool

  /// Creates an entry.
  public init(
    path: [UInt8], header: [UInt8], content: ArchiveEntryContent = .none, paddingBytes: Int = 0,
    isCompressed: Bool = false
  ) {
    self.path = path
    self.header = header
    self.content = content
    self.paddingBytes = paddingBytes
    self.isCompressed = isCompressed
  }

  /// The size of the entry with framing and padding, in bytes.
  public var sizeBytes: UInt64 {
    UInt64(header.count) + content.sizeBytes + UInt64(paddingBytes)
  }
}
