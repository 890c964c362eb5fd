// Progress of a long command: one line on standard error, redrawn at most ten times a second, from the first
// second on. There is no such line if standard error is not a terminal.

import Glibc
import Images
import Synchronization

/// The messages on standard error, and the progress line below them.
enum Terminal {
  private static let state = Monitor<Line>(Line())

  private struct Line {
    var isShown = false
    var isStopped = false
  }

  /// Starts to show `progress`, if standard error is a terminal.
  static func show(_ progress: Progress) {
    guard isatty(2) == 1, let columns = terminalColumns(2) else { return }
    let start = monotonicSeconds()
    // If the thread cannot start, there is no progress line.
    try? startDetachedThread {
      var phase = ""
      var phaseStart = start
      while !state.withLock({ $0.isStopped }) {
        usleep(100_000)
        let now = monotonicSeconds()
        if progress.phase != phase { (phase, phaseStart) = (progress.phase, now) }
        guard now - start > 1, !phase.isEmpty else { continue }
        let text = describe(progress, phase: phase, seconds: now - phaseStart)
        state.withLock { state in
          if state.isStopped { return }
          state.isShown = true
          put("\r\u{1b}[K" + String(text.prefix(columns - 1)))
        }
      }
    }
  }

  /// Erases the progress line before text on standard output. The next redraw shows it again.
  static func clear() {
    state.withLock { state in
      if state.isShown { put("\r\u{1b}[K") }
      state.isShown = false
    }
  }

  /// Erases the progress line and stops it.
  static func finish() {
    state.update { state in
      if state.isShown { put("\r\u{1b}[K") }
      state = Line(isShown: false, isStopped: true)
    }
  }

  /// Prints a remark on standard error, above the progress line.
  static func remark(_ text: String) { say("imgstore: \(text)") }

  /// Prints a warning, for remarks that need action.
  static func warning(_ text: String) { say("imgstore: warning: \(text)") }

  /// Prints an error.
  static func error(_ text: String) { say("imgstore: \(text)") }

  /// Prints a line of a job that runs unattended. If standard error is the journal of systemd, the line gets a
  /// priority and fields there.
  static func log(
    _ text: String, _ priority: SystemLog.Priority, _ fields: [(name: String, value: String)] = []
  ) {
    if SystemLog.isStandardError, SystemLog.send(text, priority, fields) { return }
    if priority == .warning { warning(text) } else { error(text) }
  }

  /// Prints text on standard error, folded to the width of the terminal, above the progress line.
  static func say(_ text: String) {
    line(LineFolding.folded(text, to: LineFolding.width(of: 2)))
  }

  /// Prints a line on standard error as it is, above the progress line.
  static func line(_ text: String) {
    state.withLock { state in
      if state.isShown { put("\r\u{1b}[K") }
      put(text + "\n")
    }
  }

  private static func put(_ text: String) {
    let bytes = Array(text.utf8)
    var done = 0
    while done < bytes.count {
      let n = bytes.withUnsafeBytes {
        Glibc.write(2, $0.baseAddress.map { $0 + done }, $0.count - done)
      }
      if n <= 0 { return }
      done += n
    }
  }

  private static func describe(_ progress: Progress, phase: String, seconds: Double) -> String {
    let done = progress.doneBytes
    let total = progress.totalBytes
    var parts = [phase]
    if total > 0 {
      parts.append("\(sizeText(done)) of \(sizeText(total)) (\(min(100, done * 100 / total)) %)")
    } else if done > 0 {
      parts.append(sizeText(done))
    } else if progress.doneItems > 0 {
      parts.append("\(progress.doneItems) entries")
    }
    if done > 0, seconds > 0.5 {
      let rate = Double(done) / seconds
      parts.append("\(sizeText(UInt64(rate)))/s")
      if total > done { parts.append("\(Int(Double(total - done) / rate) + 1) s left") }
    }
    return parts.joined(separator: "  ")
  }
}
