// Threads for blocking work (Swift's cooperative pool stalls when a task blocks), and the one
// primitive that they share.
//
// 1. A `Monitor`'s state is accessed only inside `withLock`, `update` and `wait`.
// 2. `runThreads` returns after every thread has ended, and rethrows the first error that any of them
//    threw. No body runs before all threads have started, so workers may wait for each other.
// 3. A thread that the system refuses is an error (EAGAIN), never a trap.
// 4. The threads of `runThreads` have a stack for the deepest trees, whatever the size of the caller's.

import CLinux
import Glibc
import Synchronization

/// A value behind a mutex, with a condition to wait for.
///
/// The value must not be a closure: each reading through the generic `withLock` puts another wrapper around
/// it, until a call overflows the stack. Put a closure into an object (`scripts/size-rules.py` looks for
/// this).
public final class Monitor<State>: @unchecked Sendable {  // `state` is guarded by `mutex`
  private let mutex: UnsafeMutablePointer<pthread_mutex_t>
  private let condition: UnsafeMutablePointer<pthread_cond_t>
  private var state: State

  /// Creates a monitor with an initial state.
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

/// The number of processors that this process may use. Every CPU-bound pool has so many workers.
public let processorCount = Int(clinux_processors())

/// The number of threads for work that also waits for the disk. A removed or replaced file frees its
/// blocks, and on a file system mounted with `discard` the removal waits for the device.
public let diskThreadCount = max(processorCount, 8)

/// The stack for code that walks trees of two thousand levels. A level takes up to 5 KB in debug code.
/// The stack reserves address space only: untouched pages take no memory.
public let treeStackBytes = 256 << 20
/// The smallest stack that a deep tree fits in with release code, for limited address space.
private let smallTreeStackBytes = 24 << 20

/// The largest stack that leaves most of a limited address space (`ulimit -v`) to the heap.
private let maxStackBytes: Int = {
  var limit = rlimit()
  guard getrlimit(__rlimit_resource_t(RLIMIT_AS.rawValue), &limit) == 0,
    limit.rlim_cur != .max  // RLIM_INFINITY
  else { return .max }
  return max(smallTreeStackBytes, Int(clamping: limit.rlim_cur / 16))
}()

/// Runs `body(0) … body(count - 1)` on as many separate threads and waits for all.
/// - Throws: the first error that a body threw; `SystemError` (EAGAIN), before any body has run, if
///   the system refuses a thread.
public func runThreads(_ count: Int, _ body: @escaping @Sendable (Int) throws -> Void) throws {
  precondition(count > 0)
  let failure = Monitor<(any Error)?>(nil)
  /// Whether the bodies may run; nil until all threads have started, or one was refused.
  let mayRun = Monitor<Bool?>(nil)
  var handles: [ThreadHandle] = []
  var refusal: SystemError?
  for index in 0..<count {
    do throws(SystemError) {
      let handle = try startThread(stackBytes: treeStackBytes) {
        guard mayRun.wait({ $0 }) else { return }
        do { try body(index) } catch { failure.update { $0 = $0 ?? error } }
      }
      handles.append(handle)
    } catch {
      refusal = error
      break
    }
  }
  mayRun.update { $0 = refusal == nil }
  for handle in handles { handle.join() }
  if let refusal { throw refusal }
  if let error = failure.withLock({ $0 }) { throw error }
}

/// Starts up to `count` threads that take work from one queue.
/// - Parameter stackBytes: see `startThread`.
/// - Returns: the threads that the system granted; at least one.
/// - Throws: `SystemError` (EAGAIN) if it granted none.
public func startWorkers(
  _ count: Int, stackBytes: Int? = nil, _ body: @escaping @Sendable () -> Void
) throws(SystemError) -> [ThreadHandle] {
  var handles = [try startThread(stackBytes: stackBytes, body)]
  while handles.count < count, let handle = try? startThread(stackBytes: stackBytes, body) {
    handles.append(handle)
  }
  return handles
}

/// A running thread.
public struct ThreadHandle: @unchecked Sendable {  // the pointer is used by `join` only
  fileprivate let raw: UnsafeMutableRawPointer
  /// Waits until the thread has ended.
  public func join() { clinux_thread_join(raw) }
}

/// Starts a thread that the caller must join.
///
/// - Parameter stackBytes: for work that recurses deeply; nil for the system's default. If the system
///   refuses that size, the smallest stack that holds a deep tree is tried.
/// - Throws: `SystemError` (EAGAIN) if the system refuses the thread.
public func startThread(
  stackBytes: Int? = nil, _ body: @escaping @Sendable () -> Void
) throws(SystemError) -> ThreadHandle {
  let context = Unmanaged.passRetained(ThreadBody(body))
  let requested = min(stackBytes ?? 0, maxStackBytes)
  for size in requested > smallTreeStackBytes ? [requested, smallTreeStackBytes] : [requested] {
    if let raw = clinux_thread_start(runBody, context.toOpaque(), size) {
      return ThreadHandle(raw: raw)
    }
  }
  context.release()
  throw threadRefused
}

/// Starts a thread that nobody joins.
/// - Throws: `SystemError` (EAGAIN) if the system refuses the thread.
public func startDetachedThread(_ body: @escaping @Sendable () -> Void) throws(SystemError) {
  let context = Unmanaged.passRetained(ThreadBody(body))
  guard clinux_thread_detached(runBody, context.toOpaque()) == 0 else {
    context.release()
    throw threadRefused
  }
}

private let threadRefused = SystemError(code: .tryAgain, "start a thread", [])

private func runBody(_ context: UnsafeMutableRawPointer?) {
  guard let context else { return }
  Unmanaged<ThreadBody>.fromOpaque(context).takeRetainedValue().body()
}

private final class ThreadBody: Sendable {
  let body: @Sendable () -> Void
  init(_ body: @escaping @Sendable () -> Void) { self.body = body }
}
