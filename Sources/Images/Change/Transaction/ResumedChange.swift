// An interrupted change as its transaction sees it.
//
// 1. Somebody may have added files to the image since the interruption. If neither the target nor the state
//    before has them, they are snapshotted first.
// 2. An earlier run may have recorded the change, but not removed the journal. It is not recorded twice.

import Codec
import Platform
import Store
import XCAT

/// The completion of an interrupted change, or its rollback.
struct ResumedChange: LiveChange {
  let context: Context
  let image: ImageName
  let journal: Journal
  let plan: ResumePlan
  /// The state before the interrupted change; nil if the user declined to keep it.
  let before: CommittedSnapshot?
  let isBack: Bool
  /// The destinations of an import.
  let targets: ImportTargets?

  var plans: [ComponentPlan] { plan.plans }
  var notes: [Snapshot.Note] { plan.notes }
  var rows: [RowChange] {
    plan.attributes.isEmpty ? [] : plan.current.rowChanges(of: image, to: plan.goal)
  }
  var earlierPaths: [AbsolutePath] { plan.goal.snapshot.requests.map(\.path) }
  var diffLeadsToTarget: Bool { true }

  func keepStateBefore() throws -> StateBefore {
    guard let before,
      try ChangeRecorder(context).hasUnsavedChanges(
        plan.current.state, [before, plan.target], journal)
    else { return before.map { .kept($0, isNew: false) } ?? .declined }
    let found = try SnapshotTaker(context).commit(
      image, plan.current.live, latest: try context.store().refs.latestReadable(of: image),
      SnapshotRecord(SnapshotLabel(.resume, "found unfinished: \(journal.message)")))
    return .kept(found, isNew: true)
  }

  func target(after before: CommittedSnapshot?) -> ChangeTarget {
    ChangeTarget(snapshot: plan.goal, isRecorded: true)
  }

  func journal(target: Digest, before: Digest?) -> Journal { journal }

  /// Returns the location of a component. The components of a bundle are never placed through symbolic links.
  func resolve(_ path: AbsolutePath) throws -> ResolvedPath {
    guard let targets, !isBack else {
      return try LivePaths(context).locate(path, create: true)
    }
    return try targets.resolve(path)
  }

  /// Keeps the originals of replaced files that an interrupted import had not kept yet.
  func prepareFiles(_ target: CommittedSnapshot) throws -> Bool {
    if let targets, !isBack {
      _ = try targets.keepOriginals(
        target.snapshot.components, plan.current.live, JournalOption.request(journal))
    }
    try TreeProtector(context).closeDirectory(of: target.snapshot, resolve: resolve)
    return true
  }

  func record(
    _ proof: ChangeProof, as target: CommittedSnapshot, before: CommittedSnapshot?
  ) throws -> CommittedSnapshot? {
    let latest = try context.store().refs.latestReadable(of: image)
    if latest?.snapshot.hasSameState(as: target.snapshot) == true, proof.isExact {
      _ = proof.savingCache(context, of: target)
      return nil
    }
    let label =
      isBack
      ? SnapshotLabel(.rollback, "rolled back: \(journal.message)").recording(
        before: plan.target.id)
      : SnapshotLabel(RecordedCommand(journal.command), journal.message).recording(
        before: self.before?.id)
    return try ChangeRecorder(context).record(
      image, target, proof, label: label)
  }
}
