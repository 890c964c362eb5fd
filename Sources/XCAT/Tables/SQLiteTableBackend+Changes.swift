// Changes rows of SQLite tables: all changes of one call are one transaction over all files.

import Platform
import SQLite

extension SQLiteTableBackend {
  /// A table inside the transaction.
  private struct OpenTable {
    let name: String
    let columns: Set<String>
  }

  /// Makes all changes in one transaction over all files.
  /// - Throws: `XCATError`: a disabled row would be lost, a table is missing and may not be created,
  ///   or SQLite failed. Nothing has changed then.
  @discardableResult
  public func apply(_ changes: [RowChange]) throws -> [String] {
    try run(changes, isDryRun: false).unknown
  }

  /// Makes the changes of rows that are as expected; the comparison is inside the transaction.
  public func applyComparing(
    _ changes: [RowChange]
  ) throws -> (unknownColumns: [String], conflicts: [RowChange]) {
    let (unknown, conflicts) = try run(changes, isDryRun: false)
    return (unknown, conflicts)
  }

  /// Makes the changes and rolls them back, so that errors of `apply` are thrown early.
  public func validate(_ changes: [RowChange]) throws {
    let existing = try changes.filter { try exists($0.schema.name) }
    do {
      _ = try run(existing, isDryRun: true)
    } catch is DryRunRollback {}
  }

  private struct DryRunRollback: Error {}

  private func run(
    _ changes: [RowChange], isDryRun: Bool
  ) throws -> (unknown: [String], conflicts: [RowChange]) {
    // Sorted by name, so that two processes never wait for each other.
    let schemas = Set(changes.map(\.schema)).sorted { byBytes($0.name, $1.name) }
    guard let first = schemas.first else { return ([], []) }
    for schema in schemas where try !exists(schema.name) { try makeFile(schema.name) }
    return try mapSQLiteErrors {
      let database = try Database(path: text(first.name), .write)
      for schema in schemas.dropFirst() {
        try database.statement("ATTACH ? AS \(attachedName(schema))").run(.text(text(schema.name)))
      }
      try refuseSeparateCommits(database, schemas)
      var unknown: Set<String> = []
      var conflicts: [RowChange] = []
      try database.transaction {
        var tables: [String: OpenTable] = [:]
        for schema in schemas {
          let attached = schema == first ? "main" : attachedName(schema)
          tables[schema.name] = try open(schema, attached, database)
        }
        for change in changes {
          guard let table = tables[change.schema.name] else { continue }
          guard try isAsExpected(change, table, database) else {
            conflicts.append(change)
            continue
          }
          unknown.formUnion(try apply(change, table, database))
        }
        if isDryRun { throw DryRunRollback() }
      }
      return (unknown.sorted(by: byBytes), conflicts)
    }
  }

  private func isAsExpected(
    _ change: RowChange, _ table: OpenTable, _ database: Database
  ) throws -> Bool {
    if change.expected == .anything { return true }
    let (condition, keyValues) = keyCondition(change)
    var row: [String: String]?
    try database.statement("SELECT * FROM \(table.name) WHERE \(condition)").rows(keyValues) {
      match in
      row = try visibleRow(match, change.schema.name) ?? row
    }
    return change.expected.allows(row, change.schema)
  }

  /// Returns the SQL condition for a change's key, and the values in it.
  private func keyCondition(_ change: RowChange) -> (text: String, values: [SQLValue]) {
    let keys = change.schema.keys.map { (column: $0, value: change.key[$0] ?? "") }
    let text = keys.map { key in
      let column = "\(quotedIdentifier(change.schema.name)).\(quotedIdentifier(key.column))"
      return key.value.isEmpty ? "(\(column) = ? OR \(column) IS NULL)" : "\(column) = ?"
    }.joined(separator: " AND ")
    return (text, keys.map { SQLValue.text($0.value) })
  }

  private func attachedName(_ schema: TableSchema) -> String {
    quotedIdentifier(schema.name + "db")
  }

  /// Refuses journal modes such as the write-ahead log, in which SQLite commits file by file.
  private func refuseSeparateCommits(_ database: Database, _ schemas: [TableSchema]) throws {
    guard schemas.count > 1 else { return }
    for schema in schemas {
      let attached = schema == schemas[0] ? "main" : attachedName(schema)
      let mode = try database.statement("PRAGMA \(attached).journal_mode").first {
        String(decoding: $0.bytes(0), as: UTF8.self)
      }
      guard mode == "wal" || mode == "off" || mode == "memory" else { continue }
      throw XCATError(
        .tablesInvalid,
        "table \(schema.name)",
        "has a file with the journal mode '\(mode ?? "")', with which several tables cannot change "
          + "in one step",
        hint:
          "sqlite3 \(printable(try path(schema.name))) 'PRAGMA journal_mode=DELETE' restores xCAT's mode"
      )
    }
  }

