// The kernel's attributes of the entries that a plan replaces: inodes and times, which snapshots do
// not contain. A change compares them again when it replaces or alters an entry.

import Platform
import Store

/// The live entries of one component, as they were captured.
public protocol ObservedTree {
  /// Returns an entry's attributes at the time of the capture, or nil if it was not captured.
  /// - Throws: `StoreError` if the record of the capture cannot be read.
  func stat(at path: RelativePath) throws -> FileStat?
  /// Returns the number of names that an inode has in the component.
  /// - Throws: `StoreError` if the record of the capture cannot be read.
  func nameCount(of stat: FileStat) throws -> Int
}

extension FileStat {
  /// Returns whether the entry is the same and unchanged. For a directory only inode and owner
  /// count: its names, and so its times, change while a plan runs.
  public func isUnchanged(since seen: FileStat) -> Bool {
    guard kind == seen.kind, device == seen.device, inode == seen.inode, uid == seen.uid,
      gid == seen.gid
    else { return false }
    if kind == .directory { return true }
    // Adding and removing other names changes an inode's ctime and nothing else.
    let isRenamed = links != seen.links || seen.links > 1
    return hasContent(of: seen) && (changed == seen.changed || isRenamed)
  }

  /// Returns whether kind, size, time, mode and owner are equal. A rename changes the ctime and, on
  /// some layered file systems, the inode number.
  func hasContent(of seen: FileStat) -> Bool {
    kind == seen.kind && modified == seen.modified && mode == seen.mode && uid == seen.uid
      && gid == seen.gid && (kind != .file || size == seen.size)
  }

  /// Returns whether the kernel's attributes equal those of a snapshot's entry.
  func isUnchanged(since old: Entry) -> Bool {
    guard kind == old.kind else { return false }
    return kind == .directory
      || modified == old.modified && (kind != .file || size == old.sizeBytes)
  }
}
