// Waiting for xCAT's lock on a root tree. xCAT's own commands fail at once while another process holds the
// lock, and so does imgstore unless the user asks it to wait (`--wait`).
//
// 1. The kernel has no `flock` with a time limit, so the lock is polled, at most every half second.
// 2. A command waits while it holds no lock that `pack` needs: `pack` takes xCAT's lock before the image's.

import Glibc
import Platform

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
