// The outcome of `maintain` as text.

import Images

/// Formats the outcome of `maintain`.
enum MaintenanceText {
  /// Returns the summary: one line.
  static func summary(_ outcome: MaintenanceOutcome) -> String {
    func number(_ action: MaintainedAction) -> Int {
      outcome.images.count { $0.action == action }
    }
    var parts = [count(outcome.images.count, "image")]
    let recorded = number(outcome.isDryRun ? .wouldRecord : .recorded)
    parts.append("\(count(recorded, "new snapshot")), \(number(.unchanged)) unchanged")
    let others = outcome.images.count - recorded - number(.unchanged)
    if others > 0 { parts.append("\(others) skipped") }
    let forgotten = outcome.images.reduce(0) { $0 + $1.forgotten.count }
    if forgotten > 0 { parts.append("\(count(forgotten, "old snapshot")) removed") }
    let standby = outcome.images.reduce(0) { $0 + $1.standby.count }
    if standby > 0 { parts.append(count(standby, "standby tree")) }
    let pushed = outcome.pushes.reduce(0) { $0 + $1.snapshots }
    if pushed > 0 {
      let bytes = outcome.pushes.reduce(0) { $0 &+ $1.bytes }
      parts.append("\(count(pushed, "snapshot")) pushed (\(sizeText(bytes)))")
    }
    if let bytes = outcome.collectableBytes { parts.append("\(sizeText(bytes)) to free") }
    let freed = (outcome.collection?.freedBytes ?? 0) + (outcome.optimization?.freedBytes ?? 0)
    if freed > 0 { parts.append("freed \(sizeText(UInt64(freed)))") }
    if let report = outcome.verification {
      parts.append("verified \(count(report.packs, "pack")), \(sizeText(report.checkedBytes))")
    }
    if !outcome.problems.isEmpty { parts.append(count(outcome.problems.count, "problem")) }
    return (outcome.isDryRun ? "would maintain " : "maintained ") + parts.joined(separator: ", ")
      + "; " + secondsText(outcome.seconds)
  }

  /// Returns what a dry run found about an image.
  static func line(_ image: MaintainedImage) -> String {
    let text =
      switch image.action {
      case .wouldRecord: "would take a snapshot"
      case .recorded: "recorded"
      case .unchanged: "unchanged"
      case .notDue: "not due"
      case .never: "never snapshotted (schedule)"
      case .busy: "busy"
      case .unfinished: "has an unfinished change"
      case .undefined: "is not defined: its snapshots stay"
      case .failed: "no snapshot"
      }
    let forgotten = image.forgotten.map { "\($0)" }.joined(separator: ", ")
    let standby = image.standby.joined(separator: ", ")
    return "\(image.name): \(text)" + (forgotten.isEmpty ? "" : "; would remove \(forgotten)")
      + (standby.isEmpty ? "" : "; would make the standby tree of \(standby)")
  }

  /// Returns a problem as a line that names its image.
  static func line(_ problem: MaintenanceProblem) -> String {
    guard let image = problem.image, !problem.message.contains(image) else {
      return problem.message
    }
    return "image \(image): \(problem.message)"
  }
}
