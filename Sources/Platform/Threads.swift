// Own threads for blocking work (Swift's cooperative pool stalls when a task blocks), and the one
// primitive they share.
//
// 1. A `Monitor`'s state is touched only inside `withLock`/`wait`.
// 2. `runThreads` returns after every thread has ended; the first error any of them threw is
//    rethrown, and the others are told by `cancelled`.
// 3. The threads of `runThreads` have a stack for the deepest trees, whatever the caller's own is.

import CLinux
import Glibc
import Synchronization

/// A value behind a mutex, with a condition to wait for.
public final class Monitor<State>: @unchecked Sendable {  // `state` is guarded by `mutex`
  private let mutex: UnsafeMutablePointer<pthread_mutex_t>
  private let condition: UnsafeMutablePointer<pthread_cond_t>
  private var state: State

  public init(_ state: State) {
    self.state = state
    mutex = .allocate(capacity: 1)
    condition = .allocate(capacity: 1)
    pthread_mutex_init(mutex, nil)
    pthread_cond_init(condition, nil)
  }

  deinit {
    pthread_cond_destroy(condition)
    pthread_mutex_destroy(mutex)
    condition.deallocate()
    mutex.deallocate()
  }

  /// Runs `body` with the lock held.
  public func withLock<R, E: Error>(_ body: (inout State) throws(E) -> R) throws(E) -> R {
    pthread_mutex_lock(mutex)
    defer { pthread_mutex_unlock(mutex) }
    return try body(&state)
  }

  /// Runs `body` with the lock held, then wakes every waiting thread.
  public func update<R, E: Error>(_ body: (inout State) throws(E) -> R) throws(E) -> R {
    pthread_mutex_lock(mutex)
    defer {
      pthread_cond_broadcast(condition)
      pthread_mutex_unlock(mutex)
    }
    return try body(&state)
  }

  /// Waits until `body` returns a value, asking again after each `update`.
  public func wait<R>(_ body: (inout State) -> R?) -> R {
    pthread_mutex_lock(mutex)
    defer { pthread_mutex_unlock(mutex) }
    while true {
      if let result = body(&state) { return result }
      pthread_cond_wait(condition, mutex)
    }
  }
}

/// The processors this process may use; the number of workers of every pool that keeps them busy.
public let processorCount = Int(clinux_processors())

/// Threads for what waits for the disk as well: a file that is removed or replaced gives its blocks back,
/// and on a file system that is mounted with `discard` whoever removes it waits for the device.
public let diskThreadCount = max(processorCount, 8)

/// For work that walks trees of two thousand levels: a level takes up to 5 KB where nothing is
/// optimised. Address space only: what is not touched takes no memory.
private let treeStackBytes = 256 << 20

/// Runs `body(0) … body(count - 1)` on as many threads of their own and waits for all.
/// - Throws: the first error that a body threw.
public func runThreads(_ count: Int, _ body: @escaping @Sendable (Int) throws -> Void) throws {
  precondition(count > 0)
  let failure = Monitor<(any Error)?>(nil)
  let attempt: @Sendable (Int) -> Void = { index in
    do { try body(index) } catch { failure.update { $0 = $0 ?? error } }
  }
  let handles = (0..<max(count, 1)).map { index in
    startThread(stackBytes: treeStackBytes) { attempt(index) }
  }
  for handle in handles { handle.join() }
  if let error = failure.withLock({ $0 }) { throw error }
}

/// A running thread.
public struct ThreadHandle: @unchecked Sendable {  // the pointer is used by `join` only
  fileprivate let raw: UnsafeMutableRawPointer
  public func join() { clinux_thread_join(raw) }
}

/// Starts a thread that somebody will join.
///
/// - Parameter stackBytes: for work that recurses deeply; nil for the system's default.
public func startThread(
  stackBytes: Int? = nil, _ body: @escaping @Sendable () -> Void
) -> ThreadHandle {
  guard let raw = clinux_thread_start(runBody, retained(body), stackBytes ?? 0) else { refuse() }
  return ThreadHandle(raw: raw)
}

/// Starts a thread that nobody waits for.
public func startDetachedThread(_ body: @escaping @Sendable () -> Void) {
  if clinux_thread_detached(runBody, retained(body)) != 0 { refuse() }
}

private func retained(_ body: @escaping @Sendable () -> Void) -> UnsafeMutableRawPointer {
  Unmanaged.passRetained(ThreadBody(body)).toOpaque()
}

private func runBody(_ context: UnsafeMutableRawPointer?) {
  guard let context else { return }
  Unmanaged<ThreadBody>.fromOpaque(context).takeRetainedValue().body()
}

private func refuse() -> Never {
  fatalError("the system refuses another thread: raise the limit on processes (ulimit -u)")
}

private final class ThreadBody: Sendable {
  let body: @Sendable () -> Void
  init(_ body: @escaping @Sendable () -> Void) { self.body = body }
}
