// The rows of xCAT's tables that belong to an image's state in addition to its two definition rows: litefile
// rows, the kits it uses, and (around an import) the script lists of nodes.
//
// 1. A snapshot holds rows, and keys of absent rows, so that a revert can remove these.
// 2. A revert leaves rows alone that the snapshot does not mention. For a defined image, a snapshot mentions
//    all litefile rows.

import Apply
import Store
import XCAT

/// The key of a row.
struct RowKey: Hashable, Sendable {
  let table: String
  let key: [String: String]

  /// The row's name in messages: "litefile /etc/hosts".
  var text: String {
    let columns = TableSchema.named(table)?.keys ?? key.keys.sorted()
    return ([table] + columns.filter { $0 != "image" }.map { key[$0] ?? "" })
      .joined(separator: " ")
  }
}

/// Existing rows, and the keys of absent rows.
struct TableRowSet: Hashable, Sendable {
  /// The columns of each existing row, without those of its key.
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

  /// Returns the changes that turn these rows into those of `target`.
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

/// The table in which a snapshot lists the keys of absent rows.
private let absentTable = "absent"
private let absentTableColumn = "table"
/// The tables in which a snapshot lists the patterns that excluded entries of its tree, in order.
private let excludeTable = "exclude"
private let excludeColumn = "pattern"

extension Snapshot {
  /// The definition in the snapshot; empty if the image was not defined.
  var definition: ImageDefinition {
    func row(_ name: String) -> [String: String] {
      tables.first { $0.name == name }?.rows.first ?? [:]
    }
    return ImageDefinition(
      osimage: row("osimage"), linuximage: row("linuximage"), directory: row("directory"))
  }

  /// The patterns that excluded entries of the tree: lists of gitignore(5) lines.
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

/// Returns a definition and other rows in the form in which a snapshot stores them.
/// - Parameter excludes: the patterns that exclude entries of the tree: the definition's, and the tree's own.
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

/// Reads and writes the table rows of a live image.
struct LiveRows: Collaborator {
  let context: Context

  /// Returns the current rows of the image's state, and those with the given keys.
  func liveRows(
    _ image: ImageName, _ definition: ImageDefinition, additional keys: Set<RowKey> = []
  ) throws -> TableRowSet {
    let tables = try context.tables()
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

  /// Returns the kits of an image's kit components, with all their repositories and components. xCAT's export
  /// chooses the same rows.
  func kitRows(
    _ definition: ImageDefinition, _ tables: any TableBackend
  ) throws -> [(TableSchema, [[String: String]])] {
    let desired = definition.kitComponentNames
    guard !desired.isEmpty else { return [] }
    let components = try tables.rows("kitcomponent")
    let kitNames = Set(
      components.filter { desired.contains($0["kitcompname"] ?? "") }.compactMap { $0["kitname"] })
    func belongs(_ row: [String: String]) -> Bool { kitNames.contains(row["kitname"] ?? "") }
    return [
      (.kit, try tables.rows("kit").filter(belongs)),
      (.kitrepo, try tables.rows("kitrepo").filter(belongs)),
      (.kitcomponent, components.filter(belongs)),
    ]
  }

  /// Applies row changes, and warns of columns that the tables do not have.
  /// - Returns: the rows that were left alone, because somebody else has changed them meanwhile.
  @discardableResult
  func applyRows(_ changes: [RowChange]) throws -> [ApplyProblem] {
    let (lost, conflicts) = try context.tables().applyComparing(changes)
    if !lost.isEmpty {
      context.reporter.warn(
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
