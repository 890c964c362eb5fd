// An edited tree becomes the live one: what xCAT does to the tree on disk, with a snapshot before.
//
// 1. Nothing is changed that the given snapshot does not hold; a revert to it takes the change back.
// 2. Only what differs is written, in place. No snapshot has the edited tree before it is live, so a
//    change that is cut short can only be taken back: its journal leads to the state before, both ways.

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
    try session.finish()
    let lock = try lock(source.image, store)
    defer { withExtendedLifetime(lock) {} }

    let old = before.snapshot.pieces.filter { $0.path == path.bytes }
    let new = [Snapshot.Piece(role: ImageFiles.rootTree, path: path.bytes, entry: tree.top)]
    let plans = try planPieces(
      from: old, store, to: new, tree.view, liveNotes: before.snapshot.notes, targetNotes: [])
    guard plans.contains(where: { !$0.plan.isEmpty }) else { return nil }
    var outcome = describe(plans, [], [])
    let journal = Journal(
      operation: .edit, image: source.image.text, started: now(), method: .inPlace,
      target: before.id, before: before.id, command: command, message: message)
    let recorded = try underJournal(source.image, journal) {
      outcome.report = try place(plans, token: journal.token) { try resolver.resolve($0) }.report
      if let problem = outcome.report.problems.first {
        throw ImageError(printable(problem.path), problem.what)
      }
      return try commitLive(
        source.image, source.definition, message: message, command: command, before: before.id
      ).committed
    }
    return (
      try rootTree(of: recorded, source.definition, in: source.folder), recorded, outcome
    )
  }
}
