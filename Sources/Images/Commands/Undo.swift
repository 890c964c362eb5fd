// imgstore undo: restores the state before the last change that imgstore made to the live image.
//
// A snapshot that records a change names the snapshot of the state before in its provenance (key "before").
// An undo is a revert to that snapshot. It is recorded in the same way, so that an undo of an undo restores
// the change.

import Codec
import Store

extension Workspace {
  /// Undoes the last change of an image: a run, a revert, an import or an undo.
  /// - Parameter request: the parameters of the revert. Its reference is not used.
  /// - Throws: `ImageError`: `nothingToUndo` if the latest snapshots record no change, `snapshotNotFound` if
  ///   the state before is not in the store; otherwise as `revert`.
  public func undo(_ name: String, _ request: RevertRequest? = nil) throws -> RevertOutcome {
    try ChangeUndoer(context).undo(name, request)
  }
}

/// Undoes changes.
struct ChangeUndoer: Collaborator {
  let context: Context

  func undo(_ name: String, _ request: RevertRequest? = nil) throws -> RevertOutcome {
    let image = try SnapshotResolver(context).findHistory(name).image
    let store = try context.store()
    let lock = try ImageLocks(context).lock(
      image, store, isDryRun: request?.isDryRun ?? false, usesTree: true)
    defer { withExtendedLifetime(lock) {} }
    let (change, before) = try lastChange(of: image)
    guard let target = try ChangeJournal(context).findSnapshot(before, of: image) else {
      throw ImageError(
        .snapshotNotFound, "image \(image)",
        "no longer has the snapshot of the state before \(change.name) (\(change.snapshot.message))",
        hint: "'imgstore log \(image)' lists the snapshots that you can revert to")
    }
    var request = request ?? RevertRequest(name)
    // The undo of an import may write to all locations that the import was allowed to write to.
    if change.snapshot.command == .importing {
      request.allowsOutside = true
      request.restoresExcludes = true
    }
    // An import may have moved the image to another directory. If an administrator has moved it since, it
    // stays there.
    let live = try context.tables().definition(of: image.text)?.directoryPath
    request.restoresLocation =
      live == change.snapshot.definition.directoryPath
      && live != target.snapshot.definition.directoryPath
    // The message of an undo of an undo names only the number.
    let isUndo = change.snapshot.command == .undo
    var outcome = try ImageReverter(context).change(
      ChangeRequest(
        image: image, target: target, request: request,
        label: SnapshotLabel(
          .undo,
          "undo of @\(change.number)" + (isUndo ? "" : " (\(change.snapshot.message))"))))
    outcome.undone = change
    return outcome
  }

  /// Returns the last snapshot that records a change, and the id of the snapshot of the state before it.
  /// - Throws: `ImageError` if there is no such change, or if it was made with --no-safety.
  private func lastChange(of image: ImageName) throws -> (CommittedSnapshot, before: Digest) {
    let refs = try context.store().refs
    var later: CommittedSnapshot?
    var latest: CommittedSnapshot?
    for number in try refs.numbers(of: image).reversed() {
      let candidate = try refs.read(image, number)
      latest = latest ?? candidate
      // Later snapshots of the same state do not hide the last change.
      if let later, !later.snapshot.hasSameState(as: candidate.snapshot) { break }
      latest = latest ?? candidate
      if let before = candidate.snapshot.before { return (candidate, before) }
      if candidate.snapshot.hasKeptNothing {
        throw ImageError(
          .nothingToUndo, "image \(image)",
          "has no snapshot of the state before \(candidate.name) (\(candidate.snapshot.message)), "
            + "because the change was made with --no-safety",
          hint:
            "'imgstore revert \(image)@N' restores any snapshot that 'imgstore log \(image)' lists")
      }
      later = candidate
    }
    let name = latest.map { ", \($0.name)," } ?? ""
    throw ImageError(
      .nothingToUndo, "image \(image)",
      "has nothing to undo: its latest snapshot\(name) is not from a run, a revert or an import",
      hint:
        "A snapshot changes nothing in the live image. 'imgstore revert \(image)@N' restores any "
        + "snapshot that 'imgstore log \(image)' lists")
  }
}
