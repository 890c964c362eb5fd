// xCAT's own SQLite files, one per table (xcat.md section 5), read and written by column name.
//
// 1. A row is visible unless `disable` says otherwise; NULL and '' both mean "unset".
// 2. All changes of one call, new tables included, are one transaction over all files: SQLite
//    commits attached databases together, by its super-journal. A running xcatd is waited for.
// 3. A replaced row loses the columns that the new one does not set, unless the change keeps them.
// 4. New files get mode 0600, as xCAT's have.
// 5. Below a staging root a table that is a link is the file that the link leads to there, and nowhere else.

import Platform
import SQLite

/// The folder of table files.
public struct SQLiteTableBackend: TableBackend {
  private let fileSystem: any FileSystem
  /// The folder, as a real path.
  public let directory: [UInt8]
  private let mayCreate: Bool
  private var isUnlocked = false
  private let locating: (@Sendable (_ name: [UInt8]) throws(SystemError) -> [UInt8])?

  /// - Parameters:
  ///   - mayCreate: whether missing tables may be made, as in a store's own folder.
  ///   - locating: the path of a file of the folder, links followed; nil to let the kernel follow them.
  public init(
    _ fileSystem: any FileSystem, directory: [UInt8], mayCreate: Bool,
    locating: (@Sendable (_ name: [UInt8]) throws(SystemError) -> [UInt8])? = nil
  ) {
    self.fileSystem = fileSystem
    self.directory = directory
    self.mayCreate = mayCreate
    self.locating = locating
  }

  /// The same tables for a reader that takes no lock and waits for nobody. Rows that another process is writing may be
  /// missing or incomplete.
  public var unlocked: SQLiteTableBackend {
    var files = self
    files.isUnlocked = true
    return files
  }

  public var place: String { printable(directory) }

  /// Whether there is a table of images that this user may not read: xCAT's files are root's alone.
  public var isForbidden: Bool {
    do throws(SystemError) {
      _ = try fileSystem.openFile(
        at: fileSystem.workingDirectory, try path("osimage"), [.read, .nonBlocking])
      return false
    } catch { return error.code == .accessDenied }
  }

  private func path(_ table: String) throws(SystemError) -> [UInt8] {
    let name = Array("\(table).sqlite".utf8)
    guard let locating else { return directory + [0x2f] + name }
    return try locating(name)
  }

  private func text(_ table: String) throws(SystemError) -> String {
    String(decoding: try path(table), as: UTF8.self)
  }

  private func exists(_ table: String) throws(SystemError) -> Bool {
    try fileSystem.statIfPresent(
      at: fileSystem.workingDirectory, path(table), followLink: true) != nil
  }

  private func explaining<R>(_ body: () throws -> R) throws -> R {
    do {
      return try body()
    } catch let error as SQLiteError {
      throw XCATError(
        error.isBusy ? .busy : .failed, "the tables in \(place)",
        "SQLite says of \(error.path): \(error.message)",
        advice: error.isBusy
          ? "Another process holds the table: try again when it is done"
          : "Check that the file is a table and that you may read and write it")
    }
  }
}

// MARK: - Reading

extension SQLiteTableBackend {
  /// The visible rows of a table, set columns only; none where there is no such table.
  /// - Parameter key: a column and the value it must have.
  /// - Throws: `XCATError`: no table file, a column that is not there, a value that is not UTF-8.
  public func rows(
    _ table: String, where key: (column: String, value: String)?
  ) throws -> [[String: String]] {
    guard try exists(table) else { return [] }
    return try explaining {
      if isUnlocked {
        return try rows(table, where: key, in: Database(path: text(table), .unlocked))
      }
      do {
        return try rows(table, where: key, in: Database(path: text(table), .read))
      } catch let error as SQLiteError where error.isReadOnly {
        // A writer died in the midst of a transaction: whoever comes next takes it back, and must
        // be able to write for that.
        return try rows(table, where: key, in: Database(path: text(table), .write))
      }
    }
  }

