// imgstore pins.

import ArgumentParser
import Images
import Platform

struct Pins: ParsableCommand {
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
    let pins = try common.open().pins(of: name)
    Terminal.finish()
    if json.json {
      return try printJSON(
        PinsJSON(pins: pins.map { PinJSON(snapshot: "\($0.snapshot)", reason: $0.reason) }))
    }
    print(table(pins.map { ["\($0.snapshot)", printable($0.reason.utf8)] }))
  }
}
