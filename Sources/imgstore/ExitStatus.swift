// The exit codes of the program (docs/manual.md, "Exit codes"). xCAT's names have xCAT's: 0 and 1.
//
// 1. A code keeps its meaning; new ones may come.
// 2. Each error has its code from its `ErrorCode`. A command that did its work in part ends with 3, or with 5 where
//    it found stored data damaged.

import Images
import Platform

/// Exit codes.
enum ExitStatus {
  static let done: Int32 = 0
  static let failed: Int32 = 1
  static let usage: Int32 = 2
  static let problems: Int32 = 3
  static let busy: Int32 = 4
  static let damaged: Int32 = 5
  static let unfinished: Int32 = 6
  static let differs: Int32 = 7

  static func of(_ code: ErrorCode) -> Int32 {
    switch code {
    case .failed, .notFound, .interrupted: failed
    case .usage: usage
    case .busy: busy
    case .damaged: damaged
    case .unfinished: unfinished
    }
  }
}

/// Something differs, and it was asked for: an exit code, and no message.
struct Differs: Error {}

/// A search was done and found nothing: an exit code, and no message.
struct NoMatch: Error {}

/// The work is done, and something about it must be known.
struct CompletedWithWarnings: Error {
  let lines: [String]
  /// Some of it is that stored data is damaged, or lost.
  var isDamage = false
  /// Nothing was done, and this is why; nil where something was.
  var failure: ErrorCode?

  var exitStatus: Int32 {
    failure.map(ExitStatus.of) ?? (isDamage ? ExitStatus.damaged : ExitStatus.problems)
  }
}
