// Returns candidates for paths in a snapshot. Only the directories on one path of a tree are read. As in
// EntryLookup.swift, a path is relative to the root tree, or absolute on the management node.

import Platform
import Store

extension CompletionSource {
  /// Returns the paths in a snapshot that start with a text.
  func paths(_ word: String, of reference: String) -> [CompletionCandidate] {
    guard let store, let snapshot = snapshot(reference)?.snapshot else { return [] }
    let directory = word.lastIndex(of: "/").map { word[...$0] } ?? ""
    let beginning = word.dropFirst(directory.count)
    guard let bytes = bytes(fromPrintable: String(directory)) else { return [] }
    let parts = writtenComponents(bytes)
    let isAbsolute = bytes.first == UInt8(ascii: "/")
    let tree = SnapshotDirectories(components: snapshot.components, source: store)
    let children = tree.children(parts, isAbsolute: isAbsolute)
      .filter { printable($0.key).hasPrefix(beginning) }
    return children.sorted { precedes($0.key, $1.key) }.map { name, kind in
      // Following a link reads directories, so a link is followed only if it is the single candidate.
      let isDirectory =
        kind == .directory
        || children.count == 1 && kind == .symlink
          && tree.isDirectory(parts + [name], isAbsolute: isAbsolute)
      return CompletionCandidate(
        directory + printable(name) + (isDirectory ? "/" : ""), isFinished: !isDirectory)
    }
  }
}

/// The directories of a snapshot.
private struct SnapshotDirectories {
  let components: [Snapshot.Component]
  let source: UnlockedStore

  /// Returns the names in a directory and their kinds, including directories that lead to a component of the
  /// image.
  func children(_ parts: [[UInt8]], isAbsolute: Bool) -> [[UInt8]: FileKind] {
    var children: [[UInt8]: FileKind] = [:]
    if let directory = find(parts, isAbsolute: isAbsolute), let ids = directory.ids,
      let entries = try? Tree.entries(ids, from: source)
    {
      for entry in entries { children[entry.name] = entry.kind }
    }
    guard isAbsolute else { return children }
    for component in components {
      let own = writtenComponents(component.path)
      guard own.count > parts.count, own.starts(with: parts) else { continue }
      let isLast = own.count == parts.count + 1
      let name = own[parts.count]
      if children[name] == nil {
        children[name] = isLast ? followed(component).entry.kind : .directory
      }
    }
    return children
  }

  func isDirectory(_ parts: [[UInt8]], isAbsolute: Bool) -> Bool {
    find(parts, isAbsolute: isAbsolute)?.kind == .directory
  }

  private func find(_ parts: [[UInt8]], isAbsolute: Bool) -> Entry? {
    let found = isAbsolute ? components.containing(parts) : nil
    guard let component = found.map({ followed($0.component) }) ?? components.rootTree else {
      return nil
    }
    return try? TreeDescent(source: source).find(
      component, found?.below ?? parts, followLast: true)?.entry
  }

  private func followed(_ component: Snapshot.Component) -> Snapshot.Component {
    components.followed(component) ?? component
  }
}
