// The JSON forms of what the changing commands did (docs/json.md).

import Apply
import Images
import Platform
import Store

struct ProblemJSON: Codable {
  let path: String
  let what: String
}

struct ApplyReportJSON: Codable {
  let writtenEntries: Int
  let writtenBytes: UInt64
  let reusedEntries: Int
  let removedEntries: Int
  let changedAttributes: Int
  let problems: [ProblemJSON]

  init(_ report: ApplyReport) {
    writtenEntries = report.writtenFiles
    writtenBytes = report.writtenBytes
    reusedEntries = report.reusedFiles
    removedEntries = report.removed
    changedAttributes = report.changedAttributes
    problems = report.problems.map { ProblemJSON(path: printable($0.path), what: $0.what) }
  }
}

struct TreeStrategyJSON: Codable {
  let path: String
  let method: String
  let why: String

  init(_ method: TreeStrategy) {
    path = printable(method.path)
    self.method = method.isSwap ? "swap" : "in place"
    why = method.why
  }
}

struct RevertJSON: JSONDocument {
  static let kind = "revert"
  let target: String
  /// Paths and components that were reverted; empty for the whole image.
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
  let exact: Bool?
  let limits: [ProblemJSON]
  let remarks: [String]
  let bootFiles: BootFilesJSON?
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
    skipped = outcome.apply.skipped.map { ProblemJSON(path: printable($0.path), what: $0.why) }
    report = outcome.isDryRun ? nil : ApplyReportJSON(outcome.apply.report)
    safety = outcome.safety?.name
    recorded = outcome.recorded?.name
    exact = outcome.isDryRun ? nil : outcome.isExact
    limits = outcome.limits.map { ProblemJSON(path: printable($0.path), what: $0.what) }
    remarks = outcome.apply.remarks
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
    command = change.command
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
  let revert: RevertJSON?

  init(_ outcome: ResumeOutcome, _ boot: BootCheck?) {
    change = UnfinishedJSON(outcome.change)
    direction =
      switch outcome.direction {
      case .forward: "forward"
      case .back: "back"
      case .abandon: "abandon"
      }
    revert = outcome.revert.map { RevertJSON($0, boot) }
  }
}

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
  let seconds: Double

  init(_ outcome: CopyOutcome) {
    source = outcome.source.name
    dryRun = outcome.copied == nil
    copied = outcome.copied?.name
    folder = outcome.folder.text
    plannedSteps = outcome.apply.plannedSteps
    plannedBytes = outcome.apply.plannedBytes
    writes = outcome.apply.writes.map { printable($0) }
    attributes = outcome.apply.attributePaths.map { printable($0) }
    report = outcome.copied.map { _ in ApplyReportJSON(outcome.apply.report) }
    exact = outcome.remaining?.isEmpty
    gaps = outcome.gaps.map(NoteJSON.init)
    secrets = SecretsJSON(outcome.secrets)
    seconds = outcome.seconds
  }
}

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

struct ExportJSON: JSONDocument {
  static let kind = "export"
  struct Member: Codable {
    let name: String
    let path: String
  }
  let snapshot: String?
  let destination: String
  let dryRun: Bool
  let sizeBytes: UInt64?
  let contentBytes: UInt64
  let members: [Member]
  let gaps: [NoteJSON]
  let missing: [ProblemJSON]
  let secrets: SecretsJSON
  let seconds: Double

  /// - Parameter destination: where the bundle is, or would be.
  init(_ outcome: ExportOutcome, destination: String) {
    snapshot = outcome.snapshot.name
    self.destination = destination
    dryRun = outcome.isDryRun
    sizeBytes = outcome.isDryRun ? nil : outcome.sizeBytes
    contentBytes = outcome.contentBytes
    members = outcome.members.map { Member(name: $0.name, path: $0.path) }
    gaps = outcome.gaps.map(NoteJSON.init)
    missing = outcome.missing.map { ProblemJSON(path: $0.path, what: $0.why) }
    secrets = SecretsJSON(outcome.secrets)
    seconds = outcome.seconds
  }
}

struct SiteReplacementJSON: Codable {
  let name: String
  let effect: String
}

struct PrivilegedJSON: Codable {
  let path: String
  let kinds: [String]
  let detail: String
  let package: String?
  let standard: Bool

