// When a failed request is tried again ("Exponential Backoff And Jitter", Amazon Builders' Library).
//
// 1. Each object has a limited number of tries, with pauses of a random length below a doubling limit.
// 2. The whole client has a reserve of retries, to which each request adds a fraction: if most requests fail,
//    the number of retries stays a fraction of the number of requests.

import Glibc
import ObjectStorage
import Platform

/// The reserve of retries of a client.
final class RetryBudget: Sendable {
  private let limits: S3Settings.Limits
  private let reserve: Monitor<Double>

  init(_ limits: S3Settings.Limits) {
    self.limits = limits
    reserve = Monitor(limits.retryReserve)
  }

  /// Adds the fraction of one request.
  func addRequest() {
    reserve.withLock { $0 = min($0 + limits.retriesPerRequest, limits.retryReserve) }
  }

  /// Takes one retry. Returns false if none is left.
  func take() -> Bool {
    reserve.withLock { reserve in
      guard reserve >= 1 else { return false }
      reserve -= 1
      return true
    }
  }
}

/// A failed try.
struct FailedTry: Error {
  let error: StorageError
  let isRetryable: Bool
  /// The pause that the service asks for, in seconds.
  var pauseSeconds: Double?
  /// Whether the try got further than those before it, so that it does not count.
  var madeProgress = false

  init(_ error: StorageError, isRetryable: Bool, pauseSeconds: Double? = nil) {
    self.error = error
    self.isRetryable = isRetryable
    self.pauseSeconds = pauseSeconds
  }
}

/// Repeats requests.
struct RetryPolicy: Sendable {
  let limits: S3Settings.Limits
  let budget: RetryBudget

  init(_ limits: S3Settings.Limits) {
    self.limits = limits
    budget = RetryBudget(limits)
  }

  /// Calls `attempt` until it returns, fails for good, or has failed too often.
  /// - Parameter attempt: gets the number of tries before it.
  /// - Throws: the error of the last try, with the number of tries.
  func run<R>(
    _ attempt: (_ failedTries: Int) throws(FailedTry) -> R
  ) throws(StorageError) -> R {
    budget.addRequest()
    var (failed, total) = (0, 0)
    while true {
      do throws(FailedTry) {
        return try attempt(total)
      } catch {
        total += 1
        failed = error.madeProgress ? 1 : failed + 1
        guard error.isRetryable else { throw error.error }
        guard failed < limits.tries else { throw error.error.after(tries: total) }
        guard budget.take() else {
          throw error.error.after(tries: total, "and too many requests have failed")
        }
        pause(failed, error.pauseSeconds)
      }
    }
  }

  private func pause(_ failed: Int, _ requested: Double?) {
    let limit = min(limits.pauseSeconds * Double(1 << min(failed - 1, 16)), limits.maxPauseSeconds)
    var seconds = Double.random(in: 0...max(limit, 0))
    // The service's own wish counts, as far as it is bearable here.
    if let requested { seconds = max(seconds, min(max(requested, 0), limits.maxPauseSeconds)) }
    sleepSeconds(seconds)
  }
}

extension StorageError {
  /// Returns the error with the number of tries.
  fileprivate func after(tries: Int, _ addition: String = "") -> StorageError {
    guard tries > 1 || !addition.isEmpty else { return self }
    let words = "after \(tries) \(tries == 1 ? "try" : "tries")"
    return StorageError(
      kind, subject, "\(reason) (\(words)\(addition.isEmpty ? "" : ", \(addition)"))", hint: hint)
  }
}

/// Blocks the thread.
func sleepSeconds(_ seconds: Double) {
  guard seconds > 0 else { return }
  let bounded = min(seconds, 3600)
  var rest = timespec(
    tv_sec: Int(bounded), tv_nsec: Int((bounded - bounded.rounded(.down)) * 1e9))
  while true {
    var remaining = timespec()
    guard nanosleep(&rest, &remaining) != 0, errno == EINTR else { return }
    rest = remaining
  }
}
