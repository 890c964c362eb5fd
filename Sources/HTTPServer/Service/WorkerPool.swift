// Threads for work that may block, with a bounded queue.
//
// 1. `submit` never waits: it refuses work when the queue is full.
// 2. After `stop`, the work that was accepted still runs.
// 3. The threads have a stack for the deepest trees: handlers walk them.

import Platform

/// A fixed number of threads that run jobs in the order of their arrival.
final class WorkerPool: Sendable {
  private struct State {
    var jobs: [@Sendable () -> Void] = []
    /// The first job that no thread has taken.
    var next = 0
    var isStopped = false
    /// The number of jobs that run.
    var running = 0
    var count: Int { jobs.count - next }
  }

  private let state = Monitor(State())
  private let limit: Int
  private let threads: [ThreadHandle]

  /// Starts the threads.
  /// - Throws: `SystemError` (EAGAIN) if the system grants none.
  init(threads count: Int, limit: Int) throws(SystemError) {
    self.limit = limit
    threads = try startWorkers(max(1, count), stackBytes: treeStackBytes) { [state] in
      while let job = WorkerPool.next(state) {
        job()
        state.withLock { $0.running -= 1 }
      }
    }
  }

  private static func next(_ state: Monitor<State>) -> (@Sendable () -> Void)? {
    state.wait { state -> (@Sendable () -> Void)?? in
      if state.count == 0 { return state.isStopped ? .some(nil) : nil }
      let job = state.jobs[state.next]
      state.jobs[state.next] = {}
      state.next += 1
      state.running += 1
      if state.next > 64, state.next * 2 > state.jobs.count {
        state.jobs.removeFirst(state.next)
        state.next = 0
      }
      return .some(job)
    }
  }

  /// The number of jobs that wait.
  var queueLength: Int { state.withLock { $0.count } }

  /// Whether no job waits or runs.
  var isIdle: Bool { state.withLock { $0.count == 0 && $0.running == 0 } }

  /// Queues a job.
  /// - Returns: false if the queue is full.
  func submit(_ job: @escaping @Sendable () -> Void) -> Bool {
    state.update { state in
      guard state.count < limit, !state.isStopped else { return false }
      state.jobs.append(job)
      return true
    }
  }

  /// Ends the threads after the accepted jobs.
  /// - Parameter waits: whether to return only after their end.
  func stop(waits: Bool) {
    state.update { $0.isStopped = true }
    if waits { for thread in threads { thread.join() } }
  }
}
