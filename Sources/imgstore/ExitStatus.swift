// The exit codes of the program (docs/manual.md, "Exit codes"). Under xCAT's names it uses xCAT's codes: 0
// and 1.
//
// 1. A code keeps its meaning. New codes may be added.
// 2. The `ErrorCode` of an error determines its exit code. A command that did its work in part exits with 3,
//    or with 5 if it found damaged data in the store.

import Images

/// The exit codes of the program.
enum ExitStatus {
  static let done: Int32 = 0
  static let failed: Int32 = 1
  static let usage: Int32 = 2
  static let problems: Int32 = 3
  static let busy: Int32 = 4
  static let damaged: Int32 = 5
  static let unfinished: Int32 = 6
  static let differs: Int32 = 7
  static let alreadyRunning: Int32 = 8

  /// Returns the exit code of an error.
  static func of(_ code: ErrorCode) -> Int32 {
    switch code.category {
    case .failed, .notFound, .interrupted: failed
    case .usage: usage
    case .busy: busy
    case .damaged: damaged
    case .unfinished: unfinished
    case .alreadyRunning: alreadyRunning
    }
  }
}

/// Ends a command with the exit code for a difference (`--exit-code`), without a message.
struct DifferencesFound: Error {}

/// Ends a search that found nothing with an exit code, without a message.
struct NoMatch: Error {}

/// Ends a command that did its work and has problems to report.
struct CompletedWithWarnings: Error {
  /// The problems, one for each line of standard error.
  let lines: [String]
  /// Whether one of the problems is damaged or lost data.
  var isDamage = false
  /// The reason why the command did nothing; nil if it did at least a part.
  var failure: ErrorCode?

  /// The exit code for these problems.
  var exitStatus: Int32 {
    failure.map(ExitStatus.of) ?? (isDamage ? ExitStatus.damaged : ExitStatus.problems)
  }
}
