// An error of SQLite as a value.

import CSQLite

/// Describes a failed SQLite call.
public struct SQLiteError: Error, Sendable, CustomStringConvertible {
  /// The primary result code (https://sqlite.org/rescode.html).
  public let code: Int32
  /// SQLite's message.
  public let message: String
  /// The path of the database file.
  public let path: String

  /// Creates an error; `code` may be an extended result code.
  public init(code: Int32, message: String, path: String) {
    self.code = code & 0xff
    self.message = message
    self.path = path
  }

  /// Returns true if the file is damaged or not a database.
  public var isDamage: Bool { code == SQLITE_CORRUPT || code == SQLITE_NOTADB }
  /// Returns true if another connection holds a lock on the database.
  public var isBusy: Bool { code == SQLITE_BUSY || code == SQLITE_LOCKED }
  /// Returns true if a table or column does not exist, or the SQL does not fit the file's schema.
  public var isSchema: Bool { code == SQLITE_ERROR || code == SQLITE_SCHEMA }
  /// Returns true if the connection is read-only and would have to write, for example to roll back the
  /// changes of a dead writer.
  public var isReadOnly: Bool { code == SQLITE_READONLY }
  /// Returns true if the disk is full.
  public var isFull: Bool { code == SQLITE_FULL }

  public var description: String { "\(path): \(message)" }
}
