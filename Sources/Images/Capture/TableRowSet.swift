// Rows of xCAT's tables that belong to an image's state beside its own two: litefile rows, the kits
// it uses, and (around an import) the script lists of nodes.
//
// 1. A snapshot holds rows, and keys of rows that were not there: so a revert knows what to remove.
// 2. What a snapshot does not mention it knows nothing of, and a revert leaves it alone; but litefile
//    rows of a defined image are all mentioned.

import Apply
import Store
import XCAT

/// The key of a row.
struct RowKey: Hashable, Sendable {
  let table: String
  let key: [String: String]

  /// "litefile /etc/hosts".
  var text: String {
    let columns = TableSchema.named(table)?.keys ?? key.keys.sorted()
    return ([table] + columns.filter { $0 != "image" }.map { key[$0] ?? "" })
      .joined(separator: " ")
  }
}

/// Rows that are there, and keys of those that are not.
struct TableRowSet: Hashable, Sendable {
  /// Columns without those of the key.
  var present: [RowKey: [String: String]] = [:]
  var absent: Set<RowKey> = []

  var keys: Set<RowKey> { Set(present.keys).union(absent) }

  func isKnown(_ key: RowKey) -> Bool {
    present[key] != nil || absent.contains(key) || key.table == TableSchema.litefile.name
  }

  mutating func add(_ row: [String: String], _ schema: TableSchema) {
    let key = RowKey(
      table: schema.name,
      key: Dictionary(uniqueKeysWithValues: schema.keys.map { ($0, row[$0] ?? "") }))
    present[key] = row.filter { !schema.keys.contains($0.key) }
  }

  /// The changes that lead from these rows to `target`'s.
  func changes(to target: TableRowSet) -> [RowChange] {
    var changes: [RowChange] = []
    func add(_ key: RowKey, _ columns: [String: String]?) {
      guard let schema = TableSchema.named(key.table) else { return }
      let change = RowChange(
        schema: schema, key: key.key, columns: columns, keepsOtherColumns: false)
      changes.append(
        change.expecting(present[key].map { .columns($0) } ?? (isKnown(key) ? .absent : .anything)))
    }
    let all = keys.union(target.keys).sorted { $0.text < $1.text }
    for key in all where target.isKnown(key) && present[key] != target.present[key] {
      add(key, target.present[key])
    }
    return changes
  }
}

// MARK: - In snapshots

/// The table in which a snapshot lists keys of rows that were not there.
private let absentTable = "absent"
private let absentTableColumn = "table"
/// The tables in which a snapshot lists what was left out of its tree, in order.
private let excludeTable = "exclude"
private let excludeColumn = "pattern"

extension Snapshot {
  /// The definition that the snapshot holds; empty where the image was not defined.
  var definition: ImageDefinition {
    func row(_ name: String) -> [String: String] {
      tables.first { $0.name == name }?.rows.first ?? [:]
    }
    return ImageDefinition(
      osimage: row("osimage"), linuximage: row("linuximage"), directory: row("directory"))
  }

  /// What was left out of the tree when the snapshot was taken: lists of lines of gitignore(5).
  var excludes: [[String]] {
    tables.filter { $0.name == excludeTable }.map { $0.rows.compactMap { $0[excludeColumn] } }
  }

  var keptRows: TableRowSet {
    var rows = TableRowSet()
    for table in tables where !["osimage", "linuximage", "directory"].contains(table.name) {
      if table.name == absentTable {
        for row in table.rows {
          guard let name = row[absentTableColumn] else { continue }
          rows.absent.insert(
            RowKey(table: name, key: row.filter { $0.key != absentTableColumn }))
        }
      } else if let schema = TableSchema.named(table.name) {
        for row in table.rows { rows.add(row, schema) }
      }
    }
    return rows
  }
}

