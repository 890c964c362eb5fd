// imgstore config path.

import ArgumentParser
import Images

struct ConfigPathCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "path",
    abstract: "Print the paths of the files that apply, existing or not")

  @OptionGroup var json: JSONFlag
  @OptionGroup var common: CommonOptions

  func run() throws {
    let files = common.configurationFiles
    if json.json {
      return try printJSON(
        ConfigurationPathsJSON(
          files: files.files.map { .init(path: $0.path, exists: files.exists($0)) }))
    }
    for file in files.files { print(file.path) }
  }
}

struct ConfigurationPathsJSON: JSONDocument {
  struct File: JSONObject {
    let path: String
    let exists: Bool

    static let form = JSONForm<Self> { key in
      key("path", \.path)
      key("exists", \.exists)
    }
  }
  let files: [File]

  static let form = JSONForm<Self>(kind: "configuration-paths") { key in key("files", \.files) }
}
