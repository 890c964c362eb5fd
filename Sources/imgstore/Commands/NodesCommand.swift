// imgstore nodes.

import ArgumentParser
import Images

struct NodesCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "nodes",
    abstract: "Show how many nodes run which snapshot of an image",
    discussion: """
      The command asks all nodes that boot the image, according to xCAT's tables, with xdsh. A node that \
      does not answer is a warning (exit code 3). 'log' shows the counts of the last call.

      Examples:
        imgstore nodes compute
      """)

  @Argument(help: "Name of the image; optional if there is only one") var name: String?
  @OptionGroup var timeout: NodeTimeoutOption
  @OptionGroup var json: JSONFlag
  @OptionGroup var common: CommonOptions

  func run() throws {
    let workspace = try common.open()
    let report = try workspace.runningNodes(name ?? "", timeoutSeconds: timeout.timeout)
    Terminal.finish()
    if json.json {
      try printJSON(report)
    } else if report.groups.isEmpty, report.silent.isEmpty {
      print("no node boots \(report.image)")
    } else {
      print(table(report.groups.map(row)))
    }
    let unclear = report.unclear.map { "node \($0): only xCAT can tell which image it boots" }
    let silent = report.silent.map { "node \($0.name): \($0.reason)" }
    if !(silent + unclear).isEmpty { throw CompletedWithWarnings(lines: silent + unclear) }
  }

  private func row(_ group: NodeGroup) -> [String] {
    let matches =
      group.matches.isEmpty
      ? "unknown image \(group.uuid)" + (group.imageName.map { " of \($0)" } ?? "")
      : group.matches.map(matchText).joined(separator: ", ")
    return [matches, count(group.nodes.count, "node"), group.range]
  }
}
