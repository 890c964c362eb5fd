// Locks of a store that belong to no image: the folders that several images may share.

import Platform

extension ObjectStore {
  /// Takes the locks of folders, waiting while others hold one of them.
  /// - Parameters:
  ///   - keys: which, by a hash of what they are.
  ///   - onWait: called once, before waiting.
  /// - Throws: `busy` where another process still has one after the time.
  public func lockFolders(
    _ keys: [FileLock.Key], waiting: LockWait = .forever, onWait: () -> Void
  ) throws(StoreError) -> FileLock {
    let name = Array("folders".utf8)
    do throws(SystemError) {
      return try FileLock.acquire(
        layout.fileSystem, at: layout.locks.raw, name, keys: keys, waiting: waiting, onWait: onWait)
    } catch {
      if error.code == .busy { throw layout.busy("a folder of the image", name) }
      throw .system(error, "the locks of folders")
    }
  }
}
