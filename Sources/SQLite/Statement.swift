// Prepared statements, their values, and the rows that they return.

import CSQLite

/// A value to bind to a statement.
public enum SQLValue: Sendable, Equatable {
  case null
  case integer(Int64)
  case text(String)
  case blob([UInt8])
}

/// A prepared statement.
public final class Statement {
  private let handle: OpaquePointer
  private unowned let database: Database

  init(_ sql: String, in database: Database) throws(SQLiteError) {
    var handle: OpaquePointer?
    let r = sqlite3_prepare_v3(
      database.handle, sql, -1, UInt32(SQLITE_PREPARE_PERSISTENT), &handle, nil)
    guard r == SQLITE_OK, let handle else { throw database.error(r) }
    self.handle = handle
    self.database = database
  }

  deinit { sqlite3_finalize(handle) }

  /// Runs the statement to its end and ignores rows.
  /// - Parameter values: the values of its parameters, in order.
  public func run(_ values: SQLValue...) throws(SQLiteError) { try run(values) }

  /// Runs the statement to its end and ignores rows.
  public func run(_ values: [SQLValue]) throws(SQLiteError) {
    defer { sqlite3_reset(handle) }
    try bind(values)
    while try step() {}
  }

  /// Returns the first row, converted by `read`; nil if there is none.
  public func first<T>(_ values: SQLValue..., read: (Row) -> T) throws(SQLiteError) -> T? {
    try first(values, read: read)
  }

  /// Returns the first row, converted by `read`; nil if there is none.
  public func first<T>(_ values: [SQLValue], read: (Row) -> T) throws(SQLiteError) -> T? {
    defer { sqlite3_reset(handle) }
    try bind(values)
    return try step() ? read(Row(handle)) : nil
  }

  /// Calls `read` for each row.
  /// - Throws: errors of `read`; `SQLiteError`.
  public func rows(_ values: SQLValue..., read: (Row) throws -> Void) throws {
    try rows(values, read: read)
  }

  /// Calls `read` for each row.
  /// - Throws: errors of `read`; `SQLiteError`.
  public func rows(_ values: [SQLValue], read: (Row) throws -> Void) throws {
    defer { sqlite3_reset(handle) }
    try bind(values)
    while try step() { try read(Row(handle)) }
  }

  private func step() throws(SQLiteError) -> Bool {
    switch sqlite3_step(handle) {
    case SQLITE_ROW: return true
    case SQLITE_DONE: return false
    case let r: throw database.error(r)
    }
  }

  private func bind(_ values: [SQLValue]) throws(SQLiteError) {
    let transient = unsafeBitCast(-1, to: sqlite3_destructor_type.self)
    for (i, value) in values.enumerated() {
      let index = Int32(i + 1)
      let r =
        switch value {
        case .null: sqlite3_bind_null(handle, index)
        case .integer(let v): sqlite3_bind_int64(handle, index, v)
        case .text(let v): sqlite3_bind_text(handle, index, v, -1, transient)
        case .blob(let v): sqlite3_bind_blob(handle, index, v, Int32(v.count), transient)
        }
      if r != SQLITE_OK { throw database.error(r) }
    }
  }
}

/// Gives access to the columns of the current row. Valid only in the closure that receives it.
public struct Row {
  private let handle: OpaquePointer
  fileprivate init(_ handle: OpaquePointer) { self.handle = handle }

  /// The number of columns.
  public var columnCount: Int { Int(sqlite3_column_count(handle)) }
  /// Returns the name of a column.
  public func name(_ column: Int) -> String {
    sqlite3_column_name(handle, Int32(column)).map { String(cString: $0) } ?? ""
  }
  /// Returns true if the column is NULL.
  public func isNull(_ column: Int) -> Bool {
    sqlite3_column_type(handle, Int32(column)) == SQLITE_NULL
  }
  /// Returns the column as an integer; 0 for NULL.
  public func integer(_ column: Int) -> Int64 { sqlite3_column_int64(handle, Int32(column)) }

  /// Calls `body` with the bytes of a text or blob. They are valid during the call only.
  public func withBytes<R, E: Error>(
    _ column: Int, _ body: (UnsafeRawBufferPointer) throws(E) -> R
  ) throws(E) -> R {
    let index = Int32(column)
    let base = sqlite3_column_blob(handle, index)
    return try body(
      UnsafeRawBufferPointer(start: base, count: Int(sqlite3_column_bytes(handle, index))))
  }

  /// Returns the bytes of a text or blob; empty for NULL.
  public func bytes(_ column: Int) -> [UInt8] { withBytes(column) { [UInt8]($0) } }
}