/// A definition and other rows as a snapshot holds them.
/// - Parameter excludes: what is left out of the tree, by the definition and by the tree's own list.
func snapshotTables(
  _ definition: ImageDefinition, _ rows: TableRowSet, excludes: [[String]] = []
) -> [Snapshot.Table] {
  var tables: [Snapshot.Table] = []
  if definition.isDirectory {
    tables.append(Snapshot.Table(name: TableSchema.directory.name, rows: [definition.directory]))
  } else if !definition.isEmpty {
    tables.append(Snapshot.Table(name: "osimage", rows: [definition.osimage]))
    tables.append(Snapshot.Table(name: "linuximage", rows: [definition.linuximage]))
  }
  for schema in TableSchema.all {
    let found = rows.present.filter { $0.key.table == schema.name }
    if found.isEmpty { continue }
    tables.append(
      Snapshot.Table(
        name: schema.name,
        rows: found.sorted { $0.key.text < $1.key.text }.map { key, columns in
          columns.merging(key.key) { $1 }
        }))
  }
  if !rows.absent.isEmpty {
    tables.append(
      Snapshot.Table(
        name: absentTable,
        rows: rows.absent.sorted { $0.text < $1.text }.map {
          $0.key.merging([absentTableColumn: $0.table]) { $1 }
        }))
  }
  tables += excludes.map { list in
    Snapshot.Table(name: excludeTable, rows: list.map { [excludeColumn: $0] })
  }
  return tables
}

// MARK: - On the management node

extension Workspace {
  /// The rows now: those that the image's state has, and those with the given keys.
  func liveRows(
    _ image: ImageName, _ definition: ImageDefinition, also keys: Set<RowKey> = []
  ) throws -> TableRowSet {
    let tables = try tables()
    var rows = TableRowSet()
    for row in try tables.rows("litefile", where: ("image", image.text)) {
      rows.add(row, .litefile)
    }
    for (schema, found) in try kitRows(definition, tables) {
      for row in found { rows.add(row, schema) }
    }
    for key in keys where rows.present[key] == nil && key.table != TableSchema.litefile.name {
      guard let schema = TableSchema.named(key.table), let column = schema.keys.first else {
        continue
      }
      let found = try tables.rows(key.table, where: (column, key.key[column] ?? ""))
        .first { row in schema.keys.allSatisfy { (row[$0] ?? "") == (key.key[$0] ?? "") } }
      if let found { rows.add(found, schema) } else { rows.absent.insert(key) }
    }
    return rows
  }

  /// The kits that an image's components belong to, with all their repositories and components, as
  /// xCAT's export takes them.
  func kitRows(
    _ definition: ImageDefinition, _ tables: any TableBackend
  ) throws -> [(TableSchema, [[String: String]])] {
    let wanted = (definition.osimage["kitcomponents"] ?? "").split(separator: ",").map(String.init)
    guard !wanted.isEmpty else { return [] }
    let components = try tables.rows("kitcomponent")
    let kitNames = Set(
      components.filter { wanted.contains($0["kitcompname"] ?? "") }.compactMap { $0["kitname"] })
    func belongs(_ row: [String: String]) -> Bool { kitNames.contains(row["kitname"] ?? "") }
    return [
      (.kit, try tables.rows("kit").filter(belongs)),
      (.kitrepo, try tables.rows("kitrepo").filter(belongs)),
      (.kitcomponent, components.filter(belongs)),
    ]
  }

  /// Makes the image's rows, and what other rows its snapshot mentions, what `target` says: one step.
  /// - Parameter live: the image as it was captured: rows that are not as they were then stay.
  /// - Returns: the rows that were left alone.
  func restoreRows(
    _ image: ImageName, _ target: Snapshot, from live: LiveImage
  ) throws -> [ApplyProblem] {
    try applyRows(
      target.definition.rowChanges(of: image.text, from: live.definition)
        + live.rows.changes(to: target.keptRows))
  }

  /// Applies row changes and says what these tables cannot take.
  /// - Returns: rows that somebody else has changed meanwhile, and that were left alone.
  @discardableResult
  func applyRows(_ changes: [RowChange]) throws -> [ApplyProblem] {
    let (lost, conflicts) = try tables().applyComparing(changes)
    if !lost.isEmpty {
      tell(
        "these columns are not in this xCAT's tables and were left out: "
          + lost.joined(separator: ", "))
    }
    return conflicts.map { change in
      ApplyProblem(
        path: Array(RowKey(table: change.schema.name, key: change.key).text.utf8),
        what: "changed while the image was being changed; the row was left alone")
    }
  }
}
