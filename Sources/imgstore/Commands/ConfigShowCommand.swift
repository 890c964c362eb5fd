// imgstore config show.

import ArgumentParser
import Images

struct ConfigShowCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "show",
    abstract: "Print the settings in effect",
    discussion: """
      With the name of an image, the command prints the settings of that image: of all sections that match \
      the name, the most specific one with the key applies.
      """)

  @Argument(help: "Print the settings of this image") var image: String?
  @Flag(help: "Print where each value comes from") var origin = false
  @OptionGroup var json: JSONFlag
  @OptionGroup var common: CommonOptions

  func run() throws {
    let configuration = try common.configuration()
    var settings = configuration.listed(for: image)
    if image == nil {
      let store = common.store(configuration)
      settings.removeAll { $0.key == "store" }
      settings.insert(
        ListedSetting("store", TOMLText.string(store.value), store.origin), at: 0)
    }
    if json.json {
      return try printJSON(ConfigurationJSON(files: configuration.files, settings: settings))
    }
    let width = settings.map { "\($0.key) = \($0.value)".count }.max() ?? 0
    for setting in settings {
      let text = "\(setting.key) = \(setting.value)"
      print(
        origin
          ? text + String(repeating: " ", count: width - text.count + 2) + "# "
            + setting.origin.text
          : text)
    }
  }
}

struct ConfigurationJSON: JSONDocument {
  let files: [String]
  let settings: [ListedSetting]

  static let form = JSONForm<Self>(kind: "configuration") { key in
    key("files", \.files)
    key("settings", \.settings)
  }
}
