// A program that runs while its standard input and output are used as a connection, such as ssh.
//
// 1. Standard error is read by a thread of its own, so that the program never waits for us. A program that the
//    first one left running may keep it open, so nothing waits for its end for long.
// 2. `finish` always ends the program: by the end of its input, and by SIGKILL if that does not help.

import CLinux

/// A running program with a stream.
public final class StreamedProcess: Sendable {
  /// How a program ended.
  public struct End: Sendable {
    /// The exit status; 128 + the number of the signal that ended it.
    public let status: Int32
    /// The last lines of standard error.
    public let errors: [String]
  }

  private struct State {
    var lines: [String] = []
    var partialLine: [UInt8] = []
    var hasAllLines = false
    var status: Int32?
  }

  private static let maxLineBytes = 1000
  private static let maxLines = 20

  /// The program's standard output, and its standard input.
  public let stream: ByteStream
  private let process: Int32
  private let state = Monitor(State())

  /// Starts a program.
  /// - Parameters:
  ///   - program: its path; PATH is not searched.
  ///   - arguments: without the program's own name.
  ///   - report: receives each line of standard error, as printable text.
  /// - Throws: `SystemError` if the program cannot be started.
  public init(
    _ program: [UInt8], _ arguments: [String], environment: [String: String],
    report: @escaping @Sendable (String) -> Void
  ) throws(SystemError) {
    let variables = environment.sorted { $0.key < $1.key }.map { "\($0.key)=\($0.value)" }
    guard !program.contains(0),
      !(arguments + variables).contains(where: { $0.utf8.contains(0) })
    else { throw SystemError(code: .invalid, "run", program) }
    var pipes: [Int32] = [-1, -1, -1]
    let process = ChildProcess.withCStrings([program] + arguments.map { Array($0.utf8) }) { argv in
      ChildProcess.withCStrings(variables.map { Array($0.utf8) }) { envp in
        clinux_spawn(argv[0], argv, envp, &pipes)
      }
    }
    guard process > 0 else { throw SystemError(code: .init(rawValue: -process), "run", program) }
    self.process = process
    do throws(SystemError) {
      stream = try ByteStream(reading: pipes[1], writing: pipes[0])
      let errors = pipes[2]
      try startDetachedThread { [state] in
        StreamedProcess.readErrors(errors, state, report)
        state.update { $0.hasAllLines = true }
      }
      try startDetachedThread { [state] in
        let status = clinux_wait(process)
        state.update { $0.status = status }
      }
    } catch {
      clinux_kill(process)
      throw error
    }
  }

  /// Closes the stream, and waits for the program. It is killed if it does not end within the time.
  public func finish(seconds: Double = 5) -> End {
    stream.close()
    return wait(seconds: seconds)
  }

  /// Waits for the program, which must be about to end. It is killed if it does not end within the time.
  public func wait(seconds: Double) -> End {
    waitUntil(seconds) { $0.status != nil }
    if state.withLock({ $0.status }) == nil { clinux_kill(process) }
    let status = state.wait { $0.status }
    waitUntil(0.5) { $0.hasAllLines }
    return End(status: status, errors: state.withLock { $0.lines })
  }

  private func waitUntil(_ seconds: Double, _ isDone: (State) -> Bool) {
    let limit = monotonicSeconds() + seconds
    while !state.withLock({ isDone($0) }), monotonicSeconds() < limit {
      _ = clinux_wait_stream(-1, -1, 5)
    }
  }

  private static func readErrors(
    _ file: Int32, _ state: Monitor<State>, _ report: (String) -> Void
  ) {
    defer { _ = clinux_close(file) }
    var buffer = [UInt8](repeating: 0, count: 4096)
    while true {
      let n = clinux_read(file, &buffer, buffer.count)
      if n == -11 {  // EAGAIN
        _ = clinux_wait_stream(file, -1, 60_000)
        continue
      }
      guard n > 0 else { break }
      for line in take(buffer[..<Int(n)], state) { report(line) }
    }
    let rest = state.withLock { state in
      defer { state.partialLine = [] }
      return state.partialLine
    }
    if !rest.isEmpty { for line in take([0x0a], state, rest) { report(line) } }
  }

  /// Returns the complete lines, and keeps them and the rest.
  private static func take(
    _ bytes: some Sequence<UInt8>, _ state: Monitor<State>, _ front: [UInt8] = []
  ) -> [String] {
    state.withLock { state in
      var lines: [String] = []
      state.partialLine += front
      for byte in bytes {
        guard byte == 0x0a || state.partialLine.count == maxLineBytes else {
          state.partialLine.append(byte)
          continue
        }
        if state.partialLine.last == 0x0d { state.partialLine.removeLast() }
        lines.append(printable(state.partialLine))
        state.partialLine = byte == 0x0a ? [] : [byte]
      }
      state.lines = Array((state.lines + lines).suffix(maxLines))
      return lines
    }
  }
}
