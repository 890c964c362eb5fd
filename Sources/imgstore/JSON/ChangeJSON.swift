// The JSON forms of changes and bundles, with the facts that the command line adds to an outcome
// (docs/json.md).

import Images

struct BootFilesJSON: JSONObject {
  private let report: BootFilesReport
  private let nodeset: NodesetOutcome?

  /// - Returns: nil if the boot files were not compared.
  init?(_ check: BootCheck?) {
    guard let check, let report = check.report else { return nil }
    (self.report, nodeset) = (report, check.nodeset)
  }

  static let form = JSONForm<Self> { key in
    key("copies", \.report.copies)
    key("current", \.report.stale.isEmpty)
    key("nodes", \.report.nodes)
    key("elsewhere", \.report.elsewhere)
    key("unclear", \.report.unclear)
    key("command", \.report.command?.text)
    key("problem", \.report.problem)
    key("nodeset", \.nodeset)
  }
}

struct RevertJSON: JSONDocument {
  let outcome: RevertOutcome
  let boot: BootCheck?

  static let form = JSONForm<Self>(kind: "revert") { key in
    key("target", \.outcome.target.name)
    key("parts") { $0.outcome.parts.paths + $0.outcome.parts.components }
    key("dryRun", \.outcome.isDryRun)
    key("trees", \.outcome.apply.methods)
    key("plannedSteps", \.outcome.apply.plannedSteps)
    key("plannedBytes", \.outcome.apply.plannedBytes)
    key("removedBytes", \.outcome.apply.removedBytes)
    key("removals") { $0.outcome.apply.removals.map { printable($0) } }
    key("writes") { $0.outcome.apply.writes.map { printable($0) } }
    key("attributes") { $0.outcome.apply.attributePaths.map { printable($0) } }
    key("skipped") { $0.outcome.apply.skipped.map(ApplyProblem.init) }
    key("report") { $0.outcome.isDryRun ? nil : $0.outcome.apply.report }
    key("safety", \.outcome.safety?.name)
    key("recorded", \.outcome.recorded?.name)
    key("undone", \.outcome.undone?.name)
    key("exact") { $0.outcome.isDryRun ? nil : $0.outcome.isExact }
    key("limits", \.outcome.limits)
    key("remarks", \.outcome.apply.remarks)
    key("bootFiles") { BootFilesJSON($0.boot) }
    key("refused") { $0.outcome.refusal.map(ErrorDetails.init) }
    key("seconds", \.outcome.seconds)
  }
}

struct ResumeJSON: JSONDocument {
  let outcome: ResumeOutcome
  let boot: BootCheck?

  static let form = JSONForm<Self>(kind: "resume") { key in
    key("change", \.outcome.change)
    key("direction") { "\($0.outcome.direction)" }
    key("dryRun", \.outcome.isDryRun)
    key("savesFirst") { $0.outcome.isDryRun ? $0.outcome.savesFirst : nil }
    key("refused") { $0.outcome.refusal.map(ErrorDetails.init) }
    key("revert") { document in
      document.outcome.revert.map { RevertJSON(outcome: $0, boot: document.boot) }
    }
  }
}

struct ExportJSON: JSONDocument {
  let outcome: ExportOutcome
  /// The path of the bundle, in a dry run the planned one.
  let destination: String

  static let form = JSONForm<Self>(kind: "export") { key in
    key("snapshot") { Optional($0.outcome.snapshot.name) }
    key("destination", \.destination)
    key("dryRun", \.outcome.isDryRun)
    key("sizeBytes") { $0.outcome.isDryRun ? nil : $0.outcome.sizeBytes }
    key("contentBytes", \.outcome.contentBytes)
    key("members") { $0.outcome.members.map(Member.init) }
    key("gaps", \.outcome.gaps)
    key("missing", \.outcome.missing)
    key("secrets", \.outcome.secrets)
    key("seconds", \.outcome.seconds)
  }

  private struct Member: JSONObject {
    let name: String
    let path: String

    static let form = JSONForm<Self>("Export.Member") { key in
      key("name", \.name)
      key("path", \.path)
    }
  }
}

struct ImportJSON: JSONDocument {
  private let outcome: ImportOutcome
  private let images: [Image]

