// imgstore maintain.

import ArgumentParser
import Images

struct MaintainCommand: ParsableCommand, ReportingCommand {
  static let configuration = CommandConfiguration(
    commandName: "maintain",
    abstract: "Take due snapshots, apply retention, free space, and verify",
    discussion: """
      The one job for a timer or cron. In this order, the command takes the snapshots that are due by the \
      'schedule' of each image (default: daily), removes snapshots by its 'retention' (default: none), runs \
      'gc', 'optimize' and 'verify' within the limits of the section 'maintain', and writes the metrics. \
      Packs that were verified the longest time ago come first.

      An image whose tree is missing or empty gets no snapshot, and keeps all that it has. The command skips \
      images that another process uses; --wait waits for them. It prints one line, with -q only problems.

      Exit codes: 0 all is well; 3 something failed, or a snapshot is incomplete; 4 something was busy and \
      was skipped; 5 stored data is damaged; 6 an image has an unfinished change; 8 another maintain is \
      running. The first of 5, 6, 3, 4 that applies is the exit code.

      Examples:
        imgstore maintain --dry-run
        imgstore maintain -q
      """)

  @Flag(
    name: [.customShort("n"), .long],
    help: "Print what would be done without changing anything; run no hooks")
  var dryRun = false
  @OptionGroup var json: JSONFlag
  @OptionGroup var common: CommonOptions

  func run() throws {
    var request = MaintenanceRequest()
    request.isDryRun = dryRun
    request.exitStatus = MaintainCommand.exitStatus
    let workspace = try common.open(
      configuration: common.configuration(), waits: false,
      warn: { Terminal.log($0, .warning) })
    let outcome = try workspace.maintain(request)
    Terminal.finish()
    if json.json {
      try printJSON(outcome)
    } else {
      if dryRun { for image in outcome.images { print(MaintenanceText.line(image)) } }
      print(MaintenanceText.summary(outcome))
    }
    for problem in outcome.problems {
      Terminal.log(
        MaintenanceText.line(problem), problem.severity == .busy ? .warning : .error,
        [("IMGSTORE_CODE", problem.code.rawValue)]
          + (problem.image.map { [("IMGSTORE_IMAGE", $0)] } ?? []))
    }
    if outcome.result != .ok {
      throw CompletedWithWarnings(
        lines: [], isDamage: outcome.result == .damaged,
        failure: MaintainCommand.failures[outcome.result])
    }
  }

  /// The codes of the results that have exit codes of their own.
  private static let failures: [MaintenanceResult: ErrorCode] = [
    .busy: .busy, .unfinished: .changeUnfinished,
  ]

  @Sendable private static func exitStatus(_ result: MaintenanceResult) -> Int32 {
    switch result {
    case .ok: ExitStatus.done
    case .busy: ExitStatus.busy
    case .problems: ExitStatus.problems
    case .unfinished: ExitStatus.unfinished
    case .damaged: ExitStatus.damaged
    }
  }
}
