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
    try session.finish()
    let lock = try lock(source.image, store)
    defer { withExtendedLifetime(lock) {} }

    let old = before.snapshot.pieces.filter { $0.path == path.bytes }
    let new = [Snapshot.Piece(role: ImageFiles.rootTree, path: path.bytes, entry: tree.top)]
    let plans = try planPieces(
      from: old, store, to: new, tree.view, liveNotes: before.snapshot.notes, targetNotes: [])
    guard plans.contains(where: { !$0.plan.isEmpty }) else { return nil }
    var outcome = describe(plans, [])
    do {
      outcome.report = try run(plans) { try resolver.resolve($0) }
    } catch {
      tell(
        "the tree is changed half way: run the command again to go on, or "
          + "'imgstore revert \(before.name)' to go back")
      throw error
    }
    if let problem = outcome.report.problems.first {
      throw ImageError(
        printable(problem.path), problem.what,
        advice: "'imgstore revert \(before.name)' takes the change of the tree back")
    }
    let recorded = try commitLive(
      source.image, source.definition, message: message, command: command
    ).committed
    return (
      try rootTree(of: recorded, source.definition, in: source.folder), recorded, outcome
    )
  }
}
