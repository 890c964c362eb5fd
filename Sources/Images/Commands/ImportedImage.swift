// The import of one image of a bundle: its plan, the safety snapshot, and the change of the live image.
// Import.swift has the invariants.

import Apply
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
}

/// Imports one image of a bundle.
struct ImageImporter {
  let context: Context

  init(_ context: Context) { self.context = context }

  /// Imports one image: plans, takes the safety snapshot, changes the live image and verifies it.
  /// - Parameter recorded: receives the new snapshot before its files are placed. The caller must then store
  ///   everything that only the bundle has, because a resumed import does not read the bundle.
  func apply(
    _ prepared: PreparedImage, _ targets: ImportTargets, _ request: ImportRequest,
    _ staged: StagedBlobs?, _ report: (BundleEvent) -> Void,
    recorded: (CommittedSnapshot) -> Void
  ) throws -> ImportedImage {
    let store = try context.store()
    let image = prepared.image
    let directories =
      request.isDryRun
      ? nil
      : try DirectoryLocker(context).lockDirectories(
        image, prepared.components.compactMap { AbsolutePath($0.path) })
    defer { withExtendedLifetime(directories) {} }
    let existing = try context.tables().definition(of: image.text) ?? ImageDefinition()
    let latest = try store.refs.latestReadable(of: image)
    try MountedDirectories(context).requireMounted(latest?.snapshot.notes ?? [], image: image.text)
    let memory = MemoryObjects(over: store)
    let everything =
      prepared.components.compactMap(CaptureRoot.init)
      + (try ImageCapturer(context).imageFiles(prepared.definition, targets.install)).map {
        CaptureRoot(role: $0.role, path: $0.path)
      }
    let trees = prepared.components.filter { $0.role == ImageFiles.rootTree }.map(\.entry)
    let live = try ImageCapturer(context).captureLive(
      image, existing, latest: latest, change: trees,
      additional: everything, rows: prepared.rowKeys,
      into: .memory(memory))
    try MountedDirectories(context).requireKnownMounts(live.notes)
    let components = try targets.resolveComponents(prepared, live)
    // Files of another image in a shared directory are only replaced, never removed. The tree stays if the
    // image leaves its directory for another one.
    var own = Set(
      try ImageCapturer(context).imageFiles(existing, targets.install).map(\.path.bytes))
    if let path = prepared.leftDirectory(existing) { own.remove(path.bytes) }
    func belongsToImage(_ component: Snapshot.Component) -> Bool {
      own.contains(component.path) || components.all.contains { $0.path == component.path }
    }
    var plans = try ComponentPlanner(context).planComponents(
      from: live.capture.components.filter(belongsToImage), memory, to: components.all, store,
      liveNotes: live.notes, targetNotes: [], captured: live.capture)
    let protection = try TreeProtector(context).treeProtection(prepared)
    let methods = try StrategyChooser(context).chooseMethods(
      &plans,
      StrategyInputs(
        method: .automatic, notes: live.notes,
        isServed: [existing, prepared.definition].contains { $0.provisioning == "statelite" },
        entryCount: prepared.entryCount, live: memory, target: store))
    let rows = prepared.rows.changes(from: live.rows, existing, request)
    try context.tables().validate(rows.changes)
    var outcome = ComponentPlanner(context).describe(
      plans, methods, attributeChanges(existing, live.rows, rows.definition, rows.kept))
    func imported(
      _ committed: CommittedSnapshot?, _ safety: CommittedSnapshot?, _ remaining: ImageDiff?
    ) -> ImportedImage {
      ImportedImage(
        name: image.text, imported: committed, safety: safety, replaced: !existing.isEmpty,
        apply: outcome, remaining: remaining,
        remarks: prepared.remarks + components.remarks + protection.remarks
          + prepared.remarks(onLeaving: existing), notes: prepared.notes,
        siteReplacements: prepared.siteReplacements, privileged: prepared.privileged,
        removedFiles: plans.filter { $0.current != nil && $0.desired == nil }.map(\.path.bytes)
          .filter(Set(outcome.removals).contains))
    }
    try ChangePreflight(context).preflight(plans)
    if request.isDryRun { return imported(nil, nil, nil) }

    let saved = try SnapshotTaker(context).commitLive(
      image, existing, additional: everything, rows: prepared.rowKeys,
      notes: try AbsentPaths(context).absenceNotes(of: components.all, live), allowsEmpty: true,
      change: trees,
      message: "before import of \(request.bundle)", command: "import")
    let safety = saved.committed
    try ComponentPlanner(context).requireKept(live.capture.components, live.notes, in: safety)
    let snapshot = try snapshot(prepared, components.all, rows, request, parent: safety)
    let journal = ReplacedTrees(context).naming(
      exchangesOf: plans,
      in: Journal(
        operation: .importing, image: image.text, started: now(), method: .automatic,
        target: snapshot.id, before: safety.id, command: "import", message: snapshot.message,
        options: JournalOption.facts(
          request, foreign: live.capture.components.filter { !belongsToImage($0) })
          + JournalOption.facts(excludes: live.excludes)))
    let (committed, remaining, proof) = try ChangeJournal(context).withJournal(
      image, journal, safety: saved.isNew ? safety : nil
    ) { syncs in
      let committed = try store.refs.append(snapshot)
      recorded(committed)
      let originals = try targets.keepOriginals(components.all, live, request)
      for (path, copy) in originals {
        report(.keptOriginal(path: path, copy: copy))
      }
      // A tree that stays, or the target of a link, is not from the bundle.
      let placed = Set(prepared.components.map(\.path))
      for component in components.all where placed.contains(component.path) {
        report(event(component))
      }
      try protection.closedDirectory.map { try TreeProtector(context).close(targets.resolve($0)) }
      let execution: ExecutionResult
      do {
        execution = try PlanExecutor(context).execute(
          plans, token: journal.token, staged: staged, syncs
        ) {
          try targets.resolve($0)
        }
      } catch let untouched as CancelledChangeError where !originals.isEmpty {
        // Originals were kept already, so the change cannot be dropped as untouched.
        throw untouched.cause
      }
      outcome.report = execution.report
      for line in prepared.rows.litefileLines { report(.litefileRow(line: line)) }
      if prepared.rows.hasNodeLists { report(.addingPostscripts) }
      try PlanExecutor(context).sync(plans.map(\.path), syncs)
      try PlanExecutor(context).waitForSyncs(syncs)
      outcome.report.problems += try LiveRows(context).applyRows(rows.changes)
      try PlanExecutor(context).removeOldTrees(execution)
      if !execution.oldTrees.isEmpty { try PlanExecutor(context).sync(plans.map(\.path), syncs) }
      let (differences, proof, source) = try StatusReader(context).lookAtLive(
        committed.excluding(live.excludes), change: [],
        verifiedFiles: outcome.report.verifiedFiles)
      let (remaining, limits) = try LimitFilter(context).splitLimits(
        differences, components.all, source, outcome.report, LiveLimits(context),
        isFromTarget: true)
      outcome.limits = limits
      return (committed, remaining, proof)
    }
    if remaining.isEmpty, proof.capture.components == committed.snapshot.components {
      proof.capture.saveCache(
        store.layout, key: context.cacheKey(image), base: committed.id, replacing: proof.cache)
    }
    report(.imported(image: image.text))
    return imported(committed, safety, remaining)
  }

