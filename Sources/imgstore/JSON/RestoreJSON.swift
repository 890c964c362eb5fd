// The JSON form of `restore` (docs/json.md).

import Images
import Platform

struct RestoreJSON: JSONDocument {
  static let kind = "restore"
  let source: String
  let destination: String
  let dryRun: Bool
  let entries: Int
  let plannedBytes: UInt64
  let report: ApplyReportJSON?
  let skipped: [ProblemJSON]
  let seconds: Double

  init(_ outcome: RestoreOutcome) {
    source = outcome.source
    destination = outcome.destination
    dryRun = outcome.isDryRun
    entries = outcome.entries
    plannedBytes = outcome.plannedBytes
    report = outcome.isDryRun ? nil : ApplyReportJSON(outcome.report)
    skipped = outcome.skipped.map { ProblemJSON(path: printable($0.path), what: $0.reason) }
    seconds = outcome.seconds
  }
}
