// The target of a change without the entries that the image excludes now.
//
// 1. No change touches a path that the patterns of the definition exclude, whether it exists or not. So the
//    target must not contain such paths.
// 2. A snapshot that was taken with the same patterns contains none, and is not searched.

import Platform
import Render
import Store

/// A target without excluded entries, and their paths.
struct ReducedTarget {
  let state: CombinedState
  /// The topmost excluded entries, inside the root tree.
  let paths: [RelativePath]

  /// The remark on a change to the target.
  /// - Parameter name: the name of the snapshot.
  func remark(_ name: String) -> String {
    let shown = paths.prefix(3).map { $0.text }
    return "\(paths.count) \(paths.count == 1 ? "entry" : "entries") of \(name) "
      + "\(paths.count == 1 ? "is" : "are") excluded now, and not changed: "
      + shown.joined(separator: ", ") + (paths.count > 3 ? " …" : "")
  }
}

/// Removes excluded entries from a target.
struct ExcludedTarget: Collaborator {
  let context: Context

  /// Returns the target of a change without the entries that the image's definition excludes now; nil if the
  /// target has no such entries.
  /// - Parameter recorded: the target as it was recorded.
  func withoutExcluded(
    _ target: Snapshot, recorded: Snapshot, _ current: LiveCapture
  ) throws -> ReducedTarget? {
    let lines = current.live.definition.excludes
    guard current.live.definition.isDirectory, !lines.isEmpty, !recorded.excludes.contains(lines),
      let tree = target.components.rootTree, tree.entry.ids != nil
    else { return nil }
    let store = try context.store()
    let search = ExcludedEntrySearch(try ExcludePatterns(lines), store)
    let paths = try store.withReadTransaction { try search.paths(in: tree.entry) }
    if paths.isEmpty { return nil }
    let view = OverlayTree(store, objects: current.source, modified: target.created)
    var edits = TreeEdits()
    for path in paths { edits.remove(path) }
    var component = tree
    component.entry = try view.regrouped(view.apply(edits, to: tree.entry))
    var growth = TreeGrowth(view)
    try growth.add(old: tree.entry, new: component.entry)
    let snapshot = Snapshot(
      image: target.image, created: target.created, parent: nil, message: "", provenance: [],
      tables: target.tables,
      components: target.components.map { $0.path == component.path ? component : $0 },
      notes: target.notes.filter { $0.kind != .excluded }, facts: target.facts,
      entryCount: growth.entries(target.entryCount),
      contentBytes: growth.bytes(target.contentBytes))
    return ReducedTarget(state: CombinedState(snapshot: snapshot, view: view), paths: paths)
  }
}

/// Finds the entries of a stored tree that a list of patterns excludes.
private struct ExcludedEntrySearch {
  private let patterns: ExcludePatterns
  private let store: ObjectStore

  init(_ patterns: ExcludePatterns, _ store: ObjectStore) {
    self.patterns = patterns
    self.store = store
  }

  /// Returns the topmost excluded entries.
  func paths(in tree: Entry) throws -> [RelativePath] {
    var paths: [RelativePath] = []
    func visit(_ entry: Entry, _ path: RelativePath) throws {
      guard let ids = entry.ids else { return }
      for child in try Tree.entries(ids, from: store) {
        let inside = path.appending(child.name)
        let isDirectory = child.kind == .directory
        if patterns.match(inside, isDirectory: isDirectory) != nil {
          paths.append(inside)
        } else if isDirectory {
          try visit(child, inside)
        }
      }
    }
    try visit(tree, .top)
    return paths
  }
}
