// Runs jobs on all processors and uses their results in order.
//
// 1. `use` receives the results in the order of the jobs, one at a time, so the outcome does not
//    depend on the number of workers.
// 2. At most `window` jobs are running or waiting to be used, so memory is bounded.
// 3. The worker that completes the next result in order uses it, and all results that waited for
//    it.

import Platform

/// Runs all jobs on `workers` threads, and `use` on the results in order.
/// - Parameters:
///   - workers: the number of threads.
///   - window: the maximum number of jobs that are started and not yet used.
///   - next: returns the next job, or nil after the last; called by one thread at a time.
///   - makeWorker: called once on each thread; its result stays on that thread.
///   - use: receives each job with its result.
/// - Throws: the first error of any of these; no further job is started.
func runInOrder<Job: Sendable, Result: Sendable>(
  workers: Int, window: Int, next: @escaping @Sendable () -> Job?,
  makeWorker: @escaping @Sendable () throws -> (Job) throws -> Result,
  use: @escaping @Sendable (Job, Result) throws -> Void
) throws {
  let state = Monitor(PipelineState<Job, Result>())
  try runThreads(max(workers, 1)) { _ in
    do {
      let work = try makeWorker()
      while let (number, job) = takeJob(state, window: max(window, 1), next) {
        let result = try work(job)
        state.withLock { $0.finished[number] = (job, result) }
        try useFinished(state, use)
      }
    } catch {
      state.update { $0.hasFailed = true }
      throw error
    }
  }
}

private struct PipelineState<Job: Sendable, Result: Sendable>: Sendable {
  var started = 0
  var used = 0
  var isAtEnd = false
  var hasFailed = false
  var isInUse = false
  var finished: [Int: (Job, Result)] = [:]
}

private func takeJob<Job, Result>(
  _ state: Monitor<PipelineState<Job, Result>>, window: Int, _ next: () -> Job?
) -> (Int, Job)? {
  state.wait { state -> (Int, Job)?? in
    if state.hasFailed || state.isAtEnd { return .some(nil) }
    guard state.started < state.used + window else { return nil }
    guard let job = next() else {
      state.isAtEnd = true
      return .some(nil)
    }
    defer { state.started += 1 }
    return .some((state.started, job))
  }
}

private func useFinished<Job, Result>(
  _ state: Monitor<PipelineState<Job, Result>>, _ use: (Job, Result) throws -> Void
) throws {
  while true {
    let ready: (Job, Result)? = state.withLock { state in
      guard !state.isInUse, !state.hasFailed,
        let ready = state.finished.removeValue(forKey: state.used)
      else { return nil }
      state.isInUse = true
      return ready
    }
    guard let (job, result) = ready else { return }
    try use(job, result)
    state.update { state in
      state.used += 1
      state.isInUse = false
    }
  }
}
