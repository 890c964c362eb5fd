// What must not stay behind when somebody presses Ctrl-C: `defer` does not run then. Only for what
// nobody could make use of; what may be found half-done is safe by the order of its writes instead.

import CLinux

public enum Interruption {
  private static let state = Monitor<State>(State())

  private struct State {
    var isWatching = false
    var next = 0
    var cleanups: [Int: @Sendable () -> Void] = [:]
  }

  /// Runs `body`; where a signal ends the process meanwhile (HUP, INT, TERM), `cleanUp` runs first.
  public static func cleaningUp<R>(
    _ cleanUp: @escaping @Sendable () -> Void, _ body: () throws -> R
  ) rethrows -> R {
    let id = state.withLock { state in
      state.next += 1
      state.cleanups[state.next] = cleanUp
      if !state.isWatching {
        state.isWatching = true
        watch()
      }
      return state.next
    }
    defer { state.withLock { $0.cleanups[id] = nil } }
    return try body()
  }

  /// Signals write to a pipe; a thread reads it, cleans up, and lets the signal have its way.
  private static func watch() {
    let pipe = clinux_catch_interrupts()
    guard pipe >= 0 else { return }
    startDetachedThread {
      var signal: UInt8 = 0
      guard clinux_read(pipe, &signal, 1) == 1 else { return }
      for cleanUp in state.withLock({ Array($0.cleanups.values) }) { cleanUp() }
      clinux_die_of(Int32(signal))
    }
  }
}
