// imgstore unpin.

import ArgumentParser
import Images

struct UnpinCommand: ParsableCommand, ReportingCommand {
  static let configuration = CommandConfiguration(
    commandName: "unpin",
    abstract: "Unpin snapshots, so that 'forget' can remove them")

  @Argument(help: "Snapshots to unpin; IMAGE@3..7 is a range") var refs: [String]
  @OptionGroup var json: JSONFlag
  @OptionGroup var common: CommonOptions

  func run() throws {
    let workspace = try common.open()
    let snapshots = try workspace.references(refs).map { try workspace.unpin($0) }
    if try json.prints(UnpinJSON(snapshots: snapshots.map(\.name))) { return }
    for snapshot in snapshots { print("\(snapshot.name) is no longer pinned") }
  }
}
