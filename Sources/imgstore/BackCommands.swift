// imgstore revert, restore.

import Apply
import ArgumentParser
import Images
import Platform
import Store

struct Revert: ParsableCommand {
  static let configuration = CommandConfiguration(
    abstract: "Make the live image what a snapshot says: files, tree and table rows.",
    discussion: """
      Only what differs is written, and what is extra is removed. What would be lost and is in no \
      snapshot yet is put into one first. The revert is recorded as a snapshot itself, so it can \
      be reverted like any other change. It ends with a proof: the live image, compared again.
      """)

  @Argument(help: "The snapshot to go back to.") var ref: String
  @Flag(name: [.customShort("n"), .long], help: "Print what would be done; change nothing.")
  var dryRun = false
  @OptionGroup var json: JSONFlag
  @OptionGroup var common: CommonOptions

  func run() throws {
    let outcome = try common.open().revert(ref, dryRun: dryRun)
    Terminal.finish()
    if json.json { try printJSON(RevertJSON(outcome)) } else { describe(outcome) }
    var problems = outcome.apply.report.problems.map { "\(printable($0.path)): \($0.what)" }
    if !outcome.isExact, let remaining = outcome.remaining {
      problems.append(
        "the live image still differs from \(outcome.target.name): \(summary(remaining))")
    }
    if !outcome.uncompared.isEmpty {
      problems.append("\(count(outcome.uncompared.count, "entry")) could not be compared")
      problems += outcome.uncompared.map(noteText)
    }
    if !outcome.isDryRun {
      problems += outcome.apply.skipped.map { "\(printable($0.path)): left alone: \($0.why)" }
    }
    if !problems.isEmpty { throw DoneWithProblems(lines: problems) }
  }

  private func describe(_ outcome: RevertOutcome) {
    let apply = outcome.apply
    if outcome.isDryRun {
      for path in apply.removals { print("remove  \(printable(path))") }
      for path in apply.writes { print("write   \(printable(path))") }
      for path in apply.attributePaths { print("attrs   \(printable(path))") }
      for change in apply.attributes {
        print("set     \(change.table).\(change.column)=\(change.new ?? "")")
      }
      for skip in apply.skipped { print("leave   \(printable(skip.path)) (\(skip.why))") }
      print(
        "\na revert to \(outcome.target.name) would take \(count(apply.plannedSteps, "step")), "
          + "write \(sizeText(apply.plannedBytes)) and remove \(count(apply.removals.count, "entry"))"
      )
      return
    }
    if let safety = outcome.safety {
      print("what was live before is kept as \(safety.name)")
    }
    let report = apply.report
    print(
      "wrote \(count(report.writtenFiles, "entry")) (\(sizeText(report.writtenBytes))), "
        + "removed \(report.removed), changed attributes of \(report.changedAttributes)")
    if outcome.isExact, outcome.uncompared.isEmpty {
      print("live image is identical to \(outcome.target.name): proved by a new comparison")
    }
    if let recorded = outcome.recorded {
      print("recorded as \(recorded.name); \(secondsText(outcome.seconds))")
    }
  }
}

struct Restore: ParsableCommand {
  static let configuration = CommandConfiguration(
    abstract: "Write a tree or a file of a snapshot into an empty place.",
    discussion: """
      REF alone restores the root tree as DIR. REF:PATH restores that entry: PATH is an absolute \
      path of the management node, or a path inside the root tree.
      """)

  @Argument(help: "REF or REF:PATH.") var ref: String
  @Argument(help: "A folder that is empty or not there yet; for a file, also a file name.") var dir:
    String
  @OptionGroup var json: JSONFlag
  @OptionGroup var common: CommonOptions

  func run() throws {
    let outcome = try common.open().restore(ref, to: dir)
    Terminal.finish()
    let report = outcome.report
    if json.json {
      try printJSON(RestoreJSON(outcome))
    } else {
      print(
        "restored \(outcome.source) to \(outcome.destination): "
          + "\(count(report.writtenFiles, "entry")), \(sizeText(report.writtenBytes)); "
          + secondsText(outcome.seconds))
    }
    let problems =
      problemLines(report.problems)
      + outcome.skipped.map { "\(printable($0.path)): \($0.why)" }
    if !problems.isEmpty { throw DoneWithProblems(lines: problems) }
  }
}

/// Problems, many of one kind folded.
func problemLines(_ problems: [ApplyProblem]) -> [String] {
  var lines: [String] = []
  for problem in problems.prefix(20) { lines.append("\(printable(problem.path)): \(problem.what)") }
  if problems.count > 20 { lines.append("… and \(problems.count - 20) more of this kind") }
  return lines
}
