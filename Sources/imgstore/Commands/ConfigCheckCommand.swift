// imgstore config check.

import ArgumentParser
import Images

struct ConfigCheckCommand: ParsableCommand, ReportingCommand {
  static let configuration = CommandConfiguration(
    commandName: "check",
    abstract: "Check the configuration files, and list all errors with their lines",
    discussion: "--config FILE checks another file. The exit code is 2 if there is an error.")

  @OptionGroup var json: JSONFlag
  @OptionGroup var common: CommonOptions

  func run() throws {
    let files = common.configurationFiles
    let errors = files.check()
    let paths = files.files.filter { $0.isRequired || files.exists($0) }.map(\.path)
    if json.json {
      try printJSON(ConfigurationCheckJSON(files: paths, errors: errors))
    } else if errors.isEmpty {
      print(
        paths.isEmpty ? "there is no configuration file" : paths.joined(separator: ", ") + ": ok")
    }
    if !errors.isEmpty {
      throw CompletedWithWarnings(
        lines: errors.map(\.messageWithHint), failure: .configInvalid)
    }
  }
}

struct ConfigurationCheckJSON: JSONDocument {
  let files: [String]
  let errors: [ConfigurationError]

  static let form = JSONForm<Self>(kind: "configuration-check") { key in
    key("files", \.files)
    key("errors", \.errors)
  }
}
