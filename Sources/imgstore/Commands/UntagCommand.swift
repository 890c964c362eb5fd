// imgstore untag.

import ArgumentParser
import Images

struct UntagCommand: ParsableCommand, ReportingCommand {
  static let configuration = CommandConfiguration(
    commandName: "untag",
    abstract: "Remove a tag, but keep its snapshot")

  @Argument(help: ArgumentHelp("Tag to remove", valueName: "image@tag")) var ref: String
  @OptionGroup var json: JSONFlag
  @OptionGroup var common: CommonOptions

  func run() throws {
    let name = try common.open().untag(ref)
    Terminal.finish()
    let isKnown = name.number > 0
    if json.json { return try printJSON(UntagJSON(snapshot: isKnown ? "\(name)" : ref)) }
    print(!isKnown ? "removed the damaged tag" : "removed the tag; \(name) stays")
  }
}
