// The change that a revert makes, as its transaction sees it.
//
// 1. Nothing is changed before a snapshot holds everything that would be lost.
// 2. A revert to a state that no snapshot has, such as one of parts of an image, records that state first.
//    Others record the new state once it is proven.

import Codec
import Platform
import Store
import XCAT

/// The change of a live image to the state of a snapshot.
struct RevertChange: LiveChange {
  let context: Context
  private let request: ChangeRequest
  private let plan: RevertPlan
  /// Protects the stored objects of a combined state from garbage collection until a snapshot references
  /// them.
  private let session: WriteSession?

  init(_ context: Context, _ request: ChangeRequest, _ plan: RevertPlan) throws {
    self.context = context
    self.request = request
    self.plan = plan
    session = plan.combined == nil ? nil : try context.store().beginSession()
  }

  var image: ImageName { request.image }
  var plans: [ComponentPlan] { plan.plans }
  var notes: [Snapshot.Note] { plan.notes }
  var rows: [RowChange] {
    plan.outcome.attributes.isEmpty ? [] : plan.current.rowChanges(of: image, to: plan.target)
  }
  var diffLeadsToTarget: Bool { true }

  func keepStateBefore() throws -> StateBefore {
    let (snapshot, isNew) = try ChangeRecorder(context).takeSafetySnapshot(
      image, plan.current, request.target, plan.plans, saves: request.request.keepsSafety,
      label: SnapshotLabel(request.label.command, "before \(request.label.message)"))
    return snapshot.map { .kept($0, isNew: isNew) } ?? .declined
  }

  func target(after before: CommittedSnapshot?) throws -> ChangeTarget {
    guard let combined = plan.combined, let session else {
      return ChangeTarget(snapshot: plan.target, isRecorded: true)
    }
    return ChangeTarget(
      snapshot: try ChangeRecorder(context).prepare(combined, request, before: before?.id, session),
      isRecorded: false)
  }

  func journal(target: Digest, before: Digest?) -> Journal {
    Journal(
      operation: .revert, image: image.text, started: now(), method: request.request.method,
      target: target, before: before, command: request.label.command.text,
      message: request.label.message,
      options: JournalOption.facts(request.request)
        + JournalOption.facts(excludes: plan.current.live.excludes))
  }

  func record(
    _ proof: ChangeProof, as target: CommittedSnapshot, before: CommittedSnapshot?
  ) throws -> CommittedSnapshot? {
    if plan.combined != nil, proof.isExact { return proof.savingCache(context, of: target) }
    return try ChangeRecorder(context).record(
      image, target, proof, label: request.label.recording(before: before?.id))
  }
}
