// Finds the entry at a path in a tree of the store. Symbolic links on the path are followed as in a chroot at
// the top of the tree: none leads out of it.

import Store

/// Finds entries below the top of a tree. A path with more than 40 links (the kernel's limit) is absent.
struct TreeDescent {
  let source: any ObjectSource

  /// Returns the entry at a path; nil if there is none.
  /// - Parameter followLast: whether a link in the last path component is followed, too.
  func find(
    _ component: Snapshot.Component, _ parts: [[UInt8]], followLast: Bool
  ) throws -> LocatedEntry? {
    guard
      let (path, entry) = try source.resolve(
        parts, below: component.entry, followLast: followLast, allowsMissing: false), let entry
    else { return nil }
    return LocatedEntry(
      address: ImagePath(component: component.path, path: path), entry: entry)
  }
}
