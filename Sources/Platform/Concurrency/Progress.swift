// Counters that the engine adds to and a terminal reads ten times a second. Adding is one atomic
// operation: nothing waits, nothing is printed here.

import Synchronization

/// What a long operation has done so far, and what is known of the whole.
public final class Progress: Sendable {
  private let done = Atomic<UInt64>(0)
  private let total = Atomic<UInt64>(0)
  private let items = Atomic<UInt64>(0)
  private let phaseName = Mutex("")

  public init() {}

  /// What is going on, as a word or two: "scanning", "reading".
  public var phase: String { phaseName.withLock { $0 } }
  /// Bytes handled in this phase.
  public var doneBytes: UInt64 { done.load(ordering: .relaxed) }
  /// Bytes in this phase altogether; 0 while it is not known.
  public var totalBytes: UInt64 { total.load(ordering: .relaxed) }
  /// Entries handled in this phase.
  public var doneItems: UInt64 { items.load(ordering: .relaxed) }

  /// Starts a phase with its counters at zero.
  public func begin(_ phase: String, totalBytes: UInt64 = 0) {
    phaseName.withLock { $0 = phase }
    done.store(0, ordering: .relaxed)
    items.store(0, ordering: .relaxed)
    total.store(totalBytes, ordering: .relaxed)
  }

  public func add(bytes: UInt64 = 0, items count: UInt64 = 0) {
    if bytes > 0 { done.wrappingAdd(bytes, ordering: .relaxed) }
    if count > 0 { items.wrappingAdd(count, ordering: .relaxed) }
  }
}
