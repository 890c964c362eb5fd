// imgstore tags.

import ArgumentParser
import Images

struct TagsCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "tags", abstract: "List tags and their snapshots")

  @Argument(help: "Image (default: all)") var name: String?
  @OptionGroup var json: JSONFlag
  @OptionGroup var common: CommonOptions

  func run() throws {
    let workspace = try common.open()
    let tags = try workspace.tags(of: name)
    let damaged = try workspace.damagedMarks(of: name).filter { $0.kind == .tag }
    if try !json.prints(
      TagsJSON(
        tags: tags.map { TagJSON(tag: $0.tag, snapshot: "\($0.snapshot)") },
        damagedMarks: damaged))
    {
      print(table(tags.map { ["\($0.snapshot.image)@\($0.tag)", "@\($0.snapshot.number)"] }))
    }
    try expectReadable([], damaged: damaged)
  }
}
