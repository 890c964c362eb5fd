// An edited tree becomes the live one: what xCAT does to the tree on disk, with a snapshot before.
//
// 1. Nothing is changed that the given snapshot does not hold; a revert to it takes the change back.
// 2. Only what differs is written; a change that is cut short is finished by doing it again.

import Apply
import Ingest
import Platform
import Store
import XCAT

extension Workspace {
  /// Makes the live root tree at `path` what `tree` is, and takes a snapshot of it.
  /// - Parameter before: of the live tree as it is now.
  /// - Returns: the new snapshot and its tree; nil where the tree is like that already.
  func makeLive(
    _ path: AbsolutePath, _ tree: EditedTree, from before: CommittedSnapshot,
    _ source: PackSource, message: String, command: String
  ) throws -> (top: Entry, snapshot: CommittedSnapshot, outcome: ApplyOutcome)? {
    let store = try store()
    let session = try store.beginSession()
    for content in tree.view.newContents { try session.addBlob(content) }
    try session.withWorker { worker in
      for object in tree.view.newObjects { try worker.add(object.kind, object.id, object.bytes) }
    }
    try session.finish()
    let lock = try lock(source.image, store)
    defer { withExtendedLifetime((lock, session)) {} }

    let plans = try planPieces(
      from: before.snapshot.pieces.filter { $0.path == path.bytes }, store,
      to: [Snapshot.Piece(role: ImageFiles.rootTree, path: path.bytes, entry: tree.top)], store,
      liveNotes: before.snapshot.notes, targetNotes: [])
    guard plans.contains(where: { !$0.plan.isEmpty }) else { return nil }
    var outcome = describe(plans, [], [])
    var target = before.snapshot
    target.created = now()
    target.parent = before.id
    target.message = message
    target.provenance = provenance(command, before: before.id)
    target.pieces = target.pieces.map { piece in
      guard piece.path == path.bytes else { return piece }
      return Snapshot.Piece(role: piece.role, path: piece.path, entry: tree.top)
    }
    let (old, new) = (
      try TreeCounts(plans.first?.current, in: store), try TreeCounts(tree.top, in: store)
    )
    target.entryCount = target.entryCount &+ new.entries &- old.entries
    target.contentBytes = target.contentBytes &+ new.contentBytes &- old.contentBytes
    let journal = Journal(
      operation: .packing, image: source.image.text, started: now(), method: .inPlace,
      target: target.id, before: before.id, command: command, message: message)
    let recorded = try underJournal(source.image, journal) {
      let recorded = try store.refs.append(target)
      outcome.report = try carryOut(source.image, plans, [], to: target, journal, setsRows: false) {
        try resolver.resolve($0)
      }
      let (remaining, proof) = try diffLive(recorded)
      if let problem = outcome.report.problems.first {
        throw ImageError(printable(problem.path), problem.what)
      }
      let inside = path.bytes + [0x2f]
      let left = remaining.entries.first { $0.path == path.bytes || $0.path.starts(with: inside) }
      if let left {
        throw ImageError(
          printable(left.path), "is not what it was to become: something else changes it, too")
      }
      // Other files of the image may have changed since `before`, a packed one for instance.
      if !remaining.isEmpty {
        return try commitLive(
          source.image, source.definition, message: message, command: command, before: before.id
        ).committed
      }
      if proof.capture.pieces == target.pieces {
        proof.capture.saveCache(
          store.layout, key: cacheKey(source.image), base: recorded.id, replacing: proof.cache)
      }
      return recorded
    }
    return (
      try rootTree(of: recorded, source.definition, in: source.folder), recorded, outcome
    )
  }
}
