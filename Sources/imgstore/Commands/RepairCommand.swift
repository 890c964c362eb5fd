// imgstore repair.

import ArgumentParser
import Images

struct RepairCommand: ParsableCommand, ReportingCommand {
  static let configuration = CommandConfiguration(
    commandName: "repair",
    abstract: "Repair a damaged store from other copies of its data",
    discussion: """
      The command rebuilds the index, copies the undamaged data of damaged packs to new packs, and \
      puts moved refs, tags and pins back. It searches the sources and the live images for lost \
      content by its hash.

      Damaged files move to the directory quarantine/ of the store; the command deletes nothing. It \
      lists data that remains lost by snapshot and path. A second run finds nothing to do.

      A dry run lists the data that would remain lost, and has the exit code of the repair. It also \
      works on a read-only store.
      """)

  @Option(
    name: .customLong("from"),
    help: ArgumentHelp(
      "Search another store, a bundle, a packed image or a directory, too; repeatable",
      valueName: "path"))
  var sources: [String] = []
  @Flag(help: "Do not search the live images") var noLive = false
  @Flag(
    name: [.customShort("n"), .long], help: "Print the plan without changing anything")
  var dryRun = false
  @OptionGroup var json: JSONFlag
  @OptionGroup var common: CommonOptions

  func run() throws {
    var options = RepairOptions()
    options.sources = sources
    options.readsLive = !noLive
    options.isDryRun = dryRun
    let outcome = try common.open().repair(options)
    if try !json.prints(outcome) {
      for action in outcome.actions { print("\(action.object): \(action.what)") }
      if outcome.actions.isEmpty {
        print(
          outcome.isClean
            ? "nothing to do"
            : "nothing can be repaired" + (sources.isEmpty ? "" : " from these sources"))
      }
      for path in outcome.quarantined { print("  moved to \(path)") }
      if outcome.healedObjects > 0, !dryRun {
        print("recovered \(count(outcome.healedObjects, "object"))")
      }
      print("\(result(outcome)); \(secondsText(outcome.seconds))")
    }
    if outcome.isClean, outcome.sourceProblems.isEmpty { return }
    throw CompletedWithWarnings(lines: lines(outcome), isDamage: !outcome.isClean)
  }

  private func result(_ outcome: RepairOutcome) -> String {
    let lost = text(outcome.losses.counts)
    guard outcome.isDryRun else {
      return outcome.isClean ? "nothing is lost" : "still lost: \(lost)"
    }
    let damaged =
      outcome.damagedPathCount == 0
      ? "" : "damaged or lost now: \(text(outcome.damage)); "
    return damaged
      + (outcome.losses.isEmpty ? "nothing would remain lost" : "would remain lost: \(lost)")
  }

  /// Returns the numbers of losses: "2 snapshots, 3 paths".
  private func text(_ counts: LossCounts) -> String {
    [(counts.snapshots, "snapshot"), (counts.paths, "path"), (counts.marks, "tag or pin")]
      .filter { $0.0 > 0 }
      .map { $0.1 == "tag or pin" && $0.0 > 1 ? "\($0.0) tags or pins" : count($0.0, $0.1) }
      .joined(separator: ", ")
  }

  private func lines(_ outcome: RepairOutcome) -> [String] {
    let shown = 40
    var lines = outcome.sourceProblems.map { "source \($0.object): \($0.what)" }
    let lostSnapshots = Set(outcome.losses.lostSnapshots.map { "\($0)" })
    let listed = outcome.losses.paths.filter {
      !$0.path.isEmpty || !lostSnapshots.contains($0.snapshot)
    }
    lines += lostLines(outcome.losses.lostSnapshots)
    for lost in listed.prefix(shown) {
      lines.append(
        lost.path.isEmpty
          ? "\(lost.snapshot): \(lost.reason)"
          : "\(lost.snapshot): \(printable(lost.path)): \(lost.reason)")
    }
    let rest = outcome.losses.pathCount - lostSnapshots.count - min(shown, listed.count)
    if rest > 0 { lines.append("… and \(rest) more losses ('--json' lists them)") }
    lines += outcome.problems.prefix(shown).map { "\($0.object): \($0.reason)" }
    return lines
  }
}
