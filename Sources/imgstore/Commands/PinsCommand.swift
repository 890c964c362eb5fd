// imgstore pins.

import ArgumentParser
import Images

struct PinsCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "pins", abstract: "List pinned snapshots with their reasons",
    discussion: """
      Examples:
        imgstore pins compute
      """)

  @Argument(help: "Image (default: all)") var name: String?
  @OptionGroup var json: JSONFlag
  @OptionGroup var common: CommonOptions

  func run() throws {
    let workspace = try common.open()
    let pins = try workspace.pins(of: name)
    let damaged = try workspace.damagedMarks(of: name).filter { $0.kind == .pin }
    if try !json.prints(
      PinsJSON(
        pins: pins.map { PinJSON(snapshot: "\($0.snapshot)", reason: $0.reason) },
        damagedMarks: damaged))
    {
      print(table(pins.map { ["\($0.snapshot)", printable($0.reason.utf8)] }))
    }
    try expectReadable([], damaged: damaged)
  }
}
