// xCAT's own SQLite files, one per table (docs/xcat-contract.md#sqlite-files), read and written by
// column name.
//
// 1. A row is visible unless `disable` hides it; NULL and '' both mean "unset" (docs/xcat-contract.md#rows).
// 2. All changes of one call, new tables included, are one transaction over all files: SQLite commits
//    attached databases together, through its super-journal. The transaction waits for a running xcatd.
// 3. A replaced row loses the columns that the new one does not set, unless the change keeps them.
// 4. New files get mode 0600, as xCAT's have.
// 5. Below a staging root, links of table files are resolved within that root only.

import Platform
import SQLite

/// The directory of table files.
public struct SQLiteTableBackend: TableBackend {
  let fileSystem: any FileSystem
  /// The directory, as a real path.
  public let directory: [UInt8]
  let mayCreate: Bool
  private var isUnlocked = false
  private let locating: (@Sendable (_ name: [UInt8]) throws(SystemError) -> [UInt8])?

  /// Creates a backend.
  /// - Parameters:
  ///   - mayCreate: whether missing tables may be created, as in a store's own directory.
  ///   - locating: returns the path of a file of the directory, with links resolved; nil to let the
  ///     kernel follow them.
  public init(
    _ fileSystem: any FileSystem, directory: [UInt8], mayCreate: Bool,
    locating: (@Sendable (_ name: [UInt8]) throws(SystemError) -> [UInt8])? = nil
  ) {
    self.fileSystem = fileSystem
    self.directory = directory
    self.mayCreate = mayCreate
    self.locating = locating
  }

  /// The same tables for a reader that takes no lock and does not wait. Rows that another process is
  /// writing may be missing or incomplete.
  public var unlocked: SQLiteTableBackend {
    var files = self
    files.isUnlocked = true
    return files
  }

  public var location: String { printable(directory) }

  /// True if the image table exists, but this user must not read it: only root can read xCAT's files.
  public var isForbidden: Bool {
    do throws(SystemError) {
      _ = try fileSystem.openFile(
        at: fileSystem.workingDirectory, try path("osimage"), [.read, .nonBlocking])
      return false
    } catch { return error.code == .accessDenied }
  }

  func path(_ table: String) throws(SystemError) -> [UInt8] {
    let name = Array("\(table).sqlite".utf8)
    guard let locating else { return directory + [0x2f] + name }
    return try locating(name)
  }

  func text(_ table: String) throws(SystemError) -> String {
    String(decoding: try path(table), as: UTF8.self)
  }

  func exists(_ table: String) throws(SystemError) -> Bool {
    try fileSystem.statIfPresent(
      at: fileSystem.workingDirectory, path(table), followLink: true) != nil
  }

  func mapSQLiteErrors<R>(_ body: () throws -> R) throws -> R {
    do {
      return try body()
    } catch let error as SQLiteError {
      let (code, hint): (ErrorCode, String) =
        if error.isBusy {
          (.tablesLocked, "Try again later: another process has locked the table")
        } else if error.isFull {
          (.noSpace, "Free space on the file system of the tables, and run the command again")
        } else {
          (.tablesInvalid, "Check that the file is a table and that you may read and write it")
        }
      throw XCATError(
        code, "the tables in \(location)",
        "cannot be used: SQLite reports for \(error.path): "
          + error.message, hint: hint)
    }
  }
}

// MARK: - Reading

extension SQLiteTableBackend {
  /// Returns the visible rows of a table, set columns only; none if the table does not exist.
  /// - Parameter key: a column and the value it must have.
  /// - Throws: `XCATError`: a column that does not exist, a value that is not UTF-8, an error of SQLite.
  public func rows(
    _ table: String, where key: (column: String, value: String)?
  ) throws -> [[String: String]] {
    guard try exists(table) else { return [] }
    return try mapSQLiteErrors {
      if isUnlocked {
        return try rows(table, where: key, in: Database(path: text(table), .unlocked))
      }
      do {
        return try rows(table, where: key, in: Database(path: text(table), .read))
      } catch let error as SQLiteError where error.isReadOnly {
        // A writer died during a transaction. The next reader rolls it back, and needs write access for that.
        return try rows(table, where: key, in: Database(path: text(table), .write))
      }
    }
  }

  private func rows(
    _ table: String, where key: (column: String, value: String)?, in database: Database
  ) throws -> [[String: String]] {
    guard try hasTable(database, "main", table) else { return [] }
    var rows: [[String: String]] = []
    // The table's name keeps SQLite from treating an unknown column as a text.
    let condition =
      key.map { " WHERE \(quotedIdentifier(table)).\(quotedIdentifier($0.column)) = ?" } ?? ""
    let statement = try database.statement("SELECT * FROM \(quotedIdentifier(table))\(condition)")
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

  func visibleRow(_ row: Row, _ table: String) throws -> [String: String]? {
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
          .tablesInvalid,
          "table \(table)", "has a value in column \(name) that is not UTF-8",
          hint: "Correct that value with chtab or chdef")
      }
      if !value.isEmpty { values[name] = value }
    }
    return values
  }

  func hasTable(
    _ database: Database, _ attached: String, _ table: String
  ) throws(SQLiteError) -> Bool {
    try database.statement(
      "SELECT count(*) FROM \(attached).sqlite_master WHERE type = 'table' AND name = ?"
    ).first(.text(table)) { $0.integer(0) } == 1
  }
}

/// Returns a name as an SQL identifier in quotes.
func quotedIdentifier(_ name: String) -> String {
  "\"" + name.split(separator: "\"", omittingEmptySubsequences: false).joined(separator: "\"\"")
    + "\""
}
