// imgstore untag.

import ArgumentParser
import Images

struct UntagCommand: ParsableCommand, ReportingCommand {
  static let configuration = CommandConfiguration(
    commandName: "untag",
    abstract: "Remove a tag, but keep its snapshot")

  @Argument(help: ArgumentHelp("Tag to remove", valueName: "image@tag")) var ref: String
  @OptionGroup var depot: DepotOption
  @OptionGroup var json: JSONFlag
  @OptionGroup var common: CommonOptions

  func run() throws {
    if let remote = depot.remote {
      try common.open().untagAtDepot(remote, ref)
      Terminal.finish()
      if json.json { return try printJSON(UntagJSON(snapshot: "\(remote)/\(ref)")) }
      return print("removed the tag \(remote)/\(ref); its snapshot stays")
    }
    let name = try common.open().untag(ref)
    Terminal.finish()
    let isKnown = name.number > 0
    if json.json { return try printJSON(UntagJSON(snapshot: isKnown ? "\(name)" : ref)) }
    print(!isKnown ? "removed the damaged tag" : "removed the tag; \(name) stays")
  }
}
