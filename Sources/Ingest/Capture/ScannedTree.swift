// Ingest converts live trees to objects. Each stage has its own file:
//
//     Walker ──▶ ScannedTree ──▶ ContentReader ──▶ TreeBuilder ──▶ trees, times
//        ▲ StatCache (unchanged files)                 └──▶ StatCache of the next capture
//
// This file contains the entries as the walk saw them. ScannedDirectory.swift has the directories.

import Codec
import Platform
import Store

/// The state of an entry's content.
enum ScannedContent {
  /// A file that must be read.
  case unread
  /// A component that disappeared before it could be read.
  case vanished
  case file(blob: Digest)
  case directory(ScannedDirectory)
  /// A mount point, or a snapshot of a subvolume. It counts as empty.
  case excludedDirectory
  /// An entry that could not be examined or read. Possibly only its kind is known.
  case unreadable
  case symlink([UInt8])
  /// A device, fifo or socket, which has only attributes.
  case node

  /// Whether the content need not be read.
  var isKnown: Bool { if case .unread = self { false } else { true } }
}

/// An entry as the walk saw it.
struct ScannedEntry {
  let name: [UInt8]
  var stat: FileStat
  var content: ScannedContent
  var xattrs: Digest?
  var holes: Digest?
  var flags: InodeFlags = []
  var linkGroup: UInt64 = 0
  /// Whether something is mounted on the entry, which was read from below the mount.
  var isCovered = false
  /// Whether the stat cache is valid for content and attributes.
  var isCached = false

  init(name: [UInt8], stat: FileStat, content: ScannedContent) {
    self.name = name
    self.stat = stat
    self.content = content
  }

  /// Creates an entry of which only the kind is known.
  init(unreadable name: [UInt8], kind: FileKind, device: UInt64) {
    let never = Timestamp(seconds: 0, nanoseconds: 0)
    self.init(
      name: name,
      stat: FileStat(device: device, kind: kind, mode: 0, uid: 0, gid: 0, modified: never),
      content: .unreadable)
  }
}

/// Properties of a whole tree, determined once at its root.
final class TreeProperties: Sendable {
  let boundary: MountBoundary
  /// Whether the file system is btrfs, which has subvolumes and a flag that `statx` does not report.
  let isBtrfs: Bool
  /// Whether inode flags must be read by ioctl, file by file.
  let needsFlagRequest: Bool
  /// The excluded paths; nil for none.
  let excludes: ExcludeLists?

  /// Determines the properties of a tree.
  /// - Parameters:
  ///   - root: the attributes of the tree's root.
  ///   - directory: the root, open.
  init(
    of root: FileStat, _ directory: Descriptor, excludes: ExcludeLists? = nil,
    on fileSystem: any FileSystem
  ) {
    self.excludes = excludes
    boundary = MountBoundary(of: root, directory, on: fileSystem)
    isBtrfs = fileSystem.isBtrfs(directory.raw)
    needsFlagRequest =
      isBtrfs || !root.reportsFlags && (try? fileSystem.inodeFlags(directory.raw)) != nil
  }
}
