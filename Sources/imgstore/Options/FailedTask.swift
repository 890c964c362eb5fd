// The task that a failed command could not do, for messages: "cannot revert compute@9: …".

import ArgumentParser
import Images

/// A command and its operands in words: "revert compute@9".
struct FailedTask {
  private static let maxOperands = 3
  private static let maxCharacters = 60

  /// The verbs of commands whose names are not verbs.
  private static let verbs = [
    "bench": "measure", "cat": "print", "diff": "compare", "du": "compute the disk usage",
    "doctor": "examine the installation", "gc": "collect garbage", "have": "list the objects of",
    "images": "list images",
    "json-schema": "print schemas",
    "lite": "change", "log": "list snapshots", "ls": "list", "pins": "list pins",
    "metrics": "read the metrics", "recipes": "find recipes",
    "remote": "use the remote", "secrets": "scan",
    "standby": "handle the standby trees of", "stats": "read statistics", "status": "compare",
    "tags": "list tags",
  ]

  let text: String

  /// Creates the task of a parsed command. Options are left out.
  init(_ command: any ParsableCommand) {
    let name = type(of: command).configuration.commandName ?? ""
    let operands = Mirror(reflecting: command).children.flatMap { FailedTask.operands($0.value) }
    var words = operands.prefix(FailedTask.maxOperands).map { shellQuoted(printable($0.utf8)) }
    if operands.count > words.count { words.append("…") }
    let all = ([FailedTask.verbs[name] ?? name] + words).joined(separator: " ")
    text =
      all.count > FailedTask.maxCharacters ? all.prefix(FailedTask.maxCharacters - 1) + "…" : all
  }

  private static func operands(_ value: Any) -> [String] {
    switch value {
    case let argument as Argument<String>: [argument.wrappedValue]
    case let argument as Argument<String?>: argument.wrappedValue.map { [$0] } ?? []
    case let argument as Argument<[String]>: argument.wrappedValue
    default: []
    }
  }

  /// Returns the message of an error, with the task. Usage errors, interruptions and xCAT's own sentences
  /// stand alone.
  func message(_ error: any ExplainedError) -> String {
    switch error.errorCode.category {
    case .usage, .interrupted: return error.messageWithHint
    default: break
    }
    if case .sentence = error.form { return error.messageWithHint }
    return "cannot \(text): \(error.messageWithHint)"
  }
}
