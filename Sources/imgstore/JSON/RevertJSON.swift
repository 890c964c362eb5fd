// The JSON forms of `revert`, `undo` and `resume`, and of unfinished changes (docs/json.md).

import Images
import Platform

struct RevertJSON: JSONDocument {
  static let kind = "revert"
  let target: String
  /// The paths and components that were reverted; empty for the whole image.
  let parts: [String]
  let dryRun: Bool
  let trees: [TreeStrategyJSON]
  let plannedSteps: Int
  let plannedBytes: UInt64
  let removedBytes: UInt64
  let removals: [String]
  let writes: [String]
  let attributes: [String]
  let skipped: [ProblemJSON]
  let report: ApplyReportJSON?
  let safety: String?
  let recorded: String?
  /// The snapshot of the change that was undone; only of `undo`.
  let undone: String?
  let exact: Bool?
  let limits: [ProblemJSON]
  let remarks: [String]
  let bootFiles: BootFilesJSON?
  /// The error that the change would end with; only in a dry run.
  let refused: ErrorJSON.Details?
  let seconds: Double

  init(_ outcome: RevertOutcome, _ boot: BootCheck? = nil) {
    bootFiles = BootFilesJSON(boot)
    target = outcome.target.name
    parts = outcome.parts.paths + outcome.parts.components
    dryRun = outcome.isDryRun
    trees = outcome.apply.methods.map(TreeStrategyJSON.init)
    plannedSteps = outcome.apply.plannedSteps
    plannedBytes = outcome.apply.plannedBytes
    removedBytes = outcome.apply.removedBytes
    removals = outcome.apply.removals.map { printable($0) }
    writes = outcome.apply.writes.map { printable($0) }
    attributes = outcome.apply.attributePaths.map { printable($0) }
    skipped = outcome.apply.skipped.map { ProblemJSON(path: printable($0.path), what: $0.reason) }
    report = outcome.isDryRun ? nil : ApplyReportJSON(outcome.apply.report)
    safety = outcome.safety?.name
    recorded = outcome.recorded?.name
    undone = outcome.undone?.name
    exact = outcome.isDryRun ? nil : outcome.isExact
    limits = outcome.limits.map { ProblemJSON(path: printable($0.path), what: $0.what) }
    remarks = outcome.apply.remarks
    refused = outcome.refusal.map(ErrorJSON.Details.init)
    seconds = outcome.seconds
  }
}

struct UnfinishedJSON: Codable {
  let image: String
  let operation: String
  let command: String
  let user: String?
  let started: String
  let target: String?
  let before: String?
  let running: Bool

  init(_ change: UnfinishedChange) {
    image = change.image
    operation =
      switch change.operation {
      case .revert: "revert"
      case .importing: "import"
      case .copy: "copy"
      case .packing: "packing"
      }
    command = change.command.text
    user = change.user
    started = isoText(change.started)
    target = change.target
    before = change.before
    running = change.isRunning
  }
}

struct ResumeJSON: JSONDocument {
  static let kind = "resume"
  let change: UnfinishedJSON
  let direction: String
  let dryRun: Bool
  /// Whether unsaved changes would be snapshotted first; only in a dry run.
  let savesFirst: Bool?
  /// The error that the resume would end with; only in a dry run.
  let refused: ErrorJSON.Details?
  let revert: RevertJSON?

  init(_ outcome: ResumeOutcome, _ boot: BootCheck?) {
    change = UnfinishedJSON(outcome.change)
    direction =
      switch outcome.direction {
      case .forward: "forward"
      case .back: "back"
      case .abandon: "abandon"
      }
    dryRun = outcome.isDryRun
    savesFirst = outcome.isDryRun ? outcome.savesFirst : nil
    refused = outcome.refusal.map(ErrorJSON.Details.init)
    revert = outcome.revert.map { RevertJSON($0, boot) }
  }
}
