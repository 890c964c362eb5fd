// The change of a live root tree to an edited one, as its transaction sees it.

import Codec
import Platform
import Store
import XCAT

/// An edit of a live root tree.
struct TreeEditChange: LiveChange {
  let context: Context
  let image: ImageName
  /// The path of the tree.
  let path: [UInt8]
  /// A snapshot of the tree before the edit.
  let before: CommittedSnapshot
  /// The state with the edited tree.
  let edited: Snapshot
  let plans: [ComponentPlan]
  let command: RecordedCommand

  var notes: [Snapshot.Note] { [] }
  var rows: [RowChange] { [] }

  func keepStateBefore() -> StateBefore { .kept(before, isNew: false) }

  func target(after before: CommittedSnapshot?) -> ChangeTarget {
    ChangeTarget(
      snapshot: CommittedSnapshot(number: 0, id: edited.id, snapshot: edited), isRecorded: false)
  }

  func journal(target: Digest, before: Digest?) -> Journal {
    Journal(
      operation: .packing, image: image.text, started: context.now(), method: .inPlace,
      target: target, before: before, command: command.text, message: edited.message)
  }

  func resolve(_ path: AbsolutePath) throws -> ResolvedPath {
    try LivePaths(context).locate(path)
  }

  /// The tree exists, so no directory must be created for it.
  func prepareFiles(_ target: CommittedSnapshot) -> Bool { false }

  /// Saves the stat cache.
  /// - Throws: `ImageError` (`imageChanged`) if another process has changed the tree.
  func record(
    _ proof: ChangeProof, as target: CommittedSnapshot, before: CommittedSnapshot?
  ) throws -> CommittedSnapshot? {
    if let problem = proof.report.problems.first(where: { !$0.isAttribute }) {
      throw ImageError(.imageChanged, printable(problem.path), problem.what)
    }
    if let left = proof.remaining.entries.first(where: { isInside($0.path, path) }) {
      throw ImageError(
        .imageChanged,
        printable(left.path), "does not match the target: another process changed it")
    }
    return proof.savingCache(context, of: target)
  }
}
