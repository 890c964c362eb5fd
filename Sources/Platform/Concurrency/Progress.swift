// Counters that the engine increments and a terminal reads ten times a second. An increment is one
// atomic operation: nothing waits, and nothing is printed here.

import Synchronization

/// The progress of a long operation, and its total where that is known.
public final class Progress: Sendable {
  private let done = Atomic<UInt64>(0)
  private let total = Atomic<UInt64>(0)
  private let items = Atomic<UInt64>(0)
  private let phaseName = Mutex("")

  /// Creates counters at zero.
  public init() {}

  /// The current phase, as a word or two: "scanning", "reading".
  public var phase: String { phaseName.withLock { $0 } }
  /// The number of bytes processed in this phase.
  public var doneBytes: UInt64 { done.load(ordering: .relaxed) }
  /// The total number of bytes in this phase; 0 while it is not known.
  public var totalBytes: UInt64 { total.load(ordering: .relaxed) }
  /// The number of entries processed in this phase.
  public var doneItems: UInt64 { items.load(ordering: .relaxed) }

  /// Starts a phase with its counters at zero.
  public func begin(_ phase: String, totalBytes: UInt64 = 0) {
    phaseName.withLock { $0 = phase }
    done.store(0, ordering: .relaxed)
    items.store(0, ordering: .relaxed)
    total.store(totalBytes, ordering: .relaxed)
  }

  /// Adds to the counters of this phase.
  public func add(bytes: UInt64 = 0, items count: UInt64 = 0) {
    if bytes > 0 { done.wrappingAdd(bytes, ordering: .relaxed) }
    if count > 0 { items.wrappingAdd(count, ordering: .relaxed) }
  }
}
