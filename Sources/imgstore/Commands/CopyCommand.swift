// imgstore copy.

import ArgumentParser
import Images

struct CopyCommand: ParsableCommand, ReportingCommand {
  static let configuration = CommandConfiguration(
    commandName: "copy",
    abstract: "Copy an image or a snapshot to a new image",
    discussion: """
      The command copies tree, kernel, ramdisks and packed image into the directory of the new \
      profile. It also copies lists and litefile rows under the new name. Both images share their \
      data in the store, and on the disk if the file system can share blocks. The command overwrites \
      nothing. 'imgstore undo' removes the copy.

      If the image has changed since its latest snapshot, the command takes a snapshot first, even \
      in a dry run.

      Examples:
        imgstore copy compute compute-test
        imgstore copy compute variant --to /srv/images/variant
        imgstore copy compute@golden lab --profile lab --dry-run
      """,
    aliases: ["cp"])

  @Argument(help: "Image or snapshot to copy") var ref: String
  @Argument(help: "Name of the new image") var name: String
  @Option(help: "Profile of the new image (default: its name)") var profile: String?
  @Option(
    help: ArgumentHelp(
      "Directory of the new image (default: next to the source's, or by its profile)",
      valueName: "dir"))
  var to: String?
  @Flag(name: [.customShort("n"), .long], help: "Print the plan without creating anything")
  var dryRun = false
  @Flag(help: "With --dry-run, list every step") var all = false
  @OptionGroup var trust: TrustOptions
  @OptionGroup var json: JSONFlag
  @OptionGroup var common: CommonOptions

  func run() throws {
    var request = CopyRequest(ref, to: name)
    request.profile = profile
    request.directory = to
    request.isDryRun = dryRun
    request.trust = trust.trust
    let outcome = try common.open().copy(request)
    Terminal.finish()
    let report = outcome.apply.report
    if json.json {
      try printJSON(outcome)
    } else if let copied = outcome.copied {
      print(
        "copied \(outcome.source.name) to \(outcome.directory.text): "
          + "\(count(report.writtenFiles, "entry")) written (\(sizeText(report.writtenBytes)))"
          + (report.reusedFiles > 0 ? ", \(report.reusedFiles) share their data" : ""))
      if outcome.remaining?.isEmpty == true {
        print("verified: the live image matches \(copied.name)")
      }
      print("recorded as \(copied.name); \(secondsText(outcome.seconds))")
    } else {
      printPlan(outcome)
    }
    if let line = SecretsText.copied(outcome.secrets, in: outcome.source.name) {
      Terminal.warning(line)
    }
    try expectNotRefused(outcome.refusal)
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
        + "to write; its directory: \(outcome.directory.text)")
  }
}