  /// - Parameters:
  ///   - boot: The comparisons of the images' boot files.
  ///   - undo: Returns the snapshot to revert to in order to undo the import of an image.
  init(
    _ outcome: ImportOutcome, _ boot: [String: BootCheck], undo: (ImportedImage) -> String?
  ) {
    self.outcome = outcome
    images = outcome.images.map {
      Image(image: $0, isDryRun: outcome.isDryRun, undo: undo($0), boot: boot[$0.name])
    }
  }

  static let form = JSONForm<Self>(kind: "import") { key in
    key("dryRun", \.outcome.isDryRun)
    key("bundleBytes", \.outcome.bundleBytes)
    key("images", \.images)
    key("origins", \.outcome.origins)
    key("refused") { $0.outcome.refusal.map(ErrorDetails.init) }
    key("seconds", \.outcome.seconds)
  }

  struct Image: JSONObject {
    let image: ImportedImage
    let isDryRun: Bool
    let undo: String?
    let boot: BootCheck?

    static let form = JSONForm<Self> { key in
      key("name", \.image.name)
      key("snapshot") {
        $0.image.imported.map { SnapshotJSON(committed: $0, tags: [], full: true) }
      }
      key("replaced", \.image.replaced)
      key("safety", \.image.safety?.name)
      key("undo", \.undo)
      key("plannedSteps", \.image.apply.plannedSteps)
      key("plannedBytes", \.image.apply.plannedBytes)
      key("writes") { $0.image.apply.writes.map { printable($0) } }
      key("removals") { $0.image.apply.removals.map { printable($0) } }
      key("attributes", \.image.apply.attributes)
      key("skipped") { $0.image.apply.skipped.map(ApplyProblem.init) }
      key("report") { $0.isDryRun ? nil : $0.image.apply.report }
      key("exact") { $0.isDryRun ? nil : $0.image.remaining?.isEmpty ?? true }
      key("remarks") { $0.image.remarks + $0.image.notes.map(noteText) }
      key("siteReplacements", \.image.siteReplacements)
      key("privileged", \.image.privileged)
      key("bootFiles") { BootFilesJSON($0.boot) }
    }
  }
}

struct ForgetJSON: JSONDocument {
  let outcome: ForgetOutcome
  /// The result of `--prune`; nil without it.
  var pruned: PruneOutcome?

  static let form = JSONForm<Self>(kind: "forget") { key in
    key("dryRun", \.outcome.isDryRun)
    key("kept", \.outcome.kept)
    key("forgotten", \.outcome.forgotten)
    key("unreadable") { $0.outcome.unreadable.map(\.description) }
    key("busy") { $0.outcome.busy.map(\.image) }
    key("undefined", \.outcome.undefined)
    key("freedBytes", \.outcome.freedBytes)
    key("collectableBytes", \.outcome.collectableBytes)
    key("refused") { $0.outcome.refusal.map(ErrorDetails.init) }
    key("collection", \.pruned?.collection)
    key("collectionFailure") { $0.pruned?.failure.map(ErrorDetails.init) }
  }
}

struct VerifyJSON: JSONDocument {
  let report: VerifyReport
  let deep: Bool
  let signatures: SignatureReport?

  static let form = JSONForm<Self>(kind: "verify") { key in
    key("deep", \.deep)
    key("clean", \.report.isClean)
    key("snapshots", \.report.snapshots)
    key("packs", \.report.packs)
    key("objects", \.report.objects)
    key("checkedBytes", \.report.checkedBytes)
    key("coverage", \.report.coverage)
    key("incomplete", \.report.incomplete)
    key("problems", \.report.problems)
    key("signatures", \.signatures)
  }
}

struct KeyJSON: JSONDocument {
  let key: PublicKey
  var name: String?
  var privateFile: String?
  var publicFiles: [String]?

  static let form = JSONForm<Self>(kind: "key") { key in
    key("id", \.key.id.hex)
    key("name", \.name)
    key("publicKey") { String(decoding: $0.key.pem, as: UTF8.self) }
    key("privateFile", \.privateFile)
    key("publicFiles", \.publicFiles)
  }
}

extension KeyJSON {
  init(_ outcome: KeyOutcome) {
    self.init(
      key: outcome.key, privateFile: outcome.privateFile, publicFiles: outcome.publicFiles)
  }
}
