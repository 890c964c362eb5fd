// The JSON form of `copy` (docs/json.md).

import Images
import Platform

struct CopyJSON: JSONDocument {
  static let kind = "copy"
  let source: String
  let dryRun: Bool
  let copied: String?
  let folder: String
  let plannedSteps: Int
  let plannedBytes: UInt64
  let writes: [String]
  let attributes: [String]
  let report: ApplyReportJSON?
  let exact: Bool?
  let gaps: [NoteJSON]
  let secrets: SecretsJSON
  /// The error that the copy would end with; only in a dry run.
  let refused: ErrorJSON.Details?
  let seconds: Double

  init(_ outcome: CopyOutcome) {
    source = outcome.source.name
    dryRun = outcome.copied == nil
    copied = outcome.copied?.name
    folder = outcome.directory.text
    plannedSteps = outcome.apply.plannedSteps
    plannedBytes = outcome.apply.plannedBytes
    writes = outcome.apply.writes.map { printable($0) }
    attributes = outcome.apply.attributePaths.map { printable($0) }
    report = outcome.copied.map { _ in ApplyReportJSON(outcome.apply.report) }
    exact = outcome.remaining?.isEmpty
    gaps = outcome.gaps.map(NoteJSON.init)
    secrets = SecretsJSON(outcome.secrets)
    refused = outcome.refusal.map(ErrorJSON.Details.init)
    seconds = outcome.seconds
  }
}
