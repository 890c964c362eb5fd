// Handles signals that ask the process to end (HUP, INT, QUIT, TERM).
//
// 1. Outside a change a signal ends the process at once, after the registered cleanups, which remove useless
//    files. (`defer` does not run then. Other incomplete data is safe by the order of its writes.)
// 2. During a change (`duringChange`) the first signal is a request. The code that makes the change
//    calls `check` between its steps, and stops with an error, so that the journal stays and the user
//    learns how to resume. A second signal ends the process at once. (A signal within a quarter of a
//    second is the same request: terminals, sudo and timeout deliver one to a process and its group.)
// 3. The process ends by the requested signal after its messages are printed (`endIfRequested`): a
//    shell sees 128 + its number.
// 4. While a program of the user runs (`passingSignals`), signals go to it, and do not end this process.
// 5. Final messages (`announce`), if enabled (`enableMessages`), are written by the thread that waits for
//    signals. That thread waits for no lock of the program, and for no reader of standard error.

import CLinux
import Glibc

/// A change that stopped between two of its steps because of a signal.
public struct InterruptedError: ExplainedError, Equatable {
  public let signal: Int32
  /// Creates an error for a signal.
  public init(signal: Int32) { self.signal = signal }

  public var subject: String { "the change" }
  public var reason: String { "was interrupted by a signal (\(name))" }
  public var hint: String { "" }

  private var name: String { InterruptedError.name(of: signal) }

  /// "SIGTERM".
  public static func name(of signal: Int32) -> String {
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
    /// The number of changes in progress.
    var changes = 0
    /// The signal that asked a change to stop, and its time (`monotonicSeconds`).
    var requested: Int32?
    var requestedAt = 0.0
    /// The message for a signal that ends the process at once.
    var message: String?
    /// The message that follows when the present one no longer holds.
    var nextMessage: String?
    var printsMessages = false
    /// Gets the signals of a command that runs, instead of this process.
    var receiver: (@Sendable (_ signal: Int32, _ isFromKernel: Bool) -> Void)?
    /// Returns the document for standard output if a signal ends the process at once.
    var document: (@Sendable (_ signal: Int32, _ message: String?) -> [UInt8]?)?
  }

  /// Signals within this time are the same request.
  private static let sameRequestSeconds = 0.25

  /// Enables final messages on standard error, where the program's own messages also go.
  public static func enableMessages() { state.withLock { $0.printsMessages = true } }

  /// Sets the message for a signal that ends the process at once; nil for the message that was announced to
  /// follow, or for none.
  /// - Parameter next: the message after `announce(nil)`, for a command that goes on with more work then.
  public static func announce(_ message: String?, then next: String? = nil) {
    state.withLock { state in
      state.message = message ?? state.nextMessage
      state.nextMessage = next
      if message != nil { watch(&state) }
    }
  }

  /// Sets the document for other programs that is written to standard output if a signal ends the process at
  /// once.
  /// - Parameter make: gets the signal and the last message; returns nil if output was written already.
  public static func setDocument(
    _ make: @escaping @Sendable (_ signal: Int32, _ message: String?) -> [UInt8]?
  ) {
    state.withLock { state in
      state.document = make
      watch(&state)
    }
  }

  /// The signal that asked a change to stop.
  public static var requested: Int32? { state.withLock { $0.requested } }

  /// Runs `body`; if a signal ends the process meanwhile, `cleanUp` runs first.
  public static func cleaningUp<R>(
    _ cleanUp: @escaping @Sendable () -> Void, _ body: () throws -> R
  ) rethrows -> R {
    let id = addCleanUp(cleanUp)
    defer { cancelCleanUp(id) }
    return try body()
  }

  /// Registers `cleanUp` to run if a signal ends the process, until `cancelCleanUp`.
  /// - Returns: the argument for `cancelCleanUp`.
  public static func addCleanUp(_ cleanUp: @escaping @Sendable () -> Void) -> Int {
    state.withLock { state in
      state.nextID += 1
      state.cleanups[state.nextID] = cleanUp
      watch(&state)
      return state.nextID
    }
  }

  /// Removes a cleanup.
  public static func cancelCleanUp(_ id: Int) {
    state.withLock { $0.cleanups[id] = nil }
  }

