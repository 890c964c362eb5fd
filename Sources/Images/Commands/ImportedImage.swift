// The import of one image of a bundle: its plan, the safety snapshot, and the change of the live image.
// Import.swift has the invariants.

import Ingest
import Platform
import Store
import XCAT

/// The outcome of an import for one image.
public struct ImportedImage: Sendable {
  public let name: String
  /// The image's new snapshot; nil in a dry run.
  public let imported: CommittedSnapshot?
  /// The snapshot of the state before, even if nothing existed; nil in a dry run.
  public let safety: CommittedSnapshot?
  /// Whether an image of that name was defined before.
  public let replaced: Bool
  public let apply: ApplyOutcome
  /// The differences from the bundle after the import: empty if the result is verified; nil in a dry run.
  public let remaining: ImageDiff?
  /// Remarks for the user, such as on parts that were left out.
  public let remarks: [String]
  /// Attributes in the archives of trees that could not be kept. They make the snapshot incomplete.
  public let notes: [Snapshot.Note]
  /// The files outside the image's own directories that the import replaced, or would replace.
  public let siteReplacements: [SiteReplacement]
  /// The entries of its trees that grant privileges.
  public let privileged: [PrivilegedEntry]
  /// The files and directories of the image that the import removed, or would remove, because the bundle
  /// does not have them. Entries inside of trees are not listed.
  public let removedFiles: [[UInt8]]
  /// The path of the root tree, if the import replaced only that; otherwise nil.
  public var rootTree: [UInt8]?
}

/// Imports one image of a bundle.
struct ImageImporter {
  let context: Context
  private let targets: ImportTargets
  private let request: ImportRequest

  /// - Parameter request: the parameters of the import of the whole bundle.
  init(_ context: Context, _ targets: ImportTargets, _ request: ImportRequest) {
    self.context = context
    self.targets = targets
    self.request = request
  }

  /// Imports one image: plans, takes the safety snapshot, changes the live image and verifies it.
  /// - Parameters:
  ///   - staged: the large files, which are on disk already.
  ///   - recorded: receives the new snapshot before its files are placed. The caller must then store
  ///     everything that only the bundle has, because a resumed import does not read the bundle.
  func apply(
    _ prepared: PreparedImage, _ staged: StagedBlobs?, _ report: @escaping (BundleEvent) -> Void,
    recorded: @escaping (CommittedSnapshot) -> Void
  ) throws -> ImportedImage {
    let directories =
      request.isDryRun
      ? nil
      : try DirectoryLocker(context).lockDirectories(
        prepared.image, prepared.components.compactMap { AbsolutePath($0.path) })
    defer { withExtendedLifetime(directories) {} }
    let plan = try plan(prepared)
    try ChangePreflight(context).preflight(plan.plans)
    if request.isDryRun { return imported(prepared, plan, plan.outcome, nil) }
    let result = try ImageTransaction(
      context,
      ImportChange(
        context: context, request: request, targets: targets, prepared: prepared, plan: plan,
        staged: staged, report: report, recorded: recorded)
    ).run()
    var outcome = plan.outcome
    outcome.report = result.report
    outcome.limits = result.proof.limits
    report(.imported(image: prepared.image.text))
    return imported(prepared, plan, outcome, result)
  }

  private func imported(
    _ prepared: PreparedImage, _ plan: ImportPlan, _ outcome: ApplyOutcome, _ result: ChangeResult?
  ) -> ImportedImage {
    ImportedImage(
      name: prepared.image.text, imported: result?.target, safety: result?.before.snapshot,
      replaced: !plan.existing.isEmpty, apply: outcome, remaining: result?.proof.remaining,
      remarks: prepared.remarks + plan.components.remarks + plan.protection.remarks
        + prepared.remarks(onLeaving: plan.existing), notes: prepared.notes,
      siteReplacements: prepared.siteReplacements, privileged: prepared.privileged,
      removedFiles: plan.plans.filter { $0.current != nil && $0.desired == nil }.map(\.path.bytes)
        .filter(Set(outcome.removals).contains))
  }

  // MARK: Plan

  private func plan(_ prepared: PreparedImage) throws -> ImportPlan {
    let store = try context.store()
    let image = prepared.image
    let existing = try context.tables().definition(of: image.text) ?? ImageDefinition()
    let latest = try store.refs.latestReadable(of: image)
    try MountedDirectories(context).requireMounted(latest?.snapshot.notes ?? [], image: image.text)
    let memory = MemoryObjects(over: store)
    let requests =
      prepared.components.compactMap(CaptureRoot.init)
      + (try ImageCapturer(context).imageFiles(prepared.definition, targets.install)).map {
        CaptureRoot(role: $0.role, path: $0.path)
      }
    let trees = prepared.components.filter { $0.role == .rootTree }.map(\.entry)
    var scope = CaptureScope(existing, additional: requests, rows: prepared.rowKeys)
    scope.change = trees
    let live = try ImageCapturer(context).captureLive(
      image, scope, latest: latest, into: .memory(memory))
    try MountedDirectories(context).requireKnownMounts(live.notes)
    let components = try targets.resolveComponents(prepared, live)
    let own = try ownPaths(prepared, existing).union(components.all.map(\.path))
    var plans = try ComponentPlanner(context).planComponents(
      from: PlanSide(
        live.capture.components.filter { own.contains($0.path) }, memory, notes: live.notes),
      to: PlanSide(components.all, store), captured: live.capture)
    let protection = try TreeProtector(context).treeProtection(prepared)
    let methods = try StrategyChooser(context).chooseMethods(
      &plans,
      StrategyInputs(
        method: .automatic, notes: live.notes,
        isServed: [existing, prepared.definition].contains { $0.provisioning == .statelite },
        entryCount: prepared.entryCount, live: memory, target: store))
    let rows = prepared.rows.changes(from: live.rows, existing, request)
    try context.tables().validate(rows.changes)
    return ImportPlan(
      existing: existing, requests: requests, trees: trees, live: live, components: components,
      foreign: live.capture.components.filter { !own.contains($0.path) }, plans: plans,
      protection: protection, rows: rows,
      outcome: ComponentPlanner(context).describe(
        plans, methods, attributeChanges(existing, live.rows, rows.definition, rows.kept)))
  }

  /// Returns the paths of the files that belong to the image. Those of another image in a shared directory
  /// are only replaced, never removed. The tree stays if the image leaves its directory for another one.
  private func ownPaths(
    _ prepared: PreparedImage, _ existing: ImageDefinition
  ) throws -> Set<[UInt8]> {
    var own = Set(
      try ImageCapturer(context).imageFiles(existing, targets.install).map(\.path.bytes))
    if let path = prepared.leftDirectory(existing) { own.remove(path.bytes) }
    return own
  }
}
