// Which snapshots an unfinished change still needs. `forget` and `remove` ask here, and keep them
// as if they were pinned: whoever leaves work half done, to be resumed or taken back, names them.

import Store

extension Workspace {
  /// Snapshots that a half-done revert, import or the like needs to be finished or taken back, each
  /// with what that is, as a person would say it: "an unfinished revert to @3".
  func snapshotsInUse() throws -> [SnapshotName: String] {
    [:]
  }
}
