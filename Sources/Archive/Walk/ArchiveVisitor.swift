// What a walk over an archive shows, and to whom.

import Codec

/// A member on its walk.
public struct WalkedMember: Sendable {
  public let path: [UInt8]
  public let isFile: Bool
  public let sizeBytes: UInt64
  /// Its number in the archive, over all segments.
  public let number: Int
  /// Names one inode within its segment; nil where it has no other name.
  public internal(set) var inode: [UInt8]?
  /// What a hard link of tar leads to, or a symbolic link.
  public internal(set) var linkTarget: [UInt8]?
  public internal(set) var isHardLink = false
}

/// What becomes of a member.
public enum MemberFate: Sendable, Equatable {
  case kept
  case leftOut
  case replaced([UInt8])
}

/// Decides on members.
public protocol ArchiveVisitor: AnyObject {
  /// Whether `visit` is given the content: it is held in memory then.
  func wantsContent(_ member: WalkedMember) -> Bool
  /// - Parameter content: nil where it was not wanted.
  func visit(_ member: WalkedMember, _ content: [UInt8]?) throws -> MemberFate
  /// Looks at content that is not held, from its beginning. What is not read is skipped.
  func look(_ member: WalkedMember, _ read: @escaping ByteSource) throws
}

/// The compressed forms of streams.
public enum StreamForm: Sendable {
  case gzip, xz, zstd
  /// Read, and never written.
  case bzip2, lzma

  public static func of(_ head: ArraySlice<UInt8>) -> StreamForm? {
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

/// Compresses what `write` gives it, and passes it on.
public typealias StreamCompressor = (
  _ form: StreamForm, _ write: (@escaping ByteSink) throws -> Void, _ sink: @escaping ByteSink
) throws -> Void
