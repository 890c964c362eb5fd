// The changed entries of a comparison, counted by directory.

import Images

/// The kind of a change, as a sign.
enum ChangeKind {
  case added, removed, changed

  /// The sign, with its meaning for readers that do not see it.
  var sign: HTML {
    let (text, meaning, style): (String, String, StaticString) =
      switch self {
      case .added: ("+", "added", "sign plus")
      case .removed: ("−", "removed", "sign minus")
      case .changed: ("±", "changed", "sign")
      }
    return .tag(
      "span", .style(style), HTMLAttribute("title", meaning),
      content: [
        .tag("span", HTMLAttribute("aria-hidden", "true"), text: text),
        .tag("span", .style("hidden"), text: meaning),
      ])
  }
}

/// Counts changed entries by directory.
struct ChangedDirectories {
  private static let limit = 500

  /// The number of changed entries, and by how many bytes they grew.
  struct Counts {
    var added = 0
    var removed = 0
    var changed = 0
    var bytes: Int64 = 0

    mutating func add(_ change: TreeChange) {
      switch ChangedDirectories.kind(change) {
      case .added: added += 1
      case .removed: removed += 1
      case .changed: changed += 1
      }
      let sides = change.sides
      bytes &+= Int64(clamping: sides.new?.sizeBytes ?? 0)
      bytes &-= Int64(clamping: sides.old?.sizeBytes ?? 0)
    }
  }

  /// A directory with changed entries, or a changed entry.
  struct Row {
    let name: [UInt8]
    /// The change of the entry itself; nil for a directory that did not change itself.
    var kind: ChangeKind?
    var fields: [String] = []
    var isDirectory = false
    var counts = Counts()
  }

  private let changes: [TreeChange]
  /// The changed parts outside of the root tree.
  let others: [(path: [UInt8], kind: ChangeKind)]
  /// The number of entries whose time alone changed.
  let timeOnly: Int
  let total: Counts

  init(_ comparison: Comparison) {
    let trees = comparison.treePaths
    var (inside, others): ([TreeChange], [(path: [UInt8], kind: ChangeKind)]) = ([], [])
    var (timeOnly, total) = (0, Counts())
    for change in comparison.diff.entries {
      if case .changed(_, _, let fields) = change.kind, fields == .modified {
        timeOnly += 1
        continue
      }
      total.add(change)
      if trees.contains(change.address.component), !change.address.path.isTop {
        inside.append(change)
      } else {
        others.append((change.path, Self.kind(change)))
      }
    }
    (changes, self.others, self.timeOnly, self.total) = (inside, others, timeOnly, total)
  }

  fileprivate static func kind(_ change: TreeChange) -> ChangeKind {
    switch change.kind {
    case .added: .added
    case .removed: .removed
    case .changed: .changed
    }
  }

  /// Returns what changed in a directory, in byte order, and the cursor of the rest.
  /// - Parameters:
  ///   - directory: its path in the tree; empty for the top.
  ///   - after: the name after which the rows begin.
  func children(of directory: [UInt8], after: [UInt8]?) -> (rows: [Row], next: [UInt8]?) {
    let prefix = directory.isEmpty ? [] : directory + [0x2f]
    var rows: [[UInt8]: Row] = [:]
    for change in changes {
      let path = change.address.path.bytes
      guard path.starts(with: prefix), path.count > prefix.count else { continue }
      let rest = path[prefix.count...]
      let name = Array(rest.prefix { $0 != 0x2f })
      var row = rows[name] ?? Row(name: name)
      if name.count == rest.count {
        row.kind = Self.kind(change)
        let sides = change.sides
        row.isDirectory = row.isDirectory || (sides.new ?? sides.old)?.kind == .directory
        if case .changed(_, _, let fields) = change.kind { row.fields = fields.names }
        if !row.isDirectory { row.counts.add(change) }
      } else {
        row.isDirectory = true
        row.counts.add(change)
      }
      rows[name] = row
    }
    var sorted = rows.values.sorted { precedes($0.name, $1.name) }
    if let after { sorted.removeAll { !precedes(after, $0.name) } }
    let page = Array(sorted.prefix(Self.limit))
    return (page, sorted.count > page.count ? page.last?.name : nil)
  }
}
