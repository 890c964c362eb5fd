// imgstore copy.

import ArgumentParser
import Images
import Platform
import Store

struct Copy: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "copy",
    abstract: "Make a new image from an image or a snapshot, with a folder of its own.",
    discussion: """
      Tree, kernel, ramdisks and packed image are copied into the new profile's folder, lists are \
      copied under its name, litefile rows too. The data is shared in the store, and on the disk \
      where the file system can share blocks. Nothing that is there is overwritten. 'imgstore undo' \
      takes the copy back.

      Of an image that has changed since its latest snapshot one is taken first, in a dry run, too.

      Examples:
        imgstore copy compute compute-test
        imgstore copy compute variant --to /srv/images/variant
        imgstore copy compute@golden lab --profile lab --dry-run
      """,
    aliases: ["cp"])

  @Argument(help: "The image or snapshot to copy.") var ref: String
  @Argument(help: "The new image's name.") var name: String
  @Option(help: "The new image's profile (default: its name).") var profile: String?
  @Option(
    help: ArgumentHelp(
      "The new image's directory (default: named after it, next to the source's, or where its profile says).",
      valueName: "dir"))
  var to: String?
  @Flag(name: [.customShort("n"), .long], help: "Say what would be made; make nothing.")
  var dryRun = false
  @Flag(help: "With --dry-run: every step, a line each.") var all = false
  @OptionGroup var json: JSONFlag
  @OptionGroup var common: CommonOptions

  func run() throws {
    var request = CopyRequest(ref, to: name)
    request.profile = profile
    request.directory = to
    request.isDryRun = dryRun
    let outcome = try common.open().copy(request)
    Terminal.finish()
    let report = outcome.apply.report
    if json.json {
      try printJSON(CopyJSON(outcome))
    } else if let copied = outcome.copied {
      print(
        "copied \(outcome.source.name) to \(outcome.folder.text): "
          + "\(count(report.writtenFiles, "entry")) written (\(sizeText(report.writtenBytes)))"
          + (report.reusedFiles > 0 ? ", \(report.reusedFiles) share their data" : ""))
      if outcome.remaining?.isEmpty == true {
        print("verified: the live image matches \(copied.name)")
      }
      print("recorded as \(copied.name); \(secondsText(outcome.seconds))")
    } else {
      printPlan(outcome)
    }
    for line in SecretsText.carried(
      outcome.secrets, by: "the copy", in: outcome.source.name)
    { Terminal.warning(line) }
    var problems =
      gapLines(outcome.gaps, of: outcome.source) + problemLines(report.problems)
      + limitLines(outcome.apply)
    if let remaining = outcome.remaining, !remaining.isEmpty {
      problems.append("the copy differs from \(outcome.source.name): \(summary(remaining))")
    }
    try expectNone(problems, report)
  }

  private func printPlan(_ outcome: CopyOutcome) {
    StepsText(outcome.apply, showsAll: all).printAll()
    print(
      "a copy of \(outcome.source.name) as \(name) would take "
        + "\(count(outcome.apply.plannedSteps, "step")), \(sizeText(outcome.apply.plannedBytes)) "
        + "to write; its folder: \(outcome.folder.text)")
  }
}
