// imgstore untag.

import ArgumentParser
import Images

struct Untag: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "untag",
    abstract: "Remove a tag, but keep its snapshot")

  @Argument(help: ArgumentHelp("Tag to remove", valueName: "image@tag")) var ref: String
  @OptionGroup var json: JSONFlag
  @OptionGroup var common: CommonOptions

  func run() throws {
    let name = try common.open().untag(ref)
    Terminal.finish()
    if json.json { return try printJSON(UntagJSON(snapshot: "\(name)")) }
    print("removed the tag; \(name) stays")
  }
}
