// Finds the snapshots that an unfinished change still needs. `forget` and `remove` keep them, even with
// `--force`.

import Store

/// Finds the snapshots that unfinished changes need.
struct SnapshotsInUse: Collaborator {
  let context: Context

  /// Returns the snapshots that unfinished changes lead to or came from, each with a description of the
  /// change.
  /// - Throws: `StoreError` if a journal cannot be read, because the snapshots in use are then unknown.
  func snapshotsInUse() throws -> [SnapshotName: String] {
    let store = try context.store()
    var inUse: [SnapshotName: String] = [:]
    for image in try store.journals.images() {
      guard let journal = try ChangeJournal(context).journal(of: image) else { continue }
      let ids = Set([journal.target, journal.before].compactMap(\.self))
      let what = try ChangeJournal(context).unfinished(image, journal).description
      for number in try store.refs.numbers(of: image) {
        guard let committed = try? store.refs.read(image, number), ids.contains(committed.id)
        else { continue }
        inUse[SnapshotName(image: image, number: number)] = what
      }
    }
    return inUse
  }
}
