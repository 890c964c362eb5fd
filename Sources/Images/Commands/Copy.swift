// imgstore copy: creates a new image, with its own profile, from any snapshot. The result is that of an
// export and an import with `-f`, without a bundle.
//
// 1. All data is shared in the store. If the file system supports it, the new tree also shares blocks with
//    the live one. It never shares inodes, because the two images change independently.
// 2. A copy overwrites nothing: the name of the image and all paths must be unused.
// 3. Like an import, a copy can be undone, and resumed after an interruption.

import Ingest
import Platform
import Store
import XCAT

/// The parameters of a copy.
public struct CopyRequest: Sendable {
  /// The source: a snapshot, or an image in its live state.
  public var reference: String
  /// The name of the new image.
  public var name: String
  /// The profile of the new image, from which the names of its directory and lists follow; nil for its name.
  public var profile: String?
  /// The directory of the new image; nil for the one that follows from the profile, or for a directory next
  /// to that of the source.
  public var directory: String?
  /// Whether the copy is only planned. A changed live image is snapshotted nevertheless.
  public var isDryRun = false
  /// The exceptions for a snapshot that came from a remote.
  public var trust = PulledSnapshotTrust()
  /// Creates the parameters of a plain copy.
  public init(_ reference: String, to name: String) {
    self.reference = reference
    self.name = name
  }
}

/// The outcome of a copy.
public struct CopyOutcome: Sendable {
  public let source: CommittedSnapshot
  /// The snapshot of the new image; nil in a dry run.
  public let copied: CommittedSnapshot?
  /// The directory of the new image.
  public let directory: AbsolutePath
  public let apply: ApplyOutcome
  /// The secrets in the copied snapshot.
  public let secrets: SecretReport
  /// The parts that are missing in the source snapshot, and so in the copy.
  public var gaps: [Snapshot.Note] { source.snapshot.gaps() }
  /// The differences from the source after the copy: empty if the result is verified; nil in a dry run.
  public let remaining: ImageDiff?
  public let seconds: Double
  /// The error that the copy would end with, in a dry run; nil if it would not be refused.
  public let refusal: (any ExplainedError)?
}

extension Workspace {
  /// Copies an image.
  /// - Throws: `ImageError`: `usage`, or `alreadyExists` if the name, the directory or a list of the copy
  ///   exists already; `InterruptedChangeError` if the change must be resumed.
  public func copy(_ request: CopyRequest) throws -> CopyOutcome {
    try ImageCopier(context).copy(request)
  }
}

/// Copies images.
struct ImageCopier: Collaborator {
  let context: Context

  func copy(_ request: CopyRequest) throws -> CopyOutcome {
    let start = monotonicSeconds()
    let image = try ImageName(request.name)
    try image.requirePlain()
    let source = try BundleExporter(context).snapshotOrLive(
      Reference(request.reference), label: SnapshotLabel(.copy, "for copy"))
    try PulledSnapshotCheck(context).check(source, request.trust)
    let store = try context.store()
    let lock = try ImageLocks(context).lock(
      image, store, isDryRun: request.isDryRun, usesTree: true)
    defer { withExtendedLifetime(lock) {} }
    guard try context.tables().definition(of: image.text) == nil else {
      throw ImageError(
        .alreadyExists,
        "image \(image)", "is defined already", hint: "Give the copy another name")
    }
    let target = try copyPlan(source.snapshot, as: image, request)
    let paths = target.components.compactMap { AbsolutePath($0.path) }
    let directories =
      request.isDryRun ? nil : try DirectoryLocker(context).lockDirectories(image, paths)
    defer { withExtendedLifetime(directories) {} }
    let refusal = try DryRunRefusal(context).refusal(isDryRun: request.isDryRun) {
      if request.isDryRun { try DirectoryLocker(context).expectDirectoriesFree(image, paths) }
    }
    let change = try plan(image, source, target)
    let secrets = try SecretReporter(context).secretReport(of: source.snapshot)
    try ChangePreflight(context).preflight(change.plans)
    let result = request.isDryRun ? nil : try ImageTransaction(context, change).run()
    var outcome = change.outcome
    if let result {
      outcome.report = result.report
      outcome.limits = result.proof.limits
    }
    return CopyOutcome(
      source: source, copied: result?.target, directory: target.directory, apply: outcome,
      secrets: secrets, remaining: result?.proof.remaining,
      seconds: monotonicSeconds() - start, refusal: refusal)
  }

