// The JSON form of `import` (docs/json.md).

import Images
import Platform

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
  /// The signatures that the images had at their origin.
  let origins: [OriginJSON]
  /// The error that the import would end with; only in a dry run.
  let refused: ErrorJSON.Details?
  let seconds: Double

  /// - Parameter undo: Returns the snapshot to revert to in order to undo the import of an image.
  init(
    _ outcome: ImportOutcome, _ boot: [String: BootCheck], undo: (ImportedImage) -> String?
  ) {
    dryRun = outcome.isDryRun
    bundleBytes = outcome.bundleBytes
    origins = outcome.origins.map(OriginJSON.init)
    refused = outcome.refusal.map(ErrorJSON.Details.init)
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
        skipped: image.apply.skipped.map { ProblemJSON(path: printable($0.path), what: $0.reason) },
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