  /// Runs `body`, a change that `check` can stop.
  /// - Parameter message: the message if a second signal ends the process at once.
  public static func duringChange<R>(
    _ message: String? = nil, _ body: () throws -> R
  ) rethrows -> R {
    ignoreClosedPipes()
    state.withLock { state in
      state.changes += 1
      state.message = message
      watch(&state)
    }
    defer {
      state.withLock { state in
        state.changes -= 1
        state.message = nil
      }
    }
    return try body()
  }

  /// Runs `body`, which waits for another program. Signals do not end this process meanwhile.
  /// - Parameter receiver: gets each signal. The kernel sends those of the terminal (Ctrl-C) to the other
  ///   program, too.
  public static func passingSignals<R>(
    to receiver: @escaping @Sendable (_ signal: Int32, _ isFromKernel: Bool) -> Void,
    _ body: () throws -> R
  ) rethrows -> R {
    state.withLock { state in
      state.receiver = receiver
      watch(&state)
    }
    defer { state.withLock { $0.receiver = nil } }
    return try body()
  }

  /// Stops a change if a signal asked for it.
  /// - Throws: `InterruptedError`.
  public static func check() throws(InterruptedError) {
    guard let signal = state.withLock({ $0.requested }) else { return }
    throw InterruptedError(signal: signal)
  }

  /// Makes writes to a pipe without a reader fail (EPIPE) instead of ending the process (SIGPIPE): for
  /// commands whose work matters more than its report.
  public static func ignoreClosedPipes() { clinux_ignore_signal(SIGPIPE) }

  /// Ends the process by the signal that stopped a change, if there was one. Call it last, after all
  /// messages.
  public static func endIfRequested() {
    guard let signal = state.withLock({ $0.requested }) else { return }
    clinux_die_of(signal)
  }

  /// Starts to watch for signals: handlers write to a pipe that a thread reads. If the pipe or the
  /// thread cannot be created, signals keep their default action.
  private static func watch(_ state: inout State) {
    guard !state.isWatching else { return }
    state.isWatching = true
    let pipe = clinux_catch_interrupts()
    guard pipe >= 0 else { return }
    let started: Void? = try? startDetachedThread {
      var signal: UInt8 = 0
      let kernelBit = UInt8(CLINUX_FROM_KERNEL)
      while clinux_read(pipe, &signal, 1) == 1 {
        receive(Int32(signal & ~kernelBit), isFromKernel: signal & kernelBit != 0)
      }
    }
    if started == nil { clinux_restore_interrupts() }
  }

  private static func receive(_ signal: Int32, isFromKernel: Bool) {
    if let receiver = state.withLock({ $0.receiver }) { return receiver(signal, isFromKernel) }
    let mustEnd = state.withLock { state in
      guard state.changes > 0 else { return true }
      let now = monotonicSeconds()
      if state.requested != nil { return now - state.requestedAt >= sameRequestSeconds }
      (state.requested, state.requestedAt) = (signal, now)
      return false
    }
    guard mustEnd else {
      return writeMessage(
        "stopping at the next safe point; a second signal ends the program at once")
    }
    for cleanUp in state.withLock({ Array($0.cleanups.values) }) { cleanUp() }
    let (message, document) = state.withLock { ($0.message, $0.document) }
    if let bytes = document?(signal, message) { write(bytes, to: 1) }
    if let message { writeMessage(message) }
    clinux_die_of(signal)
  }

  /// Writes a line, unless standard error would block.
  private static func writeMessage(_ message: String) {
    guard state.withLock({ $0.printsMessages }) else { return }
    // A terminal shows a line of progress, and "^C".
    write(Array(((isatty(2) == 1 ? "\r\u{1b}[K" : "") + "imgstore: \(message)\n").utf8), to: 2)
  }

  /// Writes bytes, unless the write would block.
  private static func write(_ bytes: [UInt8], to output: Int32) {
    var file = pollfd(fd: output, events: Int16(POLLOUT), revents: 0)
    guard poll(&file, 1, 0) == 1, file.revents & Int16(POLLOUT) != 0 else { return }
    _ = bytes.withUnsafeBytes { Glibc.write(output, $0.baseAddress, $0.count) }
  }
}
