// An entry of an archive stream, as far as rendering cares: bytes of its own, and bytes of a blob.

import Codec

/// What stands between the header of an entry and its padding.
public enum EntryContent: Sendable {
  case none
  case bytes([UInt8])
  case blob(Digest, sizeBytes: UInt64)
  case spool(Spool)

  public var sizeBytes: UInt64 {
    switch self {
    case .none: 0
    case .bytes(let bytes): UInt64(bytes.count)
    case .blob(_, let size): size
    case .spool(let spool): spool.sizeBytes
    }
  }
}

/// An entry: its framing is known, its content may still be in the store.
public struct ArchiveEntry: Sendable {
  /// What segments are cut by: the entry's path.
  public let path: [UInt8]
  /// Headers, with whatever follows them before the content.
  public let header: [UInt8]
  public let content: EntryContent
  /// Zeros behind the content.
  public let paddingBytes: Int
  /// The content is compressed already: it goes into stored blocks.
  public let isCompressed: Bool

  public init(
    path: [UInt8], header: [UInt8], content: EntryContent = .none, paddingBytes: Int = 0,
    isCompressed: Bool = false
  ) {
    self.path = path
    self.header = header
    self.content = content
    self.paddingBytes = paddingBytes
    self.isCompressed = isCompressed
  }

  public var sizeBytes: UInt64 {
    UInt64(header.count) + content.sizeBytes + UInt64(paddingBytes)
  }
}
