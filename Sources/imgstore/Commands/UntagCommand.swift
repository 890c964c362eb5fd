// imgstore untag.

import ArgumentParser
import Images

struct Untag: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "untag",
    abstract: "Take a tag away; the snapshot stays.")

  @Argument(help: ArgumentHelp("IMAGE@TAG.", valueName: "image@tag")) var ref: String
  @OptionGroup var json: JSONFlag
  @OptionGroup var common: CommonOptions

  func run() throws {
    let name = try common.open().untag(ref)
    Terminal.finish()
    if json.json { return try printJSON(UntagJSON(snapshot: "\(name)")) }
    print("the tag is gone; \(name) stays")
  }
}
