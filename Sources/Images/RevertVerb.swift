// imgstore revert: the live image becomes what a snapshot says.
//
//     live ─capture─▶ (not in the store? ─▶ safety snapshot) ─plan─▶ steps ─▶ rows ─▶ proof ─▶ ref
//
// 1. Nothing is changed before everything that would be lost is in the store.
// 2. Files first, table rows last: a half-done revert is completed by running it again.
// 3. It ends in a proof, a capture that equals the snapshot, and records itself as a snapshot, so
//    that it is reverted the same way.

import Apply
import Ingest
import Platform
import Store
import XCAT

/// What a revert did, or (as a dry run) would do.
public struct RevertOutcome: Sendable {
  public let target: CommittedSnapshot
  public let isDryRun: Bool
  public let apply: ApplyOutcome
  /// The snapshot that holds what was there before, where the store had it not.
  public let safety: CommittedSnapshot?
  /// The snapshot that records the revert.
  public let recorded: CommittedSnapshot?
  /// What still differs afterwards: empty is the proof.
  public let remaining: ImageDiff?
  /// Entries that could not be compared, because they cannot be read.
  public let uncompared: [Snapshot.Note]
  public let seconds: Double
  public var isExact: Bool { remaining?.isEmpty ?? true }
}

extension Workspace {
  /// Reverts the live image.
  public func revert(_ text: String, dryRun: Bool = false) throws -> RevertOutcome {
    let start = monotonicSeconds()
    let reference = try Reference(text)
    let image = try ImageName(try find(reference).snapshot.image)
    let store = try store()
    let lock = try lock(image, store)
    defer { withExtendedLifetime(lock) {} }
    let target = try find(reference)

    let (diff, live, memory) = try look(image, target, store)
    let notes = try notesToHonour(target.snapshot, of: image)
    let plans = try planPieces(
      from: live.capture.pieces, memory, to: target.snapshot.pieces, store,
      liveNotes: live.notes, targetNotes: notes)
    var outcome = describe(plans, diff.attributes)
    if dryRun {
      return RevertOutcome(
        target: target, isDryRun: true, apply: outcome, safety: nil, recorded: nil,
        remaining: nil, uncompared: [], seconds: monotonicSeconds() - start)
    }
    let safety = try saveBeforeChange(
      image, live, keeping: target.snapshot.requests + target.snapshot.absentees,
      message: "before revert to @\(target.number)", command: "revert", unlessIn: target)
    do {
      outcome.report = try run(plans) { path in
        try resolver.resolve(path, create: true)
      }
      try removeEmptyFolders(notes)
      if !diff.attributes.isEmpty { try restoreRows(image, target.snapshot) }
    } catch {
      let before = try safety ?? store.refs.latestReadable(of: image)
      tell(
        "the revert is half done: 'imgstore revert \(target.name)' goes on with it"
          + (before.map { ", 'imgstore revert \($0.name)' undoes it" } ?? ""))
      throw error
    }
    let (remaining, proof, _) = try look(image, target, store)
    let recorded = try record(image, target, proof, remaining)
    return RevertOutcome(
      target: target, isDryRun: false, apply: outcome, safety: safety, recorded: recorded,
      remaining: remaining, uncompared: proof.notes.filter(\.isProblem),
      seconds: monotonicSeconds() - start)
  }

  private func look(
    _ image: ImageName, _ target: CommittedSnapshot, _ store: ObjectStore
  ) throws -> (ImageDiff, LiveImage, MemoryObjects) {
    let memory = MemoryObjects(over: store)
    let definition = try tables().definition(of: image.text) ?? ImageDefinition()
    let live = try captureLive(
      image, definition, latest: target, also: target.snapshot.requests + target.snapshot.absentees,
      rows: target.snapshot.keptRows.keys, into: .memory(memory))
    let diff = try compare(
      ImageState(
        name: "live", definition: definition, rows: live.rows, pieces: live.capture.pieces,
        source: memory, notes: live.notes),
      state(target, store))
    return (diff, live, memory)
  }

  /// Takes a snapshot of the live image, unless the latest one, or `known`, holds all of it.
  func saveBeforeChange(
    _ image: ImageName, _ live: LiveImage, keeping others: [PieceRequest], message: String,
    command: String, unlessIn known: CommittedSnapshot? = nil
  ) throws -> CommittedSnapshot? {
    let latest = try store().refs.latestReadable(of: image)
    for snapshot in [latest, known].compactMap({ $0?.snapshot })
    where snapshot.definition == live.definition && snapshot.keptRows.present == live.rows.present
      && live.capture.pieces.allSatisfy({ snapshot.piece(at: $0.path)?.entry == $0.entry })
    { return nil }
    if live.capture.pieces.isEmpty, live.definition.isEmpty { return nil }
    let kept = try commitLive(
      image, live.definition, also: others, rows: live.rows.keys, message: message,
      command: command
    ).committed
    try requireKept(live.capture.pieces, live.notes, in: kept)
    return kept
  }

  /// Commits the state after a revert: the target's own where the proof is clean.
  private func record(
    _ image: ImageName, _ target: CommittedSnapshot, _ proof: LiveImage, _ remaining: ImageDiff
  ) throws -> CommittedSnapshot {
    let store = try store()
    let message = "revert to @\(target.number)" + (remaining.isEmpty ? "" : ", not exact")
    guard remaining.isEmpty else {
      return try commitLive(
        image, proof.definition, also: target.snapshot.requests, message: message,
        command: "revert"
      ).committed
    }
    var snapshot = target.snapshot
    snapshot.created = now()
    snapshot.parent = try store.refs.latestReadable(of: image)?.id
    snapshot.message = message
    snapshot.provenance = provenance("revert")
    let committed = try store.refs.append(snapshot)
    // The comparison leaves mount points out; the cache may vouch only for trees that are stored.
    if proof.capture.pieces == target.snapshot.pieces {
      proof.capture.saveCache(
        store.layout, key: cacheKey(image), base: committed.id, replacing: proof.cache)
    }
    return committed
  }
}
