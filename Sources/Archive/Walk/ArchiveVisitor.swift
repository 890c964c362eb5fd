// The interface of a walk over an archive.

/// A member during a walk.
public struct WalkedMember: Sendable {
  public let path: [UInt8]
  public let isFile: Bool
  public let sizeBytes: UInt64
  /// The number in the archive, over all segments.
  public let number: Int
  /// The inode within its segment; nil if it has no other name.
  public internal(set) var inode: [UInt8]?
  /// The target of a symbolic link, or of a hard link of tar.
  public internal(set) var linkTarget: [UInt8]?
  public internal(set) var isHardLink = false
}

/// The decision on a member.
public enum MemberAction: Sendable, Equatable {
  case kept
  case leftOut
  case replaced([UInt8])
}

/// Decides on members.
public protocol ArchiveVisitor: AnyObject {
  /// Returns whether `visit` needs the content, which is then held in memory.
  func wantsContent(_ member: WalkedMember) -> Bool
  /// Decides on a member.
  /// - Parameter content: nil if `wantsContent` returned false.
  func visit(_ member: WalkedMember, _ content: [UInt8]?) throws -> MemberAction
  /// Examines content that is not held in memory, from its beginning. Unread content is skipped.
  func look(_ member: WalkedMember, _ read: @escaping ByteSource) throws
}

/// The compression formats of streams.
public enum StreamFormat: Sendable {
  case gzip, xz, zstd
  /// Formats that are read, but never written.
  case bzip2, lzma

  /// Recognises a format by the first bytes; nil for others.
  public static func of(_ head: ArraySlice<UInt8>) -> StreamFormat? {
    if head.starts(with: [0x1f, 0x8b]) { return .gzip }
    if head.starts(with: [0xfd, 0x37, 0x7a, 0x58, 0x5a, 0]) { return .xz }
    if head.starts(with: [0x28, 0xb5, 0x2f, 0xfd]) { return .zstd }
    if head.count >= 4, head[head.startIndex] & 0xf0 == 0x50,
      head.dropFirst().starts(with: [0x2a, 0x4d, 0x18])
    {
      return .zstd
    }
    if head.starts(with: "BZh".utf8) { return .bzip2 }
    if head.starts(with: [0x5d, 0, 0]) { return .lzma }
    return nil
  }
}

/// Compresses the bytes that `write` passes to it, and forwards them.
public typealias StreamCompressor = (
  _ form: StreamFormat, _ write: (@escaping ByteSink) throws -> Void, _ sink: @escaping ByteSink
) throws -> Void
