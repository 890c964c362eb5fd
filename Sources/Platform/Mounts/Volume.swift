// The properties of a whole file system: its limits, and the granularity of its allocation.

/// The properties of the file system that an open file is on.
public struct Volume: Sendable, Equatable {
  /// Whether nothing on it can be changed: it is mounted read-only, or became read-only after a disk error.
  public var isReadOnly: Bool
  /// The granularity of allocation, and so of holes; 0 if the file system does not report it.
  public var blockBytes: UInt64
  /// Whether the file system reports how many blocks it has.
  public var isSized: Bool
  /// The longest name that an entry may have.
  public var maxNameBytes: Int
  /// `f_type` of statfs(2).
  public var type: UInt64

  /// Creates a description.
  public init(
    isReadOnly: Bool, blockBytes: UInt64, isSized: Bool, maxNameBytes: Int, type: UInt64
  ) {
    self.isSized = isSized
    self.isReadOnly = isReadOnly
    self.blockBytes = blockBytes
    self.maxNameBytes = maxNameBytes
    self.type = type
  }

  /// The inode number of the root directory of a btrfs subvolume.
  public static let btrfsSubvolumeInode: UInt64 = 256
  /// The type of btrfs (BTRFS_SUPER_MAGIC of linux/magic.h).
  static let btrfsType: UInt64 = 0x9123_683E
  /// Whether the file system is btrfs.
  public var isBtrfs: Bool { type == Volume.btrfsType }
}
