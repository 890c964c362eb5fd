// The files in locks/, for every kind of store and whatever somebody has put in their place.
//
// 1. A lock file carries no meaning but its lock: a folder, a link or a socket under its name is moved
//    to quarantine/, and a new file is made. Nobody can hold a lock on what nobody can open.
// 2. Where the store cannot be written (a read-only file system, a reader without rights), a shared
//    lock is taken on a read-only descriptor if the file can be opened, and is left out otherwise:
//    whoever collects garbage must be able to write.

import Platform

extension Layout {
  /// Takes a lock in locks/.
  /// - Returns: nil where the store is read-only and the lock cannot be had.
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
      try replaceOddLock(name, error)
      return try FileLock.acquire(
        fileSystem, at: locks.raw, name, exclusive: exclusive, waiting: waiting, onWait: onWait)
    }
  }

  /// Takes a lock in locks/ exclusively if nobody has it; nil where somebody does.
  func lockIfFree(_ name: [UInt8]) throws(SystemError) -> FileLock? {
    do throws(SystemError) {
      return try FileLock.acquireIfFree(fileSystem, at: locks.raw, name, exclusive: true)
    } catch {
      try replaceOddLock(name, error)
      return try FileLock.acquireIfFree(fileSystem, at: locks.raw, name, exclusive: true)
    }
  }

  /// What a command says that another one is in the way of.
  /// - Parameter object: "image compute".
  func busy(_ object: String, _ name: [UInt8]) -> StoreError {
    let holders = FileLock.holders(fileSystem, at: locks.raw, name)
    return StoreError(
      .busy, object,
      "is in use by " + (holders.isEmpty ? "another imgstore" : holders.joined(separator: ", ")),
      advice: "Wait for it ('--wait 10m'), or look what it is doing")
  }

  private func replaceOddLock(
    _ name: [UInt8], _ error: SystemError
  ) throws(SystemError) {
    guard let stat = try? fileSystem.statIfPresent(at: locks.raw, name), stat.kind != .file else {
      throw error
    }
    try quarantine(locks, name, as: "locks-\(printable(name))")
  }

  /// Refuses a change of a store that cannot be written.
  /// - Parameter object: what would be changed: "the history of compute".
  /// The store, as messages name it.
  var name: String { "store \(printable(path))" }

  func requireWritable(_ object: @autoclosure () -> String) throws(StoreError) {
    guard isReadOnly else { return }
    throw StoreError(
      .refused, object(), "cannot be changed: the store \(printable(path)) is read-only here",
      advice: "Mount its file system writable, or run the command as the owner of the store; "
        + "commands that only read work as they are")
  }
}
