// Locks of a store that belong to no image: the folders that several images may share.

import Platform

extension ObjectStore {
  /// Takes the locks of folders, waiting while others hold one of them.
  /// - Parameters:
  ///   - keys: which, by a hash of what they are.
  ///   - onWait: called once, before waiting.
  public func lockFolders(
    _ keys: [FileLock.Key], onWait: () -> Void
  ) throws(StoreError) -> FileLock {
    try explaining("the locks of folders") { () throws(SystemError) in
      try FileLock.acquire(
        layout.fileSystem, at: layout.locks.raw, Array("folders".utf8), keys: keys, onWait: onWait)
    }
  }
}
