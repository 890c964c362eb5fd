// The differences between two states of an image, in the definition, files and trees.

import Store
import XCAT

/// One difference in the definition.
public struct AttributeChange: Sendable, Equatable {
  public let table: String
  public let column: String
  public let old: String?
  public let new: String?
}

/// All differences between two states of an image.
public struct ImageDiff: Sendable {
  /// The name of the old state: "compute@1" or "live".
  public let old: String
  public let new: String
  public var attributes: [AttributeChange] = []
  /// The changed entries of files and trees, with their absolute paths.
  public var entries: [TreeChange] = []
  /// The paths of both sides' root trees on the management node.
  public var trees: Set<[UInt8]> = []

  public var isEmpty: Bool { attributes.isEmpty && entries.isEmpty }
}

/// One side of a comparison.
struct ImageState {
  let name: String
  let definition: ImageDefinition
  let rows: TableRowSet
  let components: [Snapshot.Component]
  let source: any ObjectSource
  let notes: [Snapshot.Note]
}

/// Returns the differences between two definitions, and between the rows that both sides know.
func attributeChanges(
  _ old: ImageDefinition, _ oldRows: TableRowSet, _ new: ImageDefinition, _ newRows: TableRowSet
) -> [AttributeChange] {
  var changes: [AttributeChange] = []
  func compare(_ table: String, _ before: [String: String], _ after: [String: String]) {
    for column in Set(before.keys).union(after.keys).sorted()
    where before[column] != after[column] {
      changes.append(
        AttributeChange(table: table, column: column, old: before[column], new: after[column]))
    }
  }
  compare("osimage", old.osimage, new.osimage)
  compare("linuximage", old.linuximage, new.linuximage)
  compare(
    "directory", old.directory.filter { $0.key != "exclude" },
    new.directory.filter { $0.key != "exclude" })
  // One change per pattern.
  for pattern in old.excludes where !new.excludes.contains(pattern) {
    changes.append(AttributeChange(table: "directory", column: "exclude", old: pattern, new: nil))
  }
  for pattern in new.excludes where !old.excludes.contains(pattern) {
    changes.append(AttributeChange(table: "directory", column: "exclude", old: nil, new: pattern))
  }
  if old.excludes != new.excludes, Set(old.excludes) == Set(new.excludes) {
    changes.append(
      AttributeChange(
        table: "directory", column: "exclude", old: old.excludes.joined(separator: ", "),
        new: new.excludes.joined(separator: ", ")))
  }
  for key in oldRows.keys.union(newRows.keys).sorted(by: { $0.text < $1.text })
  where oldRows.isKnown(key) && newRows.isKnown(key) {
    compare(key.text, oldRows.present[key] ?? [:], newRows.present[key] ?? [:])
  }
  return changes
}

/// Compares two states of an image.
struct ImageComparer: Collaborator {
  let context: Context

  /// Compares two states within one read transaction.
  func diff(_ old: ImageState, _ new: ImageState) throws -> ImageDiff {
    try context.store().withReadTransaction { try compare(old, new) }
  }
}

private func compare(_ old: ImageState, _ new: ImageState) throws -> ImageDiff {
  var diff = ImageDiff(old: old.name, new: new.name)
  diff.trees = Set([old, new].compactMap { $0.components.rootTree?.path })
  diff.attributes = attributeChanges(old.definition, old.rows, new.definition, new.rows)
  // Mounted file systems and the store do not belong to the image, whatever either side has at their paths.
  let excluded = Set((old.notes + new.notes).filter(\.isExclusion).map(\.path))
  // The entries of a directory that could not be read are unknown, not removed.
  let unread = Set((old.notes + new.notes).filter { $0.kind == .unreadable }.map(\.path))
  let paths = Set(old.components.map(\.path)).union(new.components.map(\.path)).sorted(by: precedes)
  for path in paths {
    try compareTrees(
      old.components.first { $0.path == path }?.entry,
      new.components.first { $0.path == path }?.entry,
      ImagePath(component: path), old.source, new.source
    ) { change in
      if !excluded.hasAncestor(of: change.path, orItself: true),
        !unread.hasAncestor(of: change.path, orItself: false)
      {
        diff.entries.append(change)
      }
    }
  }
  return diff
}

extension Set<[UInt8]> {
  /// Returns whether the set contains a directory above a path, or the path itself.
  fileprivate func hasAncestor(of path: [UInt8], orItself: Bool) -> Bool {
    if isEmpty { return false }
    if orItself, contains(path) { return true }
    var rest = path[...]
    while let slash = rest.lastIndex(of: 0x2f) {
      rest = rest[..<slash]
      if contains(Array(rest)) { return true }
    }
    return path.count > 1 && contains([0x2f])
  }
}

private func compareTrees(
  _ old: Entry?, _ new: Entry?, _ address: ImagePath, _ oldFrom: some ObjectSource,
  _ newFrom: some ObjectSource, _ body: (TreeChange) -> Void
) throws {
  try TreeDiff.compare(old, new, at: address, oldFrom: oldFrom, newFrom: newFrom, body)
}
