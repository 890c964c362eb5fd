// Runs jobs on several threads and uses their results in order.
//
// 1. The results are used in the order of the jobs, on the caller's thread, so the outcome does not depend
//    on the number of threads.
// 2. At most `window` jobs are running or waiting to be used, so memory is bounded.
// 3. After the first error no further job is started.

/// Runs the jobs that `produce` submits on up to `threads` threads, and `use` on the results in order.
/// - Parameters:
///   - window: the maximum number of jobs that are submitted and not yet used.
///   - makeWorker: called once on each thread; its result stays on that thread.
///   - use: receives each job with its result, on this thread.
///   - produce: submits the jobs, on this thread.
/// - Throws: the first error of any of these; `SystemError` (EAGAIN) if the system refuses all threads.
public func runInOrder<Job: Sendable, Result>(
  threads: Int, window: Int,
  makeWorker: @escaping @Sendable () throws -> (Job) throws -> Result,
  use: (Job, Result) throws -> Void,
  produce: (_ submit: @escaping (Job) throws -> Void) throws -> Void
) throws {
  let queue = OrderedQueue<Job, Result>()
  let handles = try startWorkers(threads) { queue.work(makeWorker) }
  defer {
    queue.close()
    for handle in handles { handle.join() }
  }
  try withoutActuallyEscaping(use) { use in
    var pendingCount = 0
    func useNext() throws {
      let (job, result) = try queue.dequeue()
      pendingCount -= 1
      try use(job, result)
    }
    try produce { job in
      queue.enqueue(job)
      pendingCount += 1
      while pendingCount >= window { try useNext() }
    }
    while pendingCount > 0 { try useNext() }
  }
}

/// The pending jobs. One thread enqueues and dequeues them in order; several run them.
private final class OrderedQueue<Job: Sendable, Outcome>: Sendable {
  private struct State {
    var waiting: [(number: Int, job: Job)] = []
    var done: [Int: (Job, Outcome)] = [:]
    var enqueuedCount = 0
    var dequeuedCount = 0
    var failure: (any Error)?
    var isClosed = false
  }
  private let state = Monitor(State())

  func enqueue(_ job: Job) {
    state.update { state in
      state.waiting.append((state.enqueuedCount, job))
      state.enqueuedCount += 1
    }
  }

  /// Waits for the next result in order.
  func dequeue() throws -> (Job, Outcome) {
    let next = state.wait { state -> Result<(Job, Outcome), any Error>? in
      if let failure = state.failure { return .failure(failure) }
      guard let next = state.done.removeValue(forKey: state.dequeuedCount) else { return nil }
      state.dequeuedCount += 1
      return .success(next)
    }
    return try next.get()
  }

  /// Tells the threads to end.
  func close() { state.update { $0.isClosed = true } }

  /// Runs jobs until the queue is closed.
  func work(_ makeWorker: () throws -> (Job) throws -> Outcome) {
    do {
      let run = try makeWorker()
      while let (number, job) = next() {
        let outcome = try run(job)
        state.update { $0.done[number] = (job, outcome) }
      }
    } catch {
      state.update { $0.failure = $0.failure ?? error }
    }
  }

  private func next() -> (Int, Job)? {
    state.wait { state -> (Int, Job)?? in
      if state.isClosed || state.failure != nil { return .some(nil) }
      if state.waiting.isEmpty { return nil }
      return .some(state.waiting.removeFirst())
    }
  }
}
