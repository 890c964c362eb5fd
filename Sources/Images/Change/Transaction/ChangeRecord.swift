// The snapshots before and after a change.
//
// 1. The safety snapshot holds the live state before the change. It is taken only if no snapshot holds that
//    state already.
// 2. A change is recorded as a snapshot that names the state before, so that `undo` finds it.

import Apply
import Codec
import Ingest
import Platform
import Store

/// Records the states before and after a change.
struct ChangeRecorder: Collaborator {
  let context: Context

  /// Returns the snapshot that holds the whole live state: the latest one, the target itself, or a new one.
  /// - Parameter saves: whether a new snapshot may be taken.
  /// - Returns: the snapshot, and whether it is new; nil if no snapshot holds the live state and `saves` is
  ///   false.
  func takeSafetySnapshot(
    _ image: ImageName, _ current: LiveCapture, _ target: CommittedSnapshot,
    _ plans: [ComponentPlan], saves: Bool, label: SnapshotLabel
  ) throws -> (snapshot: CommittedSnapshot?, isNew: Bool) {
    let absences = try AbsentPaths(context).absenceNotes(
      of: target.snapshot.components, current.live)
    let live = current.live.withoutUnchangedFormerTrees(plans)
    let missingRows = live.rows.absent.intersection(target.snapshot.keptRows.present.keys)
    func has(_ candidate: Snapshot) -> Bool {
      candidate.definition == live.definition
        && candidate.keptRows.present == live.rows.present
        && missingRows.allSatisfy { candidate.keptRows.isKnown($0) }
        && live.capture.components.allSatisfy {
          candidate.component(at: $0.path)?.entry == $0.entry
        }
        // A revert to the snapshot must also remove the paths that do not exist now.
        && absences.allSatisfy { candidate.notes.contains($0) }
    }
    let latest = try context.store().refs.latestReadable(of: image)
    for candidate in [latest, target].compactMap({ $0 }) where has(candidate.snapshot) {
      return (candidate, false)
    }
    guard saves else { return (nil, false) }
    let record = SnapshotRecord(label, notes: absences)
    return (try SnapshotTaker(context).commit(image, live, latest: latest, record), true)
  }

  /// Returns whether an entry has contents that none of the snapshots has at its path.
  func hasUnsavedChanges(
    _ current: ImageState, _ snapshots: [CommittedSnapshot], _ journal: Journal
  ) throws -> Bool {
    let prefix = TemporaryName.prefix(journal.token)
    func newContents(since base: CommittedSnapshot) throws -> Set<[UInt8]> {
      var paths: Set<[UInt8]> = []
      for change in try ImageComparer(context).diff(
        StatusReader(context).state(base, try context.store()), current
      ).entries {
        switch change.kind {
        case .removed: continue
        case .added(let entry):
          if entry.kind == .directory { continue }
        case .changed(_, let entry, let fields):
          guard fields.contains(.content), entry.kind != .directory else { continue }
        }
        let isOwn = change.path.split(separator: 0x2f).contains { $0.starts(with: prefix) }
        if !isOwn { paths.insert(change.path) }
      }
      return paths
    }
    guard let first = snapshots.first else { return false }
    var paths = try newContents(since: first)
    for snapshot in snapshots.dropFirst() where !paths.isEmpty {
      paths.formIntersection(try newContents(since: snapshot))
    }
    return !paths.isEmpty
  }

  /// Commits the state after a change.
  /// - Parameters:
  ///   - proof: the comparison of the changed image with the target. If they match, the snapshot has the
  ///     target's components; otherwise the live image is captured again.
  ///   - label: the label of the snapshot, with the change that it records.
  func record(
    _ image: ImageName, _ target: CommittedSnapshot, _ proof: ChangeProof, label: SnapshotLabel
  ) throws -> CommittedSnapshot {
    let store = try context.store()
    let verified = proof.verified
    func recordLive(_ label: SnapshotLabel) throws -> CommittedSnapshot {
      try SnapshotTaker(context).commitLive(
        image,
        CaptureScope(
          verified.live.definition, additional: target.snapshot.requests, recipes: .existing),
        SnapshotRecord(label, allowsEmpty: true)
      ).committed
    }
    guard proof.isExact else {
      var label = label
      label.message += ", not exact"
      return try recordLive(label)
    }
    let excludes = try DirectoryExcludes(context).excludes(of: image, verified.live.definition)
    let lists = excludes.lists.map(\.lines)
    if verified.live.excludes != lists
      || !lists.isEmpty && verified.live.capture.components != target.snapshot.components
    {
      // The exclude patterns differ from those of the target, so the live tree differs, too.
      return try recordLive(label)
    }
    var snapshot = target.snapshot
    snapshot.components.removeAll { $0.role == .formerTree }
    if verified.live.definition.isDirectory {
      snapshot.tables = snapshotTables(
        snapshot.definition, snapshot.keptRows, excludes: lists)
    }
    snapshot.created = context.now()
    snapshot.parent = try store.refs.latestReadable(of: image)?.id
    snapshot.message = label.message
    snapshot.provenance = context.provenance(label)
    return try saveCache(of: store.refs.append(snapshot), verified)
  }

  /// Saves the stat cache of the live files for a snapshot that was just verified or recorded.
  /// - Returns: the snapshot.
  func saveCache(
    of committed: CommittedSnapshot, _ verified: LiveCapture
  ) -> CommittedSnapshot {
    // The comparison ignores mount points, but the cache may only confirm trees that the store has.
    if verified.live.capture.components == committed.snapshot.components,
      let image = try? ImageName(committed.snapshot.image)
    {
      ImageCapturer(context).saveCache(of: verified.live, image, base: committed)
    }
    return committed
  }

  /// Stores the trees of a combined state, and completes its snapshot. The caller commits it.
  func prepare(
    _ state: CombinedState, _ change: ChangeRequest, before: Digest?, _ session: WriteSession
  ) throws -> CommittedSnapshot {
    try LiveTreeChange(context).add(state.view, to: session)
    try session.finish()
    var snapshot = state.snapshot
    snapshot.created = context.now()
    let latest = try context.store().refs.latestReadable(of: change.image)
    snapshot.parent = latest?.id
    snapshot.facts = change.facts ?? latest?.snapshot.facts ?? snapshot.facts
    snapshot.message = change.label.message
    snapshot.provenance =
      context.provenance(change.label.recording(before: before))
      + (change.parts.isEmpty ? [] : [.init(.parts, change.parts.text)])
    return CommittedSnapshot(
      number: change.target.number, id: snapshot.id, snapshot: snapshot)
  }
}
