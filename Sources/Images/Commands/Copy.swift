// imgstore copy: creates a new image, with its own profile, from any snapshot. The result is that of an
// export and an import with `-f`, without a bundle.
//
// 1. All data is shared in the store. If the file system supports it, the new tree also shares blocks with
//    the live one. It never shares inodes, because the two images change independently.
// 2. A copy overwrites nothing: the name of the image and all paths must be unused.
// 3. Like an import, a copy can be undone, and resumed after an interruption.

import Apply
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
struct ImageCopier {
  let context: Context

  init(_ context: Context) { self.context = context }

  func copy(_ request: CopyRequest) throws -> CopyOutcome {
    let start = monotonicSeconds()
    let image = try ImageName(request.name)
    try image.requirePlain()
    let source = try BundleExporter(context).snapshotOrLive(
      Reference(request.reference), message: "for copy", command: "copy")
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
    let memory = MemoryObjects(over: store)
    try MountedDirectories(context).requireMounted(
      source.snapshot.notes, image: source.snapshot.image)
    let live = try ImageCapturer(context).captureLive(
      image, target.definition, latest: nil,
      additional: target.components.compactMap(CaptureRoot.init),
      rows: target.rows.keys, into: .memory(memory))
    try checkShared(live.capture.components, target)
    let shared = live.capture.components
    let new = target.components.filter { component in !shared.contains { $0.path == component.path }
    }
    let components = (new + shared).sorted { precedes($0.path, $1.path) }
    var plans = try ComponentPlanner(context).planComponents(
      from: live.capture.components, memory, to: components, store, liveNotes: live.notes,
      targetNotes: [],
      captured: live.capture)
    try setCloneSources(&plans, target, source, store)
    let methods = try StrategyChooser(context).chooseMethods(
      &plans,
      StrategyInputs(
        method: .automatic, notes: live.notes, isServed: false,
        entryCount: source.snapshot.entryCount, live: memory, target: store))
    let changes = target.definition.rowChanges(of: image.text) + live.rows.changes(to: target.rows)
    try context.tables().validate(changes)
    let secrets = try SecretReporter(context).secretReport(of: source.snapshot)
    var outcome = ComponentPlanner(context).describe(
      plans, methods,
      attributeChanges(ImageDefinition(), live.rows, target.definition, target.rows))
    func result(_ copied: CommittedSnapshot?, _ remaining: ImageDiff?) -> CopyOutcome {
      CopyOutcome(
        source: source, copied: copied, directory: target.directory, apply: outcome,
        secrets: secrets,
        remaining: remaining,
        seconds: monotonicSeconds() - start, refusal: refusal)
    }
    try ChangePreflight(context).preflight(plans)
    if request.isDryRun { return result(nil, nil) }

    let saved = try SnapshotTaker(context).commitLive(
      image, ImageDefinition(), additional: components.compactMap(CaptureRoot.init),
      rows: target.rows.keys,
      notes: try AbsentPaths(context).absenceNotes(of: components, live), allowsEmpty: true,
      message: "before copy of \(source.name)", command: "copy")
    let before = saved.committed
    var snapshot = source.snapshot
    snapshot.image = image.text
    snapshot.created = now()
    snapshot.parent = before.id
    snapshot.message = "copy of \(source.name)"
    snapshot.provenance = context.provenance("copy", before: before.id)
    if try TreeProtector(context).wasImported(ImageName(source.snapshot.image)) {
      snapshot.provenance.append(.init(Snapshot.originKey, Snapshot.importOrigin))
    }
    snapshot.tables = snapshotTables(
      target.definition, target.rows, excludes: source.snapshot.excludes)
    snapshot.components = components
    // The trees are the same, but links and shared files may differ.
    snapshot.entryCount =
      snapshot.entryCount &+ UInt64(components.count) &- UInt64(source.snapshot.components.count)
    snapshot.contentBytes =
      components.reduce(snapshot.contentBytes) { $0 &+ $1.entry.sizeBytes }
      &- source.snapshot.components.reduce(0) { $0 &+ $1.entry.sizeBytes }
    snapshot.notes = target.notes
    let journal = Journal(
      operation: .copy, image: image.text, started: now(), method: .automatic,
      target: snapshot.id, before: before.id, command: "copy", message: snapshot.message)
    let (copied, remaining) = try ChangeJournal(context).withJournal(
      image, journal, safety: saved.isNew ? before : nil
    ) { syncs in
      let copied = try store.refs.append(snapshot)
      try TreeProtector(context).closeDirectory(of: copied.snapshot) {
        try LivePaths(context).locate($0, create: true)
      }
      let execution = try PlanExecutor(context).execute(plans, token: journal.token, syncs) {
        try LivePaths(context).locate($0, create: true)
      }
      outcome.report = execution.report
      try PlanExecutor(context).sync(plans.map(\.path), syncs)
      try PlanExecutor(context).waitForSyncs(syncs)
      outcome.report.problems += try LiveRows(context).applyRows(changes)
      let (differences, proof, objects) = try StatusReader(context).lookAtLive(
        copied, verifiedFiles: outcome.report.verifiedFiles)
      let (remaining, limits) = try LimitFilter(context).splitLimits(
        differences, components, objects, outcome.report, LiveLimits(context),
        isFromTarget: true)
      outcome.limits = limits
      if remaining.isEmpty, proof.capture.components == snapshot.components {
        proof.capture.saveCache(
          store.layout, key: context.cacheKey(image), base: copied.id, replacing: proof.cache)
      }
      return (copied, remaining)
    }
    return result(copied, remaining)
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
