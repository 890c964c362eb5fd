// xCAT's own SQLite files, one per table (xcat.md section 5), read and written by column name.
//
// 1. A row is visible unless `disable` says otherwise; NULL and '' both mean "unset".
// 2. Both rows of an image change in one transaction over both files: SQLite commits attached
//    databases together, by its super-journal. A running xcatd is waited for.
// 3. A replaced row loses the columns that the new one does not set.
// 4. New files get mode 0600, as xCAT's have.

import Platform
import SQLite

/// The folder of table files.
public struct TableFiles: Sendable {
  private let fileSystem: any FileSystem
  /// The folder, as a real path.
  public let directory: [UInt8]
  private let mayCreate: Bool

  /// - Parameter mayCreate: whether missing tables may be made, as in a store's own folder.
  public init(_ fileSystem: any FileSystem, directory: [UInt8], mayCreate: Bool) {
    self.fileSystem = fileSystem
    self.directory = directory
    self.mayCreate = mayCreate
  }

  private func path(_ table: String) -> [UInt8] { directory + Array("/\(table).sqlite".utf8) }

  private func exists(_ table: String) throws(SystemError) -> Bool {
    try fileSystem.statIfPresent(
      at: fileSystem.workingDirectory, path(table), followLink: true) != nil
  }

  // MARK: Reading

  /// The visible rows of a table, set columns only; none where there is no such table.
  /// - Parameter key: a column and the value it must have.
  public func rows(
    _ table: String, where key: (column: String, value: String)? = nil
  ) throws -> [[String: String]] {
    guard try exists(table) else { return [] }
    return try explaining(table) {
      let database = try Database(path: text(table), .read)
      var rows: [[String: String]] = []
      let condition = key.map { " WHERE \(quoted($0.column)) = ?" } ?? ""
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

  // MARK: Writing

  /// Makes the image's rows exactly these; an empty dictionary removes a row.
  /// - Parameter rows: by table; without the key column, which is `imagename`.
  /// - Returns: columns that this xCAT's tables do not have, and so could not take.
  @discardableResult
  public func replace(
    image: String, _ rows: [(schema: TableSchema, row: [String: String])]
  ) throws -> [String] {
    guard let first = rows.first else { return [] }
    for (schema, _) in rows where try !exists(schema.name) { try create(schema) }
    return try explaining(first.schema.name) {
      let database = try Database(path: text(first.schema.name), .write)
      for (schema, _) in rows.dropFirst() {
        try database.statement("ATTACH ? AS \(quoted(schema.name + "db"))")
          .run(.text(text(schema.name)))
      }
      var unknown: [String] = []
      try database.transaction {
        for (i, (schema, row)) in rows.enumerated() {
          let table = (i == 0 ? "main" : quoted(schema.name + "db")) + "." + quoted(schema.name)
          try refuseHiddenRow(database, table, image)
          try database.statement("DELETE FROM \(table) WHERE imagename = ?").run(.text(image))
          guard !row.isEmpty else { continue }
          var columns: Set<String> = []
          try database.statement(
            "SELECT name FROM pragma_table_info(?, ?)"
          ).rows(.text(schema.name), .text(i == 0 ? "main" : schema.name + "db")) { found in
            columns.insert(String(decoding: found.bytes(0), as: UTF8.self))
          }
          unknown += row.keys.filter { !columns.contains($0) }.map { "\(schema.name).\($0)" }
          try insert(database, table, image, row.filter { columns.contains($0.key) })
        }
      }
      return unknown.sorted()
    }
  }

  /// A disabled row is invisible to readers, so nobody has kept it: it is not overwritten.
  private func refuseHiddenRow(_ database: Database, _ table: String, _ image: String) throws {
    let hidden = try database.statement(
      "SELECT count(*) FROM \(table) WHERE imagename = ? AND disable IS NOT NULL "
        + "AND disable NOT IN ('0', 'no', 'NO', 'No', 'nO')"
    ).first(.text(image)) { $0.integer(0) }
    guard (hidden ?? 0) == 0 else {
      throw XCATError(
        "image \(image)", "has a disabled row in xCAT's tables, which would be lost",
        advice:
          "Enable it (its column 'disable' empty: chtab imagename=\(image) osimage.disable=) or "
          + "remove it first")
    }
  }

  private func insert(
    _ database: Database, _ table: String, _ image: String, _ row: [String: String]
  ) throws {
    let columns = row.keys.filter { $0 != "imagename" }.sorted()
    let names = (["imagename"] + columns).map(quoted).joined(separator: ", ")
    try database.statement(
      "INSERT INTO \(table) (\(names)) VALUES (?\(String(repeating: ", ?", count: columns.count)))"
    )
    .run([.text(image)] + columns.map { .text(row[$0] ?? "") })
  }

  private func create(_ schema: TableSchema) throws {
    guard mayCreate else {
      throw XCATError(
        "table \(schema.name)", "there is no file \(printable(path(schema.name)))",
        advice: "Name the folder of xCAT's tables with --xcat-dir, or let xCAT make the table")
    }
    do throws(SystemError) {
      try fileSystem.makeDirectory(at: fileSystem.workingDirectory, directory, mode: 0o700)
    } catch {
      if error.code != .exists { throw error }
    }
    _ = try fileSystem.openFile(
      at: fileSystem.workingDirectory, path(schema.name), [.readWrite, .create])
    try explaining(schema.name) {
      try Database(path: text(schema.name), .create).execute(schema.createStatement)
    }
  }

  private func text(_ table: String) -> String { String(decoding: path(table), as: UTF8.self) }

  private func quoted(_ name: String) -> String {
    "\"" + name.split(separator: "\"", omittingEmptySubsequences: false).joined(separator: "\"\"")
      + "\""
  }

  private func explaining<R>(_ table: String, _ body: () throws -> R) throws -> R {
    do {
      return try body()
    } catch let error as SQLiteError {
      throw XCATError(
        "table \(table)", "SQLite says of \(error.path): \(error.message)",
        advice: error.isBusy
          ? "Another process holds the table: try again when it is done"
          : "Check that the file is a table of xCAT's and that you may read and write it")
    }
  }
}
