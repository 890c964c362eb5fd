// imgstore tags.

import ArgumentParser
import Images

struct Tags: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "tags", abstract: "List tags and their snapshots")

  @Argument(help: "Image (default: all)") var name: String?
  @OptionGroup var json: JSONFlag
  @OptionGroup var common: CommonOptions

  func run() throws {
    let tags = try common.open().tags(of: name)
    Terminal.finish()
    if json.json {
      return try printJSON(
        TagsJSON(
          tags: tags.map { TagJSON(tag: $0.tag, snapshot: "\($0.snapshot)", movedFrom: nil) }))
    }
    print(table(tags.map { ["\($0.snapshot.image)@\($0.tag)", "@\($0.snapshot.number)"] }))
  }
}
