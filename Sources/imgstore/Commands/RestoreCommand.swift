// imgstore restore: parts of a snapshot, written somewhere else.

import ArgumentParser
import Images
import Platform

struct Restore: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "restore",
    abstract: "Write a tree, a folder or a file of a snapshot somewhere else.",
    usage: "imgstore restore [<options>] <ref> [<path>] <dest>",
    discussion: """
      REF alone is the root tree. PATH is a path inside it, or an absolute path of the management node. Owners, \
      modes, times, links, attributes and holes are kept. DEST is a folder that is empty or not there yet; a file \
      may also go into a folder.

      What is there already is not overwritten, unless --force says so: then entries of the snapshot replace those \
      of the same name, one by one and each at once, and what the snapshot does not have stays. To bring back a \
      live image, or a part of it, use 'imgstore revert'.

      Examples:
        imgstore restore compute@golden /tmp/golden
        imgstore restore compute@golden:etc/ssh /tmp/ssh
        imgstore restore compute@golden etc/hosts -o /tmp/hosts
      """,
    aliases: ["extract"])

  @Argument(help: "REF or REF:PATH.") var ref: String
  @Argument(
    help: ArgumentHelp("The path, where REF has none, and the destination.", valueName: "dest")
  )
  var words: [String] = []
  @Option(
    name: [.customShort("o"), .long],
    help: ArgumentHelp("The destination.", valueName: "dest"))
  var output: String?
  @Flag(help: "Replace what is there.") var force = false
  @OptionGroup var json: JSONFlag
  @OptionGroup var common: CommonOptions

  /// The path that stands apart from the reference, and the destination.
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
          ? "Say where to: 'imgstore restore REF:PATH DEST'." : "Give REF, PATH and DEST.")
    }
  }

  func run() throws {
    guard let (path, destination) = operands else { return }
    let outcome = try common.open().restore(ref, path: path, to: destination, overwriting: force)
    Terminal.finish()
    let report = outcome.report
    if json.json {
      try printJSON(RestoreJSON(outcome))
    } else {
      print(
        "restored \(outcome.source) to \(outcome.destination): "
          + "\(count(outcome.entries, "entry")), \(sizeText(report.writtenBytes)); "
          + secondsText(outcome.seconds))
    }
    let problems =
      problemLines(report.problems)
      + outcome.skipped.map { "\(printable($0.path)): \($0.why)" }
    try expectNone(problems, report)
  }
}
