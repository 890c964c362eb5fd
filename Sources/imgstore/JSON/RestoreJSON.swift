// The JSON form of `restore` (docs/json.md).

import Images
import Platform

struct RestoreJSON: JSONDocument {
  static let kind = "restore"
  let source: String
  let destination: String
  let report: ApplyReportJSON
  let skipped: [ProblemJSON]
  let seconds: Double

  init(_ outcome: RestoreOutcome) {
    source = outcome.source
    destination = outcome.destination
    report = ApplyReportJSON(outcome.report)
    skipped = outcome.skipped.map { ProblemJSON(path: printable($0.path), what: $0.why) }
    seconds = outcome.seconds
  }
}