  /// Returns the event that reports the placing of a component.
  private func event(_ component: Snapshot.Component) -> BundleEvent {
    let path = printable(component.path)
    return component.role == ImageFiles.rootTree ? .placingTree(path: path) : .placing(path: path)
  }

  /// Returns the snapshot that records the imported image.
  /// - Throws: errors of reading stored trees, whose entries are counted.
  private func snapshot(
    _ prepared: PreparedImage, _ components: [Snapshot.Component], _ rows: ImportRowChanges.Result,
    _ request: ImportRequest, parent: CommittedSnapshot
  ) throws -> Snapshot {
    let size = try size(of: components, prepared)
    return Snapshot(
      image: prepared.image.text, created: now(), parent: parent.id,
      message: "import of \(request.bundle)",
      provenance: context.provenance("import", before: parent.id),
      tables: snapshotTables(rows.definition, rows.kept, excludes: prepared.excludes),
      components: components,
      notes: prepared.notes,
      facts: prepared.facts.facts, entryCount: size.entries, contentBytes: size.bytes)
  }

  /// Returns the numbers of entries and bytes of the components, as a capture counts them.
  private func size(
    of components: [Snapshot.Component], _ prepared: PreparedImage
  ) throws -> (entries: UInt64, bytes: UInt64) {
    let store = try context.store()
    // The trees of the bundle were counted when they were read.
    let counted = Set(
      prepared.components.filter { $0.role == ImageFiles.rootTree && $0.entry.kind == .directory }
        .map(\.path))
    var size = (entries: prepared.entryCount, bytes: prepared.treeBytes)
    for component in components where !counted.contains(component.path) {
      let counts = try TreeCounts(component.entry, in: store)
      size = (size.entries + counts.entries, size.bytes &+ counts.contentBytes)
    }
    return size
  }
}