  private func rows(
    _ table: String, where key: (column: String, value: String)?, in database: Database
  ) throws -> [[String: String]] {
    guard try hasTable(database, "main", table) else { return [] }
    var rows: [[String: String]] = []
    // The table's name keeps SQLite from taking an unknown column for a text.
    let condition = key.map { " WHERE \(quoted(table)).\(quoted($0.column)) = ?" } ?? ""
    let statement = try database.statement("SELECT * FROM \(quoted(table))\(condition)")
    let read: (Row) throws -> Void = { row in
      if let visible = try visibleRow(row, table) { rows.append(visible) }
    }
    if let key {
      try statement.rows(.text(key.value), read: read)
    } else {
      try statement.rows(read: read)
    }
    return rows
  }

  private func visibleRow(_ row: Row, _ table: String) throws -> [String: String]? {
    var values: [String: String] = [:]
    for column in 0..<row.columnCount {
      let name = row.name(column)
      if name == "disable", !row.isNull(column) {
        let value = String(decoding: row.bytes(column), as: UTF8.self)
        guard ["0", "no", "NO", "No", "nO"].contains(value) else { return nil }
      }
      if row.isNull(column) { continue }
      guard let value = String(validating: row.bytes(column), as: UTF8.self) else {
        throw XCATError(
          "table \(table)", "column \(name) holds a value that is not UTF-8",
          advice: "Correct that value with chtab or chdef")
      }
      if !value.isEmpty { values[name] = value }
    }
    return values
  }

  private func hasTable(
    _ database: Database, _ attached: String, _ table: String
  ) throws(SQLiteError) -> Bool {
    try database.statement(
      "SELECT count(*) FROM \(attached).sqlite_master WHERE type = 'table' AND name = ?"
    ).first(.text(table)) { $0.integer(0) } == 1
  }
}

// MARK: - Writing

extension SQLiteTableBackend {
  /// A table inside the transaction.
  private struct OpenTable {
    let name: String
    let columns: Set<String>
  }

  /// Makes all changes in one transaction over all files.
  /// - Throws: `XCATError`: a disabled row would be lost, no table and none may be made, what
  ///   SQLite says. Nothing is changed then.
  @discardableResult
  public func apply(_ changes: [RowChange]) throws -> [String] {
    try run(changes, isRehearsal: false).unknown
  }

  /// Makes the changes of rows that are as expected: they are compared inside the transaction.
  public func applyComparing(
    _ changes: [RowChange]
  ) throws -> (unknownColumns: [String], conflicts: [RowChange]) {
    let (unknown, conflicts) = try run(changes, isRehearsal: false)
    return (unknown, conflicts)
  }

  /// Makes the changes and takes them back: what `apply` would throw is thrown now.
  public func validate(_ changes: [RowChange]) throws {
    let there = try changes.filter { try exists($0.schema.name) }
    do {
      _ = try run(there, isRehearsal: true)
    } catch is DryRunRollback {}
  }

  private struct DryRunRollback: Error {}

