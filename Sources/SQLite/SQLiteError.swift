// What SQLite says, as a value.

import CSQLite

/// A failed SQLite call.
public struct SQLiteError: Error, Sendable, CustomStringConvertible {
  /// The primary result code (https://sqlite.org/rescode.html).
  public let code: Int32
  public let message: String
  /// The database file.
  public let path: String

  public init(code: Int32, message: String, path: String) {
    self.code = code & 0xff
    self.message = message
    self.path = path
  }

  /// The file is not a database, or a damaged one.
  public var isDamage: Bool { code == SQLITE_CORRUPT || code == SQLITE_NOTADB }
  /// Another process holds the database.
  public var isBusy: Bool { code == SQLITE_BUSY || code == SQLITE_LOCKED }
  /// There is no such table or column, or the SQL does not fit the file's schema.
  public var isSchema: Bool { code == SQLITE_ERROR || code == SQLITE_SCHEMA }
  /// The connection may not write, and must: to take back what a dead writer left, for one.
  public var isReadOnly: Bool { code == SQLITE_READONLY }
  public var isFull: Bool { code == SQLITE_FULL }

  public var description: String { "\(path): \(message)" }
}
