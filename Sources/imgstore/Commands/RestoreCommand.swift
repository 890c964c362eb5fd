// imgstore restore.

import ArgumentParser
import Images

struct RestoreCommand: ParsableCommand, ReportingCommand {
  static let configuration = CommandConfiguration(
    commandName: "restore",
    abstract: "Write a tree, directory or file of a snapshot elsewhere",
    usage: "imgstore restore [<options>] <ref> [<path>] <dest>",
    discussion: """
      REF alone is the root tree. PATH is a path inside it, or an absolute path of the management \
      node. The command restores owners, modes, times, links, attributes and holes. DEST is a new or \
      empty directory; for a file it may be any directory.

      The command does not overwrite existing files unless you add --force. Then each entry of the \
      snapshot replaces the entry of the same name in one step, and all other entries stay. To \
      restore a live image, or a part of it, use 'imgstore revert'.

      Examples:
        imgstore restore compute@golden /tmp/golden
        imgstore restore compute@golden:etc/ssh /tmp/ssh
        imgstore restore compute@golden etc/hosts -o /tmp/hosts
      """,
    aliases: ["extract"])

  @Argument(help: "REF or REF:PATH") var ref: String
  @Argument(
    help: ArgumentHelp("Path, if REF has none, and the destination", valueName: "dest")
  )
  var words: [String] = []
  @Option(
    name: [.customShort("o"), .long],
    help: ArgumentHelp("Destination", valueName: "dest"))
  var output: String?
  @Flag(help: "Replace existing files") var force = false
  @Flag(
    name: [.customShort("n"), .long], help: "Check the destination and print what would be written")
  var dryRun = false
  @OptionGroup var json: JSONFlag
  @OptionGroup var common: CommonOptions

  /// The path, if it is an argument of its own, and the destination; nil if the arguments are wrong.
  private var operands: (path: String?, destination: String)? {
    if let output { return words.count > 1 ? nil : (words.first, output) }
    switch words.count {
    case 1: return (nil, words[0])
    case 2: return (words[0], words[1])
    default: return nil
    }
  }

  func validate() throws {
    guard operands != nil else {
      throw ValidationError(
        words.isEmpty
          ? "Name a destination: 'imgstore restore REF:PATH DEST'." : "Give REF, PATH and DEST.")
    }
  }

  func run() throws {
    guard let (path, destination) = operands else { return }
    let workspace = try common.open()
    if output == nil, path == nil { try workspace.requireDestination(destination, for: ref) }
    let outcome = try workspace.restore(
      ref, path: path, to: destination, overwriting: force, dryRun: dryRun)
    Terminal.finish()
    let report = outcome.report
    if json.json {
      try printJSON(outcome)
    } else if outcome.isDryRun {
      print(
        "would restore \(outcome.source) to \(outcome.destination): "
          + "\(count(outcome.entries, "entry")), \(sizeText(outcome.plannedBytes))")
    } else {
      print(
        "restored \(outcome.source) to \(outcome.destination): "
          + "\(count(outcome.entries, "entry")), \(sizeText(report.writtenBytes)); "
          + secondsText(outcome.seconds))
    }
    let problems =
      problemLines(report.problems)
      + outcome.skipped.map { "\(printable($0.path)): \($0.reason)" }
    try expectNone(problems, report)
  }
}
