// Which snapshots an unfinished change still needs. `forget` and `remove` ask here, and keep them
// as if they were pinned.

import Codec
import Store

extension Workspace {
  /// Snapshots that a change under way leads to or came from, each with what that change is, as a
  /// person would say it.
  /// - Throws: `StoreError` where a journal cannot be read: then nobody knows what is in use.
  func snapshotsInUse() throws -> [SnapshotName: String] {
    let store = try store()
    var inUse: [SnapshotName: String] = [:]
    for image in try store.journals.images() {
      guard let journal = try journal(of: image) else { continue }
      let ids = Set([journal.target, journal.before].compactMap(\.self))
      let what = try unfinished(image, journal).words
      for number in try store.refs.numbers(of: image) {
        guard let committed = try? store.refs.read(image, number), ids.contains(committed.id)
        else { continue }
        inUse[SnapshotName(image: image, number: number)] = what
      }
    }
    return inUse
  }
}