  private func open(
    _ schema: TableSchema, _ attached: String, _ database: Database
  ) throws -> OpenTable {
    if try !hasTable(database, attached, schema.name) {
      try database.execute(schema.createStatement(in: attached))
    }
    var columns: Set<String> = []
    try database.statement("SELECT name FROM pragma_table_info(?, ?)")
      .rows(.text(schema.name), .text(attached == "main" ? attached : schema.name + "db")) { row in
        columns.insert(String(decoding: row.bytes(0), as: UTF8.self))
      }
    for key in schema.keys where !columns.contains(key) {
      throw XCATError(
        .tablesInvalid,
        "table \(schema.name)", "has no column \(key), the key of its rows",
        hint: "Check that \(printable(try path(schema.name))) is a table of xCAT's")
    }
    return OpenTable(name: "\(attached).\(quotedIdentifier(schema.name))", columns: columns)
  }

  private func apply(
    _ change: RowChange, _ table: OpenTable, _ database: Database
  ) throws -> [String] {
    let schema = change.schema
    let (condition, keyValues) = keyCondition(change)
    try refuseHiddenRow(database, table, change, condition, keyValues)

    guard let columns = change.columns else {
      try database.statement("DELETE FROM \(table.name) WHERE \(condition)").run(keyValues)
      return []
    }
    let nonKeys = columns.filter { !schema.keys.contains($0.key) }
    let known = nonKeys.filter { table.columns.contains($0.key) }
      .sorted { byBytes($0.key, $1.key) }
    let values = known.map { $0.value.isEmpty ? SQLValue.null : .text($0.value) }
    let exists =
      try database.statement("SELECT count(*) FROM \(table.name) WHERE \(condition)")
      .first(keyValues) { $0.integer(0) } ?? 0
    if change.keepsOtherColumns, exists > 0 {
      if !known.isEmpty {
        let assignments = known.map { "\(quotedIdentifier($0.key)) = ?" }.joined(separator: ", ")
        try database.statement("UPDATE \(table.name) SET \(assignments) WHERE \(condition)")
          .run(values + keyValues)
      }
    } else {
      try database.statement("DELETE FROM \(table.name) WHERE \(condition)").run(keyValues)
      let names = (schema.keys + known.map(\.key)).map(quotedIdentifier)
      let placeholders = names.map { _ in "?" }.joined(separator: ", ")
      try database.statement(
        "INSERT INTO \(table.name) (\(names.joined(separator: ", "))) VALUES (\(placeholders))"
      ).run(keyValues + values)
    }
    return nonKeys.filter { !$0.value.isEmpty && !table.columns.contains($0.key) }
      .map { "\(schema.name).\($0.key)" }
  }

  /// Refuses to overwrite a disabled row: it is invisible to readers, so no snapshot has it.
  private func refuseHiddenRow(
    _ database: Database, _ table: OpenTable, _ change: RowChange, _ condition: String,
    _ keyValues: [SQLValue]
  ) throws {
    guard table.columns.contains("disable") else { return }
    let hidden = try database.statement(
      "SELECT count(*) FROM \(table.name) WHERE \(condition) AND disable IS NOT NULL "
        + "AND disable NOT IN ('0', 'no', 'NO', 'No', 'nO')"
    ).first(keyValues) { $0.integer(0) }
    guard (hidden ?? 0) == 0 else {
      let schema = change.schema
      let key = schema.keys.map { "\($0)=\(change.key[$0] ?? "")" }.joined(separator: ",")
      throw XCATError(
        .tablesInvalid,
        "table \(schema.name)", "has a disabled row \(key), which would be lost",
        hint:
          "Enable it (its column 'disable' empty: chtab \(key) \(schema.name).disable=) or remove "
          + "it first")
    }
  }

  /// Creates an empty file, which SQLite takes for an empty database.
  private func makeFile(_ table: String) throws {
    guard mayCreate else {
      throw XCATError(
        .tablesInvalid,
        "table \(table)", "has no file \(printable(try path(table)))",
        hint: "Name the directory of xCAT's tables with --xcat-dir, or let xCAT create the table")
    }
    do throws(SystemError) {
      try fileSystem.makeDirectory(at: fileSystem.workingDirectory, directory, mode: 0o700)
    } catch {
      if error.code != .exists { throw error }
    }
    _ = try fileSystem.openFile(
      at: fileSystem.workingDirectory, path(table), [.readWrite, .create], mode: 0o600)
  }
}
