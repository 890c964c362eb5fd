// Locks of a store on the directories that several images may share.

import Platform

extension ObjectStore {
  /// Locks directories, and waits while other processes hold one of the locks.
  /// - Parameters:
  ///   - keys: one key a directory, a hash of its identity.
  ///   - waiting: how long to wait.
  ///   - onWait: called once before waiting.
  /// - Throws: `busy` if another process still holds a lock after the wait; `system`.
  public func lockDirectories(
    _ keys: [FileLock.Key], waiting: LockWait = .forever, onWait: () -> Void
  ) throws(StoreError) -> FileLock {
    let name = Array("folders".utf8)
    do throws(SystemError) {
      return try FileLock.acquire(
        layout.fileSystem, at: layout.locks.raw, name, keys: keys, waiting: waiting, onWait: onWait)
    } catch {
      if error.code == .busy { throw layout.busy("a directory of the image", name, .imageLocked) }
      throw .system(error, "the locks of directories")
    }
  }
}
