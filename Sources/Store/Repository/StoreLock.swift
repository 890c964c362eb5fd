// The files in locks/, in every kind of store and whatever other files have their names.
//
// 1. Only the lock on a lock file has a meaning. A directory, link or socket with its name is moved to
//    quarantine/, and a new file is created. Nobody can hold a lock on a file that cannot be opened.
// 2. In a store that cannot be written (a read-only file system, a reader without rights), a shared lock is
//    taken on a read-only descriptor. If the file cannot be opened, the lock is omitted: gc needs write
//    access, so it cannot run there.

import Platform

extension Layout {
  /// Takes a lock in locks/.
  /// - Parameters:
  ///   - waiting: how long to wait for other holders.
  ///   - onWait: called once before waiting.
  /// - Returns: nil if the store is read-only and its lock file cannot be opened.
  func lock(
    _ name: [UInt8], exclusive: Bool, waiting: LockWait = .forever, onWait: () -> Void = {}
  ) throws(SystemError) -> FileLock? {
    if isReadOnly {
      guard !exclusive else { throw SystemError(code: .readOnly, "lock", name) }
      return try? FileLock.acquireShared(fileSystem, at: locks.raw, name)
    }
    do throws(SystemError) {
      return try FileLock.acquire(
        fileSystem, at: locks.raw, name, exclusive: exclusive, waiting: waiting, onWait: onWait)
    } catch {
      if error.code == .busy { throw error }
      try replaceUnexpectedLock(name, error)
      return try FileLock.acquire(
        fileSystem, at: locks.raw, name, exclusive: exclusive, waiting: waiting, onWait: onWait)
    }
  }

  /// Takes an exclusive lock in locks/ without waiting; nil if another process holds one.
  func lockIfFree(_ name: [UInt8]) throws(SystemError) -> FileLock? {
    do throws(SystemError) {
      return try FileLock.acquireIfFree(fileSystem, at: locks.raw, name, exclusive: true)
    } catch {
      try replaceUnexpectedLock(name, error)
      return try FileLock.acquireIfFree(fileSystem, at: locks.raw, name, exclusive: true)
    }
  }

  /// Returns the error for an object that another command has locked.
  /// - Parameter object: the locked object, such as "image compute".
  func busy(
    _ object: String, _ name: [UInt8], _ code: ErrorCode = .storeLocked
  ) -> StoreError {
    let holders = FileLock.holders(fileSystem, at: locks.raw, name)
    return StoreError(
      .busy, object,
      "is in use by "
        + (holders.isEmpty ? "another imgstore process" : holders.joined(separator: ", ")),
      hint: "Run the command again later, or let it wait with '--wait 10m'", code: code)
  }

  /// Moves another kind of file in place of a lock file to quarantine/; rethrows `error` for a regular file.
  private func replaceUnexpectedLock(
    _ name: [UInt8], _ error: SystemError
  ) throws(SystemError) {
    guard let stat = try? fileSystem.statIfPresent(at: locks.raw, name), stat.kind != .file else {
      throw error
    }
    try quarantine(locks, name, as: "locks-\(printable(name))")
  }

  /// The store's name in messages.
  var name: String { "store \(printable(path))" }

  /// Checks that the store can be changed.
  /// - Parameter object: the object to change, such as "the history of compute".
  /// - Throws: `refused` if the store is read-only.
  public func requireWritable(_ object: @autoclosure () -> String) throws(StoreError) {
    guard isReadOnly else { return }
    throw StoreError(
      .refused, object(), "cannot be changed: the store \(printable(path)) is read-only",
      hint: "Mount its file system writable, or run the command as the owner of the store. "
        + "Commands that only read the store need no change", code: .readOnly)
  }
}