  /// Captures what exists already, and plans the copy.
  private func plan(
    _ image: ImageName, _ source: CommittedSnapshot, _ target: CopyPlan
  ) throws -> CopyChange {
    let store = try context.store()
    let memory = MemoryObjects(over: store)
    try MountedDirectories(context).requireMounted(
      source.snapshot.notes, image: source.snapshot.image)
    let live = try ImageCapturer(context).captureLive(
      image,
      CaptureScope(
        target.definition, additional: target.components.compactMap(CaptureRoot.init),
        rows: target.rows.keys), latest: nil, into: .memory(memory))
    let shared = live.capture.components
    try checkShared(shared, target)
    let new = target.components.filter { component in !shared.contains { $0.path == component.path }
    }
    let components = (new + shared).sorted { precedes($0.path, $1.path) }
    var plans = try ComponentPlanner(context).planComponents(
      from: PlanSide(shared, memory, notes: live.notes), to: PlanSide(components, store),
      captured: live.capture)
    try setCloneSources(&plans, target, source, store)
    let methods = try StrategyChooser(context).chooseMethods(
      &plans,
      StrategyInputs(
        method: .automatic, notes: live.notes, isServed: false,
        entryCount: source.snapshot.entryCount, live: memory, target: store))
    let rows = target.definition.rowChanges(of: image.text) + live.rows.changes(to: target.rows)
    try context.tables().validate(rows)
    return CopyChange(
      context: context, image: image, source: source, copy: target, live: live,
      components: components, plans: plans, rows: rows,
      outcome: ComponentPlanner(context).describe(
        plans, methods,
        attributeChanges(ImageDefinition(), live.rows, target.definition, target.rows)))
  }

  /// Returns the definition, the components and the rows of the copy.
  private func copyPlan(
    _ source: Snapshot, as image: ImageName, _ request: CopyRequest
  ) throws -> CopyPlan {
    let directory = try request.directory.map { try DirectoryImages(context).directoryPath($0) }
    if let old = source.definition.directoryPath {
      guard request.profile == nil else {
        throw ImageError(
          .usage, "--profile", "is for osimages, and \(source.image) is a directory",
          hint: "Name the directory of the copy with --to DIR")
      }
      return try CopyPlan(
        directory: source, at: old, to: directory ?? old.parent.appending(image.bytes))
    }
    let install = try context.installDirectory(context.tables())
    let bootDirectory = ImageFiles.bootDirectory(source.definition, installDirectory: install)
    // Without xCAT, images need not be below the install directory.
    let neighbour =
      try !TableLocator(context).hasXCAT()
      ? bootDirectory.flatMap { $0.isInside(install) ? nil : $0.parent.appending(image.bytes) }
      : nil
    return try CopyPlan(
      source, as: image, profile: request.profile ?? image.text, directory: directory ?? neighbour,
      installDirectory: install)
  }

  /// Checks the files that the new definition names and that exist already. Other images share them, so they
  /// stay.
  /// - Throws: `ImageError` if the copy has different contents for one of them.
  private func checkShared(
    _ live: [Snapshot.Component], _ target: CopyPlan
  ) throws {
    for component in live {
      guard let expected = target.components.first(where: { $0.path == component.path }),
        expected.entry.content != component.entry.content
      else { continue }
      throw ImageError(
        .alreadyExists,
        printable(component.path), "exists already",
        hint: "Nothing was copied. Choose another name, or another profile with --profile")
    }
  }

  /// Sets the live trees of the source image as clone sources for the trees of the copy.
  private func setCloneSources(
    _ plans: inout [ComponentPlan], _ target: CopyPlan, _ source: CommittedSnapshot,
    _ store: ObjectStore
  ) throws {
    for i in plans.indices where plans[i].isTree && plans[i].current == nil {
      guard let path = target.origins[plans[i].path.bytes].flatMap({ AbsolutePath($0) }),
        try ImageCapturer(context).statLive(path)?.kind == .directory,
        let entry = source.snapshot.component(at: path.bytes)?.entry
      else { continue }
      plans[i].cloneSource = CloneSource(path: path, entry: entry, source: store)
    }
  }
}
