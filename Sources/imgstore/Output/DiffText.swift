// Differences as lines. Paths inside a root tree are relative, below a header that names the tree. A
// directory that was added or removed as a whole is one line.

import Images

/// Renders the differences of two states.
struct DiffText {
  private let diff: ImageDiff
  /// Whether each entry of an added or removed directory has a line of its own.
  private let showsAll: Bool

  init(_ diff: ImageDiff, showsAll: Bool = false) {
    (self.diff, self.showsAll) = (diff, showsAll)
  }

  /// A line: a change, and the number of other changes that it includes.
  private struct Line {
    let change: TreeChange
    let tree: [UInt8]?
    let foldedCount: Int
  }

  /// Prints the differences, at most `limit` lines of entries.
  func printAll(limit: Int? = nil) {
    for change in diff.attributes {
      let name = "\(change.table).\(change.column)"
      switch (change.old, change.new) {
      case (nil, let new): print(paintedBySign("A  \(name)=\(new ?? "")"))
      case (let old, nil): print(paintedBySign("D  \(name)=\(old ?? "")"))
      case (let old, let new): print(paintedBySign("M  \(name): \(old ?? "") → \(new ?? "")"))
      }
    }
    let lines = self.lines
    var tree: [UInt8]?
    for line in lines.prefix(limit ?? .max) {
      if let inside = line.tree, inside != tree { print("\(printable(inside)):") }
      tree = line.tree
      print(paintedBySign(text(line)))
    }
    if let limit, lines.count > limit {
      print("…  and \(lines.count - limit) more ('imgstore diff \(diff.old)' lists all)")
    }
  }

  /// Prints only the paths, in the form of `REF:PATH`.
  func printNames() {
    for change in diff.entries { print(printable(path(change, in: tree(of: change)))) }
  }

  /// The lines: first the entries outside of trees, then those of each tree.
  private var lines: [Line] {
    var lines: [Line] = []
    var i = 0
    while i < diff.entries.count {
      let change = diff.entries[i]
      i += 1
      var count = 0
      if !showsAll, change.isWholeDirectory {
        let inside = change.path + [0x2f]
        while i < diff.entries.count, diff.entries[i].path.starts(with: inside) {
          count += 1
          i += 1
        }
      }
      lines.append(Line(change: change, tree: tree(of: change), foldedCount: count))
    }
    let outside = lines.filter { $0.tree == nil }
    return outside
      + diff.trees.sorted(by: precedes).flatMap { tree in lines.filter { $0.tree == tree } }
  }

  private func tree(of change: TreeChange) -> [UInt8]? {
    diff.trees.first { change.path == $0 || change.path.starts(with: $0 + [0x2f]) }
  }

  private func path(_ change: TreeChange, in tree: [UInt8]?) -> [UInt8] {
    guard let tree else { return change.path }
    return change.path == tree ? [0x2e] : Array(change.path.dropFirst(tree.count + 1))
  }

  private func text(_ line: Line) -> String {
    changeText(line.change, path: path(line.change, in: line.tree))
      + (line.foldedCount == 0 ? "" : "  (\(count(line.foldedCount, "entry")) in it)")
  }
}

extension TreeChange {
  /// Whether a directory was added or removed with all its entries.
  fileprivate var isWholeDirectory: Bool {
    switch kind {
    case .added(let entry), .removed(let entry): entry.kind == .directory
    case .changed: false
    }
  }
}

/// Returns a change as a line: "M  etc/hosts".
/// - Parameter path: The path to print; nil for the absolute path.
func changeText(_ change: TreeChange, path: [UInt8]? = nil) -> String {
  let path = printable(path ?? change.path)
  switch change.kind {
  case .added(let entry): return "A  \(path)\(mark(entry))"
  case .removed(let entry): return "D  \(path)\(mark(entry))"
  case .changed(_, let entry, let fields):
    if fields == .modified { return "t  \(path)\(mark(entry))" }
    let letter = fields.contains(.content) ? "M" : "m"
    let rest = fields.subtracting([.content, .modified])
    return "\(letter)  \(path)\(mark(entry))"
      + (rest.isEmpty ? "" : "  (\(rest.names.joined(separator: ", ")))")
  }
}

private func mark(_ entry: Entry) -> String { entry.kind == .directory ? "/" : "" }

/// Returns the numbers of changes: "12 added, 3 removed, 40 changed, 2 attributes of the definition".
func summary(_ diff: ImageDiff) -> String {
  var added = 0
  var removed = 0
  var changed = 0
  var attributes = 0
  var times = 0
  for change in diff.entries {
    switch change.kind {
    case .added: added += 1
    case .removed: removed += 1
    case .changed(_, _, let fields):
      if fields == .modified {
        times += 1
      } else if fields.contains(.content) {
        changed += 1
      } else {
        attributes += 1
      }
    }
  }
  var parts: [String] = []
  if added > 0 { parts.append("\(added) added") }
  if removed > 0 { parts.append("\(removed) removed") }
  if changed > 0 { parts.append("\(changed) changed") }
  if attributes > 0 { parts.append("\(attributes) with changed attributes") }
  if times > 0 { parts.append("\(times) with changed times only") }
  if !diff.attributes.isEmpty {
    parts.append("\(count(diff.attributes.count, "attribute")) of the definition")
  }
  return parts.isEmpty ? "nothing" : parts.joined(separator: ", ")
}