  private func run(
    _ changes: [RowChange], isRehearsal: Bool
  ) throws -> (unknown: [String], conflicts: [RowChange]) {
    // In the order of their names, so that two of us never wait for each other.
    let schemas = Set(changes.map(\.schema)).sorted { byBytes($0.name, $1.name) }
    guard let first = schemas.first else { return ([], []) }
    for schema in schemas where try !exists(schema.name) { try makeFile(schema.name) }
    return try explaining {
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
        if isRehearsal { throw DryRunRollback() }
      }
      return (unknown.sorted(by: byBytes), conflicts)
    }
  }

  private func isAsExpected(
    _ change: RowChange, _ table: OpenTable, _ database: Database
  ) throws -> Bool {
    if change.expected == .anything { return true }
    let (here, keyValues) = condition(change)
    var row: [String: String]?
    try database.statement("SELECT * FROM \(table.name) WHERE \(here)").rows(keyValues) { found in
      row = try visibleRow(found, change.schema.name) ?? row
    }
    return change.expected.allows(row, change.schema)
  }

  /// The SQL condition that a row has a change's key, and the values in it.
  private func condition(_ change: RowChange) -> (text: String, values: [SQLValue]) {
    let keys = change.schema.keys.map { (column: $0, value: change.key[$0] ?? "") }
    let text = keys.map { key in
      let column = "\(quoted(change.schema.name)).\(quoted(key.column))"
      return key.value.isEmpty ? "(\(column) = ? OR \(column) IS NULL)" : "\(column) = ?"
    }.joined(separator: " AND ")
    return (text, keys.map { SQLValue.text($0.value) })
  }

  private func attachedName(_ schema: TableSchema) -> String { quoted(schema.name + "db") }

  /// With a write-ahead log, SQLite would commit file by file.
  private func refuseSeparateCommits(_ database: Database, _ schemas: [TableSchema]) throws {
    guard schemas.count > 1 else { return }
    for schema in schemas {
      let attached = schema == schemas[0] ? "main" : attachedName(schema)
      let mode = try database.statement("PRAGMA \(attached).journal_mode").first {
        String(decoding: $0.bytes(0), as: UTF8.self)
      }
      guard mode == "wal" || mode == "off" || mode == "memory" else { continue }
      throw XCATError(
        "table \(schema.name)",
        "its file has the journal mode '\(mode ?? "")', with which several tables cannot change "
          + "in one step",
        advice:
          "sqlite3 \(printable(try path(schema.name))) 'PRAGMA journal_mode=DELETE' puts it back "
          + "to what xCAT makes")
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
        "table \(schema.name)", "has no column \(key), by which its rows are told apart",
        advice: "Check that \(printable(try path(schema.name))) is a table of xCAT's")
    }
    return OpenTable(name: "\(attached).\(quoted(schema.name))", columns: columns)
  }

  private func apply(
    _ change: RowChange, _ table: OpenTable, _ database: Database
  ) throws -> [String] {
    let schema = change.schema
    let (here, keyValues) = condition(change)
    try refuseHiddenRow(database, table, change, here, keyValues)

    guard let columns = change.columns else {
      try database.statement("DELETE FROM \(table.name) WHERE \(here)").run(keyValues)
      return []
    }
    let others = columns.filter { !schema.keys.contains($0.key) }
    let known = others.filter { table.columns.contains($0.key) }
      .sorted { byBytes($0.key, $1.key) }
    let values = known.map { $0.value.isEmpty ? SQLValue.null : .text($0.value) }
    let exists =
      try database.statement("SELECT count(*) FROM \(table.name) WHERE \(here)")
      .first(keyValues) { $0.integer(0) } ?? 0
    if change.keepsOtherColumns, exists > 0 {
      if !known.isEmpty {
        let assignments = known.map { "\(quoted($0.key)) = ?" }.joined(separator: ", ")
        try database.statement("UPDATE \(table.name) SET \(assignments) WHERE \(here)")
          .run(values + keyValues)
      }
    } else {
      try database.statement("DELETE FROM \(table.name) WHERE \(here)").run(keyValues)
      let names = (schema.keys + known.map(\.key)).map(quoted)
      let places = names.map { _ in "?" }.joined(separator: ", ")
      try database.statement(
        "INSERT INTO \(table.name) (\(names.joined(separator: ", "))) VALUES (\(places))"
      ).run(keyValues + values)
    }
    return others.filter { !$0.value.isEmpty && !table.columns.contains($0.key) }
      .map { "\(schema.name).\($0.key)" }
  }

  /// A disabled row is invisible to readers, so nobody has kept it: it is not overwritten.
  private func refuseHiddenRow(
    _ database: Database, _ table: OpenTable, _ change: RowChange, _ here: String,
    _ keyValues: [SQLValue]
  ) throws {
    guard table.columns.contains("disable") else { return }
    let hidden = try database.statement(
      "SELECT count(*) FROM \(table.name) WHERE \(here) AND disable IS NOT NULL "
        + "AND disable NOT IN ('0', 'no', 'NO', 'No', 'nO')"
    ).first(keyValues) { $0.integer(0) }
    guard (hidden ?? 0) == 0 else {
      let schema = change.schema
      let key = schema.keys.map { "\($0)=\(change.key[$0] ?? "")" }.joined(separator: ",")
      throw XCATError(
        "table \(schema.name)", "has a disabled row \(key), which would be lost",
        advice:
          "Enable it (its column 'disable' empty: chtab \(key) \(schema.name).disable=) or remove "
          + "it first")
    }
  }

  /// An empty file, which SQLite takes for an empty database.
  private func makeFile(_ table: String) throws {
    guard mayCreate else {
      throw XCATError(
        "table \(table)", "there is no file \(printable(try path(table)))",
        advice: "Name the folder of xCAT's tables with --xcat-dir, or let xCAT make the table")
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

private func quoted(_ name: String) -> String {
  "\"" + name.split(separator: "\"", omittingEmptySubsequences: false).joined(separator: "\"\"")
    + "\""
}
