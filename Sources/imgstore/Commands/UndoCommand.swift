// imgstore undo.

import ArgumentParser
import Images

struct Undo: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "undo",
    abstract: "Take back the last change of an image: a revert, an import, or an undo.",
    discussion: """
      The live image becomes what it was before the last revert or import. That is itself a change, \
      so undoing again does it again. A snapshot changes nothing, so there is nothing of it to undo.
      """)

  @Argument(help: "The image's name; not needed where there is only one.") var name: String?
  @OptionGroup var options: ChangeOptions
  @OptionGroup var nodeset: NodesetOption
  @OptionGroup var json: JSONFlag
  @OptionGroup var common: CommonOptions

  func run() throws {
    let workspace = try common.open()
    try nodeset.check(workspace)
    let outcome = try workspace.undo(name ?? "", options.request(name ?? ""))
    try finish(outcome, workspace, options, nodeset, json)
  }
}