  init(_ entry: PrivilegedEntry) {
    path = printable(entry.path)
    kinds = entry.kinds.map(\.rawValue)
    detail = entry.detail
    package = entry.package
    standard = entry.isStandard
  }
}

struct ImportJSON: JSONDocument {
  static let kind = "import"
  struct Image: Codable {
    let name: String
    let snapshot: SnapshotJSON?
    let replaced: Bool
    let safety: String?
    let undo: String?
    let plannedSteps: Int
    let plannedBytes: UInt64
    let writes: [String]
    let removals: [String]
    let attributes: [DiffJSON.Attribute]
    let skipped: [ProblemJSON]
    let report: ApplyReportJSON?
    let exact: Bool?
    let remarks: [String]
    let siteReplacements: [SiteReplacementJSON]
    let privileged: [PrivilegedJSON]
    let bootFiles: BootFilesJSON?
  }
  let dryRun: Bool
  let bundleBytes: UInt64
  let images: [Image]
  /// Who signed the images where they come from.
  let origins: [OriginJSON]
  let seconds: Double

  /// - Parameter undo: the snapshot that a revert to undoes the import of an image.
  init(
    _ outcome: ImportOutcome, _ boot: [String: BootCheck], undo: (ImportedImage) -> String?
  ) {
    dryRun = outcome.isDryRun
    bundleBytes = outcome.bundleBytes
    origins = outcome.origins.map(OriginJSON.init)
    seconds = outcome.seconds
    images = outcome.images.map { image in
      Image(
        name: image.name, snapshot: image.imported.map { SnapshotJSON($0, tags: [], full: true) },
        replaced: image.replaced, safety: image.safety?.name, undo: undo(image),
        plannedSteps: image.apply.plannedSteps, plannedBytes: image.apply.plannedBytes,
        writes: image.apply.writes.map { printable($0) },
        removals: image.apply.removals.map { printable($0) },
        attributes: image.apply.attributes.map {
          DiffJSON.Attribute(table: $0.table, column: $0.column, old: $0.old, new: $0.new)
        },
        skipped: image.apply.skipped.map { ProblemJSON(path: printable($0.path), what: $0.why) },
        report: outcome.isDryRun ? nil : ApplyReportJSON(image.apply.report),
        exact: outcome.isDryRun ? nil : image.remaining?.isEmpty ?? true,
        remarks: image.remarks + image.notes.map(noteText),
        siteReplacements: image.siteReplacements.map {
          SiteReplacementJSON(name: $0.name, effect: $0.effect.rawValue)
        },
        privileged: image.privileged.map { PrivilegedJSON($0) },
        bootFiles: BootFilesJSON(boot[image.name]))
    }
  }
}

struct VerifyJSON: JSONDocument {
  static let kind = "verify"
  struct Problem: Codable {
    let object: String
    let finding: String
    let affects: [ProblemJSON]
  }
  /// How much of the store was read since when.
  struct Coverage: Codable {
    let packs: Int
    let bytes: UInt64
    let uncheckedPacks: Int
    let uncheckedBytes: UInt64
    let oldestCheck: String?
  }
  let deep: Bool
  let clean: Bool
  let snapshots: Int
  let packs: Int
  let objects: Int
  let checkedBytes: UInt64
  let coverage: Coverage?
  let incomplete: [String]
  let problems: [Problem]
  let signatures: SignatureReportJSON?

  init(_ report: VerifyReport, deep: Bool, signatures: SignatureReport? = nil) {
    self.signatures = signatures.map(SignatureReportJSON.init)
    self.deep = deep
    clean = report.isClean
    snapshots = report.snapshots
    packs = report.packs
    objects = report.objects
    checkedBytes = report.checkedBytes
    coverage = report.coverage.map {
      Coverage(
        packs: $0.packs, bytes: $0.bytes, uncheckedPacks: $0.uncheckedPacks,
        uncheckedBytes: $0.uncheckedBytes,
        oldestCheck: $0.oldestCheck.map { isoText(Timestamp(seconds: $0, nanoseconds: 0)) })
    }
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

struct ReindexJSON: JSONDocument {
  static let kind = "reindex"
  let packs: Int
  let objects: Int
  let storedBytes: UInt64
}
