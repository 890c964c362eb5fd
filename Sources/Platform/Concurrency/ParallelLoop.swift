// Loops whose iterations are shared among threads.
//
// 1. Each index is taken once, in order.
// 2. After the first error no further index is taken.

import Synchronization

/// The indices of a loop, for threads that take one after the other.
public final class SharedIndices: Sendable {
  private let next: Atomic<Int>
  private let end: Int

  /// Creates the indices of a range.
  public init(_ range: Range<Int>) {
    next = Atomic(range.lowerBound)
    end = range.upperBound
  }

  /// Takes the next index; nil if none is left.
  public func take() -> Int? {
    let index = next.wrappingAdd(1, ordering: .relaxed).oldValue
    return index < end ? index : nil
  }

  /// Takes all indices that are left.
  public func stop() { next.store(end, ordering: .relaxed) }
}

/// Calls `body` with each index below `count`, on up to `threads` threads, and waits for all.
/// - Parameter makeWorker: called once on each thread; its result stays on that thread.
/// - Throws: the first error of `makeWorker` or `body`; `SystemError` (EAGAIN) if the system refuses a
///   thread.
public func parallelForEach<Worker>(
  _ count: Int, threads: Int = processorCount,
  makeWorker: @escaping @Sendable () throws -> Worker,
  _ body: @escaping @Sendable (Worker, Int) throws -> Void
) throws {
  let indices = SharedIndices(0..<count)
  try runThreads(max(1, min(threads, count))) { _ in
    do {
      let worker = try makeWorker()
      while let index = indices.take() { try body(worker, index) }
    } catch {
      indices.stop()
      throw error
    }
  }
}

/// Calls `body` with each index below `count`, on all processors, and waits for all.
/// - Throws: the first error of `body`; `SystemError` (EAGAIN) if the system refuses a thread.
public func parallelForEach(_ count: Int, _ body: @escaping @Sendable (Int) throws -> Void) throws {
  try parallelForEach(count, makeWorker: {}) { try body($1) }
}
