// What a capture saw of the entries that a plan replaces: their inodes and times, which snapshots do
// not hold. A change compares them again at the moment at which it replaces or alters an entry.

import Platform
import Store

/// The live entries of one piece, as they were captured.
public protocol ObservedTree {
  /// Returns what the capture saw of an entry, or nil where it saw none.
  /// - Parameter path: as in plans, relative to the piece's parent directory.
  func stat(at path: [UInt8]) -> FileStat?
  /// Returns how many names an inode has in the piece.
  func nameCount(of stat: FileStat) -> Int
}

extension FileStat {
  /// Whether the entry is the one that was seen, and unchanged. Of a directory only inode and owner
  /// count: its names, and so its times, change while a plan runs.
  public func isUnchanged(since seen: FileStat) -> Bool {
    guard kind == seen.kind, device == seen.device, inode == seen.inode, uid == seen.uid,
      gid == seen.gid
    else { return false }
    if kind == .directory { return true }
    // Other names that come and go change the ctime of an inode, and nothing else.
    let isRenamed = links != seen.links || seen.links > 1
    return hasContent(of: seen) && (changed == seen.changed || isRenamed)
  }

  /// Whether kind, size, time, mode and owner are equal. A rename changes the ctime, and on some
  /// layered file systems the inode number.
  func hasContent(of seen: FileStat) -> Bool {
    kind == seen.kind && modified == seen.modified && mode == seen.mode && uid == seen.uid
      && gid == seen.gid && (kind != .file || size == seen.size)
  }

  /// Whether the entry is as a snapshot's entry says, as far as the kernel's attributes tell.
  func isUnchanged(since old: Entry) -> Bool {
    guard kind == old.kind else { return false }
    return kind == .directory
      || modified == old.modified && (kind != .file || size == old.sizeBytes)
  }
}
