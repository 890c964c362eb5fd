// What happens when a signal asks the process to end (HUP, INT, QUIT, TERM).
//
// 1. Outside of a change the signal has its way at once; cleanups run first, for what nobody could
//    make use of. (`defer` does not run then. What may be found incomplete is safe by the order of
//    its writes instead.)
// 2. During a change (`duringChange`) the first signal is a request: whoever carries the change out
//    asks `check` between its steps, and stops with an error, so that the journal stays and the
//    user is shown how to go on. A signal that comes a second later or more has its way at once. (Sooner
//    ones are the same request: terminals, sudo and timeout deliver one to a process and its group.)
// 3. The process ends of the signal that was requested, once its messages are out (`endIfRequested`):
//    a shell sees 128 + its number.

import CLinux
import Glibc

/// A change that stopped between two of its steps because a signal asked for it.
public struct InterruptedError: ExplainedError, Equatable {
  public let signal: Int32
  public init(signal: Int32) { self.signal = signal }

  public var object: String { "the change" }
  public var finding: String { "was interrupted by a signal (\(name))" }
  public var advice: String { "" }

  private var name: String {
    switch signal {
    case SIGHUP: "SIGHUP"
    case SIGINT: "SIGINT"
    case SIGQUIT: "SIGQUIT"
    case SIGTERM: "SIGTERM"
    default: "signal \(signal)"
    }
  }
}

/// Handles signals that ask the process to end.
public enum Interruption {
  private static let state = Monitor<State>(State())

  private struct State {
    var isWatching = false
    var nextID = 0
    var cleanups: [Int: @Sendable () -> Void] = [:]
    /// Changes under way.
    var changes = 0
    /// The signal that a change was asked to stop by, and when (`monotonicSeconds`).
    var requested: Int32?
    var requestedAt = 0.0
  }

  /// Runs `body`; where a signal ends the process meanwhile, `cleanUp` runs first.
  public static func cleaningUp<R>(
    _ cleanUp: @escaping @Sendable () -> Void, _ body: () throws -> R
  ) rethrows -> R {
    let id = addCleanUp(cleanUp)
    defer { cancelCleanUp(id) }
    return try body()
  }

  /// Has `cleanUp` run where a signal ends the process, until `cancelCleanUp`.
  /// - Returns: what `cancelCleanUp` is given.
  public static func addCleanUp(_ cleanUp: @escaping @Sendable () -> Void) -> Int {
    state.withLock { state in
      state.nextID += 1
      state.cleanups[state.nextID] = cleanUp
      watch(&state)
      return state.nextID
    }
  }

  public static func cancelCleanUp(_ id: Int) {
    state.withLock { $0.cleanups[id] = nil }
  }

  /// Runs `body`, a change that `check` can stop.
  public static func duringChange<R>(_ body: () throws -> R) rethrows -> R {
    ignoreClosedPipes()
    state.withLock { state in
      state.changes += 1
      watch(&state)
    }
    defer { state.withLock { $0.changes -= 1 } }
    return try body()
  }

  /// Stops a change that a signal asked to stop.
  /// - Throws: `InterruptedError`.
  public static func check() throws(InterruptedError) {
    guard let signal = state.withLock({ $0.requested }) else { return }
    throw InterruptedError(signal: signal)
  }

  /// Has writes to a pipe that nobody reads fail (EPIPE) instead of ending the process (SIGPIPE): for
  /// commands whose work matters more than its report.
  public static func ignoreClosedPipes() { clinux_ignore_signal(SIGPIPE) }

  /// Ends the process by the signal that stopped a change, if there was one. Comes last: all messages are out.
  public static func endIfRequested() {
    guard let signal = state.withLock({ $0.requested }) else { return }
    clinux_die_of(signal)
  }

  /// Starts to watch for signals: they write to a pipe that a thread reads. Without pipe or thread they
  /// keep their default action.
  private static func watch(_ state: inout State) {
    guard !state.isWatching else { return }
    state.isWatching = true
    let pipe = clinux_catch_interrupts()
    guard pipe >= 0 else { return }
    let started: Void? = try? startDetachedThread {
      var signal: UInt8 = 0
      while clinux_read(pipe, &signal, 1) == 1 { receive(Int32(signal)) }
    }
    if started == nil { clinux_restore_interrupts() }
  }

  private static func receive(_ signal: Int32) {
    let mustEnd = state.withLock { state in
      guard state.changes > 0 else { return true }
      let now = monotonicSeconds()
      if state.requested != nil { return now - state.requestedAt >= 1 }
      (state.requested, state.requestedAt) = (signal, now)
      return false
    }
    guard mustEnd else { return }
    for cleanUp in state.withLock({ Array($0.cleanups.values) }) { cleanUp() }
    clinux_die_of(signal)
  }
}
