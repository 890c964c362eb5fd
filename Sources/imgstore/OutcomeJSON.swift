// The JSON forms of what the changing commands did (docs/json.md).

import Apply
import Images
import Platform
import Store

struct ProblemJSON: Encodable {
  let path: String
  let what: String
}

struct ApplyReportJSON: Encodable {
  let writtenEntries: Int
  let writtenBytes: UInt64
  let removedEntries: Int
  let changedAttributes: Int
  let problems: [ProblemJSON]

  init(_ report: ApplyReport) {
    writtenEntries = report.writtenFiles
    writtenBytes = report.writtenBytes
    removedEntries = report.removed
    changedAttributes = report.changedAttributes
    problems = report.problems.map { ProblemJSON(path: printable($0.path), what: $0.what) }
  }
}

struct RevertJSON: Encodable {
  let target: String
  let dryRun: Bool
  let plannedSteps: Int
  let plannedBytes: UInt64
  let removals: [String]
  let writes: [String]
  let skipped: [ProblemJSON]
  let report: ApplyReportJSON?
  let safety: String?
  let recorded: String?
  let exact: Bool?
  let seconds: Double

  init(_ outcome: RevertOutcome) {
    target = outcome.target.name
    dryRun = outcome.isDryRun
    plannedSteps = outcome.apply.plannedSteps
    plannedBytes = outcome.apply.plannedBytes
    removals = outcome.apply.removals.map { printable($0) }
    writes = outcome.apply.writes.map { printable($0) }
    skipped = outcome.apply.skipped.map { ProblemJSON(path: printable($0.path), what: $0.why) }
    report = outcome.isDryRun ? nil : ApplyReportJSON(outcome.apply.report)
    safety = outcome.safety?.name
    recorded = outcome.recorded?.name
    exact = outcome.isDryRun ? nil : outcome.isExact
    seconds = outcome.seconds
  }
}

struct RestoreJSON: Encodable {
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

struct ExportJSON: Encodable {
  let snapshot: String
  let destination: String
  let sizeBytes: UInt64
  let files: Int
  let seconds: Double

  init(_ outcome: ExportOutcome) {
    snapshot = outcome.snapshot.name
    destination = outcome.destination ?? "-"
    sizeBytes = outcome.sizeBytes
    files = outcome.members
    seconds = outcome.seconds
  }
}

struct ImportJSON: Encodable {
  let snapshot: SnapshotJSON
  let safety: String?
  let report: ApplyReportJSON
  let exact: Bool
  let seconds: Double

  init(_ outcome: ImportOutcome) {
    snapshot = SnapshotJSON(outcome.imported, tags: [], full: true)
    safety = outcome.safety?.name
    report = ApplyReportJSON(outcome.apply.report)
    exact = outcome.remaining.isEmpty
    seconds = outcome.seconds
  }
}

struct VerifyJSON: Encodable {
  struct Problem: Encodable {
    let object: String
    let finding: String
    let affects: [ProblemJSON]
  }
  let deep: Bool
  let clean: Bool
  let snapshots: Int
  let packs: Int
  let objects: Int
  let checkedBytes: UInt64
  let incomplete: [String]
  let problems: [Problem]

  init(_ report: VerifyReport, deep: Bool) {
    self.deep = deep
    clean = report.isClean
    snapshots = report.snapshots
    packs = report.packs
    objects = report.objects
    checkedBytes = report.checkedBytes
    incomplete = report.incomplete
    problems = report.problems.map { problem in
      Problem(
        object: problem.object, finding: problem.finding,
        affects: problem.affected.map {
          ProblemJSON(path: printable($0.path), what: $0.snapshot)
        })
    }
  }
}

struct ReindexJSON: Encodable {
  let packs: Int
  let objects: Int
  let storedBytes: UInt64
}
