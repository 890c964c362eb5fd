// Locks of a store that belong to no image: the folders that several images may share.

import Platform

extension ObjectStore {
  /// Takes a lock of a name of its own, waiting while others hold it.
  /// - Parameters:
  ///   - exclusive: nobody else may hold it; otherwise others may hold it as well, but not exclusively.
  ///   - onWait: called once, before waiting.
  public func lock(
    named name: String, exclusive: Bool, onWait: () -> Void
  ) throws(StoreError) -> FileLock {
    try explaining("the lock \(name)") { () throws(SystemError) in
      try FileLock.acquire(
        layout.fileSystem, at: layout.locks.raw, Array(name.utf8), exclusive: exclusive,
        onWait: onWait)
    }
  }
}
