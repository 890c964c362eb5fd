// The directory of caches that a process may write.
//
// 1. It is `cache` of the store. A server with a store that it cannot write has a directory of its own.
// 2. Everything in it may be deleted at any time, and a cache that cannot be used costs time only.
// 3. Caches that decide what a snapshot has (stat caches) are only in the store.

import Platform
import Render
import Store

extension Context {
  /// Returns the path of the directory of caches; nil if none can be written.
  func cachePath(of store: ObjectStore) -> [UInt8]? {
    guard store.layout.isReadOnly else { return storePath + Array("/cache".utf8) }
    return options.fallbackCache.map { Array(absolute($0).utf8) }
  }

  /// Opens a cache of encoded segments or objects.
  func segmentCache(
    _ store: ObjectStore, limitBytes: UInt64 = SegmentCache.defaultLimitBytes,
    named name: String = SegmentCache.segmentsName
  ) -> SegmentCache {
    SegmentCache(store.layout, limitBytes: limitBytes, named: name, in: fallbackCache(of: store))
  }

  /// Opens the directory of caches for a store that cannot be written.
  /// - Returns: nil if the store can be written, or if other users could write to the directory.
  private func fallbackCache(of store: ObjectStore) -> Descriptor? {
    guard store.layout.isReadOnly, let path = cachePath(of: store) else { return nil }
    try? fileSystem.makePrivatePath(path)
    guard
      let directory = try? fileSystem.openDirectory(
        at: fileSystem.workingDirectory, path, followLink: true),
      let stat = try? fileSystem.stat(directory.raw), isTrustedOwner(stat.uid),
      stat.mode & 0o022 == 0
    else { return nil }
    return directory
  }
}
