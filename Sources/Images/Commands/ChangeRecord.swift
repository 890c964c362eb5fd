// The snapshots before and after a change.

import Codec
import Ingest
import Platform
import Store

extension Workspace {
  /// The snapshot that has all that is live: the latest, or the target itself, or one that is taken
  /// now.
  /// - Returns: nil where none has it and none may be taken, or nothing is live.
  func takeSafetySnapshot(
    _ image: ImageName, _ sight: LiveCapture, _ target: CommittedSnapshot,
    _ plans: [ComponentPlan], saves: Bool,
    message: String, command: String
  ) throws -> (snapshot: CommittedSnapshot?, isNew: Bool) {
    let absences = try absenceNotes(of: target.snapshot.pieces, sight.live)
    let live = sight.live.withoutUnchangedFormerTrees(plans)
    let missingRows = live.rows.absent.intersection(target.snapshot.keptRows.present.keys)
    func has(_ candidate: Snapshot) -> Bool {
      candidate.definition == live.definition
        && candidate.keptRows.present == live.rows.present
        && missingRows.allSatisfy { candidate.keptRows.isKnown($0) }
        && live.capture.pieces.allSatisfy { candidate.piece(at: $0.path)?.entry == $0.entry }
        // Going back must also take away what is not there now.
        && absences.allSatisfy { candidate.notes.contains($0) }
    }
    let latest = try store().refs.latestReadable(of: image)
    for candidate in [latest, target].compactMap({ $0 }) where has(candidate.snapshot) {
      return (candidate, false)
    }
    guard saves else { return (nil, false) }
    let kept = try commit(
      image, live, notes: absences, latest: latest, message: message, command: command,
      isPermanent: false)
    return (kept, true)
  }

  /// Commits the state after a change: the target's own where the proof is clean.
  func record(
    _ image: ImageName, _ target: CommittedSnapshot, _ proof: LiveCapture, isExact: Bool,
    command: String, message: String, before: Digest?
  ) throws -> CommittedSnapshot {
    let store = try store()
    guard isExact else {
      return try commitLive(
        image, proof.live.definition, also: target.snapshot.requests, allowsEmpty: true,
        message: message + ", not exact", command: command, before: before, recordsChange: true
      ).committed
    }
    let excludes = try excludes(of: image, proof.live.definition)
    let lists = excludes.lists.map(\.lines)
    if proof.live.excludes != lists
      || !lists.isEmpty && proof.live.capture.pieces != target.snapshot.pieces
    {
      // What is excluded now is not what was excluded there, so that the live tree is another one.
      return try commitLive(
        image, proof.live.definition, also: target.snapshot.requests, allowsEmpty: true,
        message: message, command: command, before: before, recordsChange: true
      ).committed
    }
    var snapshot = target.snapshot
    snapshot.pieces.removeAll { $0.role == Snapshot.Component.formerTree }
    if proof.live.definition.isDirectory {
      snapshot.tables = snapshotTables(
        snapshot.definition, snapshot.keptRows, excludes: lists)
    }
    snapshot.created = now()
    snapshot.parent = try store.refs.latestReadable(of: image)?.id
    snapshot.message = message
    snapshot.provenance = changeProvenance(command, before: before)
    return try saveCache(of: store.refs.append(snapshot), proof)
  }

  /// The provenance of a snapshot that records a change.
  func changeProvenance(_ command: String, before: Digest?) -> [Snapshot.Fact] {
    provenance(command, before: before) + (before == nil ? [Snapshot.noSafety] : [])
  }

  /// Remembers the files of a snapshot as they were found live.
  func saveCache(
    of committed: CommittedSnapshot, _ proof: LiveCapture
  ) -> CommittedSnapshot {
    // The comparison leaves mount points out; the cache may vouch only for trees that are stored.
    if proof.live.capture.pieces == committed.snapshot.pieces, let store = try? store(),
      let image = try? ImageName(committed.snapshot.image)
    {
      proof.live.capture.saveCache(
        store.layout, key: cacheKey(image), base: committed.id, replacing: proof.live.cache)
    }
    return committed
  }

  /// Stores the trees of a combined state, and completes its snapshot, which is still to be committed.
  func prepare(
    _ state: CombinedState, _ order: ChangeRequest, before: Digest?, _ session: WriteSession
  ) throws -> CommittedSnapshot {
    try add(state.view, to: session)
    try session.finish()
    var snapshot = state.snapshot
    snapshot.created = now()
    let latest = try store().refs.latestReadable(of: order.image)
    snapshot.parent = latest?.id
    snapshot.facts = latest?.snapshot.facts ?? snapshot.facts
    snapshot.message = order.message
    snapshot.provenance =
      changeProvenance(order.command, before: before)
      + [.init(Snapshot.partsKey, order.parts.text)]
    return CommittedSnapshot(
      number: order.target.number, id: snapshot.id, snapshot: snapshot)
  }
}
