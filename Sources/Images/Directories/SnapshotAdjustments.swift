// Adjusts a snapshot that is the target of a change: to further excludes, and to the image's present
// directory. The snapshot in the store does not change.

import Platform
import Store
import XCAT

extension CommittedSnapshot {
  /// Returns the snapshot with the image's present excludes, as the target of a change. The change leaves
  /// alone all paths that are excluded now or were excluded then.
  /// - Parameter restoresDefinition: whether the change restores the patterns of the definition, too.
  func keepingExcludes(
    of live: LiveImage, restoresDefinition: Bool = false
  ) -> CommittedSnapshot {
    var definition = snapshot.definition
    guard live.definition.isDirectory, definition.isDirectory,
      live.definition.excludes != definition.excludes || live.excludes != snapshot.excludes
    else { return self }
    if !restoresDefinition {
      definition.directory["exclude"] = live.definition.directory["exclude"]
    }
    let excludes = snapshot.excludes + live.excludes.filter { !snapshot.excludes.contains($0) }
    var copy = snapshot
    copy.tables = snapshotTables(definition, snapshot.keptRows, excludes: excludes)
    return CommittedSnapshot(number: number, id: id, snapshot: copy)
  }

  /// Returns the snapshot with further exclude lists, as the target of a change.
  func excluding(_ lists: [[String]]) -> CommittedSnapshot {
    let new = lists.filter { !snapshot.excludes.contains($0) }
    guard !new.isEmpty, snapshot.definition.isDirectory else { return self }
    var copy = snapshot
    copy.tables = snapshotTables(
      snapshot.definition, snapshot.keptRows, excludes: snapshot.excludes + new)
    return CommittedSnapshot(number: number, id: id, snapshot: copy)
  }

  /// Returns the snapshot with all paths in the image's present directory. The administrator may have moved
  /// the image since the snapshot.
  func relocated(to live: ImageDefinition?) -> CommittedSnapshot {
    guard let new = live?.directoryPath?.bytes,
      let old = snapshot.definition.directoryPath?.bytes
    else { return self }
    let hasFormerTree = snapshot.components.contains { $0.role == .formerTree }
    guard new != old || hasFormerTree else { return self }
    func moved(_ path: [UInt8]) -> [UInt8] {
      isInside(path, old) ? new + path.dropFirst(old.count) : path
    }
    var definition = snapshot.definition
    definition.directory["path"] = live?.directory["path"]
    var copy = snapshot
    copy.tables = snapshotTables(definition, snapshot.keptRows, excludes: snapshot.excludes)
    copy.components.removeAll { $0.role == .formerTree }
    for i in copy.components.indices { copy.components[i].path = moved(copy.components[i].path) }
    copy.components.sort { precedes($0.path, $1.path) }
    for i in copy.notes.indices { copy.notes[i].path = moved(copy.notes[i].path) }
    return CommittedSnapshot(number: number, id: id, snapshot: copy)
  }
}
