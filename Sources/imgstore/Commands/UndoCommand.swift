// imgstore undo.

import ArgumentParser
import Images

struct UndoCommand: ParsableCommand, ReportingCommand {
  static let configuration = CommandConfiguration(
    commandName: "undo",
    abstract: "Undo the last revert, import or undo of an image",
    discussion: """
      The command restores the live image to its state before the last revert or import. An undo is \
      itself a change, so a second undo repeats the undone change. A snapshot does not change the \
      image, so it cannot be undone.
      """)

  @Argument(help: "Name of the image; optional if there is only one") var name: String?
  @OptionGroup var options: ChangeOptions
  @OptionGroup var nodeset: NodesetOption
  @OptionGroup var json: JSONFlag
  @OptionGroup var common: CommonOptions

  func run() throws {
    let workspace = try common.open()
    try nodeset.check(workspace)
    let outcome = try workspace.undo(name ?? "", options.request(name ?? ""))
    try reportChange(outcome, workspace, options, nodeset, json)
  }
}
