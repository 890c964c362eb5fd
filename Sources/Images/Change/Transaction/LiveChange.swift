// What a command supplies to an `ImageTransaction`: a plan, and the few decisions that differ between
// commands.

import Apply
import Codec
import Ingest
import Platform
import Store
import XCAT

/// A planned change of a live image.
protocol LiveChange {
  var context: Context { get }
  var image: ImageName { get }
  /// The plans of the components.
  var plans: [ComponentPlan] { get }
  /// The notes of the target. The empty directories that they list are removed.
  var notes: [Snapshot.Note] { get }
  /// The changes of table rows, made after the files.
  var rows: [RowChange] { get }
  /// Blobs that are already on disk and need only a name.
  var staged: StagedBlobs? { get }
  /// Paths that an interrupted run may have written.
  var earlierPaths: [AbsolutePath] { get }
  /// Whether the differences that remain lead from the live image to the target, or back.
  var diffLeadsToTarget: Bool { get }
  /// Whether the image may not exist yet. If nothing is changed, nothing of it must remain then.
  var createsImage: Bool { get }

  /// Records the live state, unless a snapshot has it.
  func keepStateBefore() throws -> StateBefore
  /// Returns the target. It may name the snapshot of the state before.
  func target(after before: CommittedSnapshot?) throws -> ChangeTarget
  /// Returns the journal, with all that a resumed change must know.
  func journal(target: Digest, before: Digest?) -> Journal
  /// Returns the location of a component on this machine, and creates missing directories.
  func resolve(_ path: AbsolutePath) throws -> ResolvedPath
  /// Makes the first writes to the live image: copies of originals, and directories with a mode of their own.
  /// - Returns: whether it has written anything.
  func prepareFiles(_ target: CommittedSnapshot) throws -> Bool
  /// Reports the change of table rows, which follows.
  func willChangeRows()
  /// Returns the snapshot that the live image must match.
  func comparison(_ target: CommittedSnapshot) -> CommittedSnapshot
  /// Records the new state, and saves the stat cache.
  /// - Returns: the snapshot that records the change; nil if one exists already.
  /// - Throws: `ImageError` if the command does not accept the result.
  func record(
    _ proof: ChangeProof, as target: CommittedSnapshot, before: CommittedSnapshot?
  ) throws -> CommittedSnapshot?
}

extension LiveChange {
  var staged: StagedBlobs? { nil }
  var earlierPaths: [AbsolutePath] { [] }
  var diffLeadsToTarget: Bool { false }
  var createsImage: Bool { false }
  func willChangeRows() {}
  func comparison(_ target: CommittedSnapshot) -> CommittedSnapshot { target }

  func resolve(_ path: AbsolutePath) throws -> ResolvedPath {
    try LivePaths(context).locate(path, create: true)
  }

  func prepareFiles(_ target: CommittedSnapshot) throws -> Bool {
    try TreeProtector(context).closeDirectory(of: target.snapshot, resolve: resolve)
    return false
  }
}

/// The snapshot of the state before a change.
enum StateBefore {
  case kept(CommittedSnapshot, isNew: Bool)
  /// The user declined it (`--no-safety`).
  case declined

  var snapshot: CommittedSnapshot? {
    switch self {
    case .kept(let snapshot, _): snapshot
    case .declined: nil
    }
  }

  /// The snapshot, if this change recorded it.
  var new: CommittedSnapshot? {
    if case .kept(let snapshot, isNew: true) = self { snapshot } else { nil }
  }
}

/// The state that a change leads to.
struct ChangeTarget {
  let snapshot: CommittedSnapshot
  /// Whether a ref names it already. Otherwise the transaction writes the ref: a resumed change needs it.
  let isRecorded: Bool
}

/// The comparison of a changed image with its target.
struct ChangeProof {
  /// The differences that remain.
  let remaining: ImageDiff
  /// The attributes that the file systems cannot hold.
  let limits: [ApplyProblem]
  let verified: LiveCapture
  /// The report of the execution.
  let report: ApplyReport
  var isExact: Bool { remaining.isEmpty && limits.isEmpty }

  /// Captures the live image, and compares it.
  init(
    _ context: Context, _ image: ImageName, _ target: CommittedSnapshot,
    _ execution: ExecutionResult, leadsToTarget: Bool
  ) throws {
    report = execution.report
    // A standby tree was captured just before its exchange.
    verified = try LiveStateCapturer(context).captureLiveState(
      of: image, target, storing: false, verifiedFiles: report.verifiedFiles,
      known: execution.standby?.new)
    let desired = StatusReader(context).state(target, try context.store())
    let comparer = ImageComparer(context)
    (remaining, limits) = try LimitFilter(context).splitLimits(
      leadsToTarget
        ? comparer.diff(verified.state, desired) : comparer.diff(desired, verified.state),
      target.snapshot.components, verified.source, report, LiveLimits(context),
      isFromTarget: !leadsToTarget)
  }

  /// Saves the stat cache for a snapshot, if the live image matches it.
  /// - Returns: the snapshot.
  func savingCache(_ context: Context, of committed: CommittedSnapshot) -> CommittedSnapshot {
    ChangeRecorder(context).saveCache(of: committed, verified)
  }
}

/// The outcome of a transaction.
struct ChangeResult {
  /// The state that the change led to.
  let target: CommittedSnapshot
  let before: StateBefore
  let report: ApplyReport
  let proof: ChangeProof
  /// The snapshot that records the change; nil if one existed already.
  let recorded: CommittedSnapshot?
}
