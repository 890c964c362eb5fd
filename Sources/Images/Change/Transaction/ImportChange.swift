// The change that an import makes, as its transaction sees it.
//
// 1. A safety snapshot holds all files that would be overwritten, and notes the paths that do not exist. So a
//    revert to it removes everything that the import added, including directories and rows.
// 2. Large files were written while the bundle was read, as files without a name (StagedBlobs). They get
//    their names when they are placed. If the import ends before that, the system deletes them.

import Codec
import Ingest
import Platform
import Store
import XCAT

/// The plan of the import of one image.
struct ImportPlan {
  /// The definition before the import; empty if there is none.
  let existing: ImageDefinition
  /// All files that the image has now or will have.
  let requests: [CaptureRoot]
  /// The trees of the bundle.
  let trees: [Entry]
  let live: LiveImage
  let components: (all: [Snapshot.Component], remarks: [String])
  /// Live files in the image's directory that belong to others.
  let foreign: [Snapshot.Component]
  let plans: [ComponentPlan]
  let protection: TreeProtection
  let rows: ImportRowChanges.Result
  let outcome: ApplyOutcome
}

/// The import of one image of a bundle.
struct ImportChange: LiveChange {
  let context: Context
  let request: ImportRequest
  let targets: ImportTargets
  let prepared: PreparedImage
  let plan: ImportPlan
  let staged: StagedBlobs?
  let report: (BundleEvent) -> Void
  let recorded: (CommittedSnapshot) -> Void

  var image: ImageName { prepared.image }
  var plans: [ComponentPlan] { plan.plans }
  var notes: [Snapshot.Note] { [] }
  var rows: [RowChange] { plan.rows.changes }
  var createsImage: Bool { true }

  func keepStateBefore() throws -> StateBefore {
    var scope = CaptureScope(
      plan.existing, additional: plan.requests, rows: prepared.rowKeys, recipes: .existing)
    scope.change = plan.trees
    let saved = try SnapshotTaker(context).commitLive(
      image, scope,
      SnapshotRecord(
        SnapshotLabel(.importing, "before import of \(request.bundle)"),
        notes: try AbsentPaths(context).absenceNotes(of: plan.components.all, plan.live),
        allowsEmpty: true))
    try ComponentPlanner(context).requireKept(
      plan.live.capture.components, plan.live.notes, in: saved.committed)
    return .kept(saved.committed, isNew: saved.isNew)
  }

  func target(after before: CommittedSnapshot?) throws -> ChangeTarget {
    let snapshot = try snapshot(parent: before?.id)
    return ChangeTarget(
      snapshot: CommittedSnapshot(number: 0, id: snapshot.id, snapshot: snapshot),
      isRecorded: false)
  }

  func journal(target: Digest, before: Digest?) -> Journal {
    Journal(
      operation: .importing, image: image.text, started: context.now(), method: .automatic,
      target: target, before: before, command: RecordedCommand.importing.text,
      message: "import of \(request.bundle)",
      options: JournalOption.facts(request, foreign: plan.foreign)
        + JournalOption.facts(excludes: plan.live.excludes))
  }

  func resolve(_ path: AbsolutePath) throws -> ResolvedPath { try targets.resolve(path) }

  func prepareFiles(_ target: CommittedSnapshot) throws -> Bool {
    recorded(target)
    let originals = try targets.keepOriginals(plan.components.all, plan.live, request)
    for (path, copy) in originals { report(.keptOriginal(path: path, copy: copy)) }
    // A tree that stays, or the target of a link, is not from the bundle.
    let placed = Set(prepared.components.map(\.path))
    for component in plan.components.all where placed.contains(component.path) {
      report(event(component))
    }
    try plan.protection.closedDirectory.map {
      try TreeProtector(context).close(targets.resolve($0))
    }
    return !originals.isEmpty
  }

  /// Returns the event that reports the placing of a component.
  private func event(_ component: Snapshot.Component) -> BundleEvent {
    let path = printable(component.path)
    return component.role == .rootTree ? .placingTree(path: path) : .placing(path: path)
  }

  func willChangeRows() {
    for line in prepared.rows.litefileLines { report(.litefileRow(line: line)) }
    if prepared.rows.hasNodeLists { report(.addingPostscripts) }
  }

  func comparison(_ target: CommittedSnapshot) -> CommittedSnapshot {
    target.excluding(plan.live.excludes)
  }

  func record(
    _ proof: ChangeProof, as target: CommittedSnapshot, before: CommittedSnapshot?
  ) throws -> CommittedSnapshot? {
    proof.remaining.isEmpty ? proof.savingCache(context, of: target) : nil
  }

  // MARK: The snapshot

  /// Returns the snapshot that records the imported image.
  /// - Throws: errors of reading stored trees, whose entries are counted.
  private func snapshot(parent: Digest?) throws -> Snapshot {
    let size = try size()
    return Snapshot(
      image: prepared.image.text, created: context.now(), parent: parent,
      message: "import of \(request.bundle)",
      provenance: context.provenance(.importing, before: parent),
      tables: snapshotTables(plan.rows.definition, plan.rows.kept, excludes: prepared.excludes),
      components: plan.components.all,
      notes: prepared.notes,
      facts: prepared.facts.facts, entryCount: size.entries, contentBytes: size.bytes)
  }

  /// Returns the numbers of entries and bytes of the components, as a capture counts them.
  private func size() throws -> (entries: UInt64, bytes: UInt64) {
    let store = try context.store()
    // The trees of the bundle were counted when they were read.
    let counted = Set(
      prepared.components.filter { $0.role == .rootTree && $0.entry.kind == .directory }
        .map(\.path))
    var size = (entries: prepared.entryCount, bytes: prepared.treeBytes)
    for component in plan.components.all where !counted.contains(component.path) {
      let counts = try TreeCounts(component.entry, in: store)
      size = (size.entries + counts.entries, size.bytes &+ counts.contentBytes)
    }
    return size
  }
}
