// The locks of images. A lock belongs to the history of an image and to its live files; `DirectoryLocks` are
// those of the paths that several images may share.

import Platform
import Store

/// Takes the locks of images.
struct ImageLocks: Collaborator {
  let context: Context

  /// Takes the lock that a command needs to change an image or its history.
  /// - Parameters:
  ///   - allowsUnfinished: whether the command accepts an unfinished change of the image.
  ///   - isDryRun: whether the command changes nothing. It needs no lock then if the store is read-only.
  ///   - usesTree: whether the command goes on to lock the image's directories, and so needs xCAT's lock.
  /// - Returns: nil if no lock is needed.
  /// - Throws: `StoreError` (`busy`) if another process holds the lock for too long; `ImageError`
  ///   (`changeUnfinished`) for an unfinished change.
  func lock(
    _ image: ImageName, _ store: ObjectStore, allowsUnfinished: Bool = false,
    isDryRun: Bool = false, usesTree: Bool = false
  ) throws -> FileLock? {
    Interruption.ignoreClosedPipes()
    let lock =
      isDryRun && store.layout.isReadOnly
      ? nil
      : usesTree && !isDryRun ? try lockWithTree(image, store) : try lockImage(image, store)
    if !allowsUnfinished { try ChangeJournal(context).requireNothingUnfinished(image) }
    if usesTree, !isDryRun { HostRuns(context).warn(about: image, isRecording: true) }
    return lock
  }

  /// Runs `body` with the lock of an image, as `lock` takes it.
  func withLock<R>(
    _ image: ImageName, _ store: ObjectStore, allowsUnfinished: Bool = false,
    _ body: () throws -> R
  ) throws -> R {
    let lock = try lock(image, store, allowsUnfinished: allowsUnfinished)
    return try withExtendedLifetime(lock) { try body() }
  }

  /// Takes the lock of an image, and waits for it as long as the options allow.
  /// - Throws: `StoreError` (`busy`) if another process still holds it after that time.
  func lockImage(_ image: ImageName, _ store: ObjectStore) throws -> FileLock {
    try store.lockImage(image, waiting: context.lockWait) { holders in
      let users = holders.isEmpty ? "another imgstore" : holders.joined(separator: ", ")
      context.reporter.inform("waiting: image \(image) is in use by \(users)")
    }
  }

  /// The wait for xCAT's lock; nil without `--wait`.
  var treeLockWait: TreeLockWait? {
    guard case .within = context.lockWait else { return nil }
    return TreeLockWait(limit: context.lockWait, report: context.reporter.inform)
  }

  /// Takes the lock of an image whose tree a command reads or changes. With `--wait` the command first waits
  /// until xCAT's lock on the tree is free, and holds no lock meanwhile.
  func lockWithTree(_ image: ImageName, _ store: ObjectStore) throws -> FileLock {
    guard let wait = treeLockWait else { return try lockImage(image, store) }
    while true {
      let tree = try lockedTree(of: image, store)
      if let tree { try ImageOperationLock.expectFree(context.resolver, tree: tree, waiting: wait) }
      let lock = try lockImage(image, store)
      // Another process may have taken xCAT's lock while this one waited for the image.
      guard let tree, wait.remainingSeconds > 0 else { return lock }
      do {
        try ImageOperationLock.expectFree(context.resolver, tree: tree)
        return lock
      } catch let error as ImageError where error.errorCode == .imageLocked {
        continue
      }
    }
  }

  private func lockedTree(of image: ImageName, _ store: ObjectStore) throws -> AbsolutePath? {
    guard let definition = try context.tables().definition(of: image.text) else { return nil }
    let latest = try store.refs.latestReadable(of: image)?.snapshot
    return DirectoryLocker(context).xcatTree(
      among: try ImageCapturer(context).requests(definition, latest: latest).all.map(\.path))
  }
}
