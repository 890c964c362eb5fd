// Waiting for xCAT's lock on a root tree. xCAT's own commands fail at once while another process holds the
// lock, and so does imgstore unless the user asks it to wait (`--wait`).
//
// 1. The kernel has no `flock` with a time limit, so the lock is polled, at most every half second.
// 2. A command waits while it holds no lock that `pack` needs: `pack` takes xCAT's lock before the image's.

import Glibc
import Platform
import Store
import XCAT

/// How long to wait for xCAT's lock, and how to report it.
struct TreeLockWait {
  /// The time that the command may still wait.
  let limit: LockWait
  /// Receives one line before waiting begins.
  let report: (String) -> Void

  var remainingSeconds: Double { limit.maxSeconds ?? .infinity }

  private static let shortestPause = 0.05
  private static let longestPause = 0.5

  /// Repeats `body` until it does not fail because of the lock, or until the time is over.
  /// - Parameter wait: nil to try once.
  static func retrying<R>(
    _ wait: TreeLockWait?, _ resolver: PathResolver, _ tree: AbsolutePath, _ body: () throws -> R
  ) throws -> R {
    var pause = shortestPause
    var hasReported = false
    while true {
      do {
        return try body()
      } catch let error as ImageError where error.errorCode == .imageLocked {
        guard let wait, case let remaining = wait.remainingSeconds, remaining > 0 else {
          throw error
        }
        if !hasReported {
          let holder =
            ImageOperationLock.holderText(resolver, tree: tree) ?? "genimage or packimage"
          wait.report("waiting: the root tree \(tree.text) is in use by \(holder)")
          hasReported = true
        }
        let seconds = min(pause, remaining)
        usleep(UInt32(seconds * 1_000_000))
        wait.limit.spend(seconds)
        pause = min(pause * 2, longestPause)
      }
    }
  }
}

extension Workspace {
  /// The wait for xCAT's lock; nil without `--wait`.
  var treeLockWait: TreeLockWait? {
    guard case .within = lockWait else { return nil }
    return TreeLockWait(limit: lockWait, report: inform)
  }

  /// Takes the lock of an image whose tree a command reads or changes. With `--wait` the command first waits
  /// until xCAT's lock on the tree is free, and holds no lock meanwhile.
  func lockWithTree(_ image: ImageName, _ store: ObjectStore) throws -> FileLock {
    guard let wait = treeLockWait else { return try lockImage(image, store) }
    while true {
      let tree = try lockedTree(of: image, store)
      if let tree { try ImageOperationLock.expectFree(resolver, tree: tree, waiting: wait) }
      let lock = try lockImage(image, store)
      // Another process may have taken xCAT's lock while this one waited for the image.
      guard let tree, wait.remainingSeconds > 0 else { return lock }
      do {
        try ImageOperationLock.expectFree(resolver, tree: tree)
        return lock
      } catch let error as ImageError where error.errorCode == .imageLocked {
        continue
      }
    }
  }

  private func lockedTree(of image: ImageName, _ store: ObjectStore) throws -> AbsolutePath? {
    guard let definition = try tables().definition(of: image.text) else { return nil }
    let latest = try store.refs.latestReadable(of: image)?.snapshot
    return xcatTree(among: try requests(definition, latest: latest).all.map(\.path))
  }
}
