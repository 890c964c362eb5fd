// imgstore config edit.

import ArgumentParser
import Glibc
import Images

struct ConfigEditCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "edit",
    abstract: "Edit a copy of the configuration, check it, then replace the file",
    discussion: """
      The command opens VISUAL, EDITOR or vi. A copy with errors never replaces the file: on a terminal, you \
      can go back to the editor. root edits /etc/imgstore/config.toml, and other users their own file.
      """)

  @OptionGroup var json: JSONFlag
  @OptionGroup var common: CommonOptions

  func run() throws {
    guard let path = common.configurationFiles.editable else {
      throw ValidationError("With --root, name the file: --config FILE.")
    }
    var problems: [ConfigurationError] = []
    let result = try ConfigurationEditor(path).edit { errors in
      problems = errors
      for error in errors { Terminal.error(error.messageWithHint) }
      return isatty(0) == 1 && asksAgain()
    }
    if json.json { try printJSON(ConfigurationEditJSON(file: path, result: result)) }
    switch result {
    case .replaced where json.json, .unchanged where json.json: break
    case .replaced: print("\(path) has the new settings")
    case .unchanged: print("\(path) is unchanged")
    case .abandoned:
      throw CompletedWithWarnings(
        lines: ["\(path) is unchanged: the new text has \(count(problems.count, "error"))"],
        failure: .configInvalid)
    }
  }

  /// Asks whether to open the editor again.
  private func asksAgain() -> Bool {
    Terminal.say("Edit again? [Y/n]")
    let answer = readLine()?.lowercased() ?? "n"
    return !answer.hasPrefix("n")
  }
}

struct ConfigurationEditJSON: JSONDocument {
  let file: String
  let result: ConfigurationEditResult

  static let form = JSONForm<Self>(kind: "configuration-edit") { key in
    key("file", \.file)
    key("result", \.result)
  }
}
