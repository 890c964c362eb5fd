// Finds the baseline: the snapshot that an image's name alone means for `diff` and `revert`.
//
// Commands take automatic snapshots before a change, before packing and for an export. These hold whatever
// was live, even a bad update. A comparison with one would hide the update, and a revert would restore it.
//
// 1. A snapshot that a person took, imported or copied is a baseline. So is the record of a revert of the
//    whole image, because a person chose that state.
// 2. The record of a revert of parts is not a baseline: nobody chose the state of the other files.
// 3. The record of an undo holds the state before the undone change. Its baseline is the one of that state.

import Store

/// Finds the snapshot to compare with.
struct BaselineLookup: Collaborator {
  let context: Context

  /// Returns the snapshot that a reference means for `diff` and `revert`.
  /// - Throws: `ImageError` if there is none, or more than one.
  /// - Parameter remotes: what to do with a snapshot of a remote, which has no baseline.
  func findBaseline(
    _ reference: Reference, remotes: SnapshotResolver.RemotePolicy = .refuse
  ) throws -> CommittedSnapshot {
    let latest = try SnapshotResolver(context).find(reference, remotes: remotes)
    if latest.remote != nil { return latest }
    guard reference.selector == .latest,
      try SnapshotResolver(context).find(idOrName: reference.image) == nil,
      let baseline = try baseline(before: latest)
    else { return latest }
    let reason = "the latest that you took or reverted to"
    if context.reporter.isFirstTime(baseline.name) {
      context.reporter.inform("\(latest.snapshot.image) means \(baseline.name), \(reason)")
    }
    return baseline
  }

  /// Returns the baseline of an image whose latest snapshot is not its baseline; nil if it is, or if no
  /// person chose a snapshot.
  func baseline(before latest: CommittedSnapshot) throws -> CommittedSnapshot? {
    guard latest.snapshot.origin.isAutomatic, let baseline = try baseline(from: latest),
      baseline.number != latest.number
    else { return nil }
    return baseline
  }

  /// Returns the baseline at or before an automatic snapshot; nil if no person chose a snapshot.
  private func baseline(from latest: CommittedSnapshot) throws -> CommittedSnapshot? {
    let refs = try context.store().refs
    let image = try ImageName(latest.snapshot.image)
    var numbers = try refs.numbers(of: image)[...]
    /// The state that an undo restored. The search looks for the original snapshot of that state.
    var target: Snapshot?
    while let number = numbers.popLast() {
      guard let candidate = try refs.readIfPresent(image, number) else { continue }
      if let state = target {
        // Skips records of undos, and the snapshots of the change that was undone.
        guard candidate.snapshot.hasSameState(as: state), !candidate.snapshot.restoresStateBefore
        else {
          continue
        }
        target = nil
      }
      switch candidate.snapshot.origin {
      case .manual, .imported, .copied: return candidate
      case .safety: continue
      case .change:
        if candidate.snapshot.restoresStateBefore {
          target = candidate.snapshot
        } else if !candidate.snapshot.recordsParts {
          return candidate
        }
      }
    }
    return nil
  }
}
