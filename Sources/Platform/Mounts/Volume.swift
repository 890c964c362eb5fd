// A file system as its whole: what it allows, and how finely it stores things.

/// What the kernel says of the file system that an open file lies on.
public struct Volume: Sendable, Equatable {
  /// Nothing on it can be changed: mounted read-only, or set so after an error of the disk.
  public var isReadOnly: Bool
  /// The granularity of allocation, and so of holes; 0 where the file system does not say.
  public var blockBytes: UInt64
  /// The file system says how many blocks it has: some do not know.
  public var isSized: Bool
  /// The longest name that an entry may have.
  public var maxNameBytes: Int
  /// `f_type` of statfs(2).
  public var type: UInt64

  public init(
    isReadOnly: Bool, blockBytes: UInt64, isSized: Bool, maxNameBytes: Int, type: UInt64
  ) {
    self.isSized = isSized
    self.isReadOnly = isReadOnly
    self.blockBytes = blockBytes
    self.maxNameBytes = maxNameBytes
    self.type = type
  }

  /// The root directory of a btrfs subvolume has this inode number.
  public static let btrfsSubvolumeInode: UInt64 = 256
  public var isBtrfs: Bool { type == 0x9123_683E }
}
