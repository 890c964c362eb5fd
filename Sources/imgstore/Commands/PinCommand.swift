// imgstore pin.

import ArgumentParser
import Images

struct PinCommand: ParsableCommand, ReportingCommand {
  static let configuration = CommandConfiguration(
    commandName: "pin",
    abstract: "Protect snapshots from 'forget'")

  @Argument(help: "Snapshots to pin; IMAGE@3..7 is a range") var refs: [String]
  @Option(name: .shortAndLong, help: "Reason, in one line") var message = ""
  @OptionGroup var json: JSONFlag
  @OptionGroup var common: CommonOptions

  func run() throws {
    let workspace = try common.open()
    let snapshots = try workspace.references(refs).map { try workspace.pin($0, reason: message) }
    if try json.prints(
      PinsJSON(pins: snapshots.map { PinJSON(snapshot: $0.name, reason: message) }))
    {
      return
    }
    for snapshot in snapshots { print("\(snapshot.name) is pinned") }
  }
}
