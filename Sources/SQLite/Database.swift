// A thin wrapper of SQLite's C interface: one connection, prepared statements, values. The store's index
// and xCAT's
// table files both use it.
//
// 1. A connection and its statements belong to one thread at a time (SQLITE_OPEN_NOMUTEX).
// 2. A statement is reset after each use, so it holds no lock between uses. In a read transaction
//    (`beginReading`) the transaction holds the lock. It releases the lock after every `usesPerTransaction`
//    uses, for writers of other processes.

import CSQLite

/// An open SQLite database.
public final class Database: @unchecked Sendable {  // invariant 1: the owner synchronizes
  fileprivate let handle: OpaquePointer
  /// The path of the file; empty for a temporary database.
  public let path: String
  /// The number of uses since the read transaction began; nil without one.
  private var readingUses: Int?
  private static let usesPerTransaction = 256
  private var cache: [String: Statement] = [:]
  /// The remaining work for an untrusted database, in units of the progress handler. SQLite holds the
  /// address.
  private var roundsLeft: UnsafeMutablePointer<Int>?

  /// How the file is opened.
  public enum Mode: Sendable {
    /// Reads with SQLite's locks.
    case read
    /// Reads the file as it is on disk: takes no lock, ignores journals, writes nothing. Pages that another
    /// process is writing may be inconsistent.
    case unlocked
    /// Reads and writes an existing file.
    case write
    /// Reads and writes, and creates a missing file.
    case create
  }

  /// Opens a database.
  /// - Parameter busyTimeoutSeconds: how long statements wait for locks of other connections.
  /// - Throws: `SQLiteError`. A damaged file is only detected by the first statement.
  public init(path: String, _ mode: Mode, busyTimeoutSeconds: Double = 30) throws(SQLiteError) {
    var handle: OpaquePointer?
    let access: Int32
    switch mode {
    case .read: access = SQLITE_OPEN_READONLY
    case .unlocked: access = SQLITE_OPEN_READONLY | SQLITE_OPEN_URI
    case .write: access = SQLITE_OPEN_READWRITE
    case .create: access = SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE
    }
    let name = mode == .unlocked ? Database.unlockedURI(path) : path
    let r = sqlite3_open_v2(name, &handle, SQLITE_OPEN_NOMUTEX | access, nil)
    guard r == SQLITE_OK, let handle else {
      let message = handle.map { String(cString: sqlite3_errmsg($0)) } ?? "out of memory"
      sqlite3_close_v2(handle)
      throw SQLiteError(code: r, message: message, path: path)
    }
    self.handle = handle
    self.path = path
    sqlite3_busy_timeout(handle, Int32(busyTimeoutSeconds * 1000))
    sqlite3_extended_result_codes(handle, 0)
  }

  /// Returns the URI that tells SQLite to expect no writer ("URI Filenames" in its manual).
  private static func unlockedURI(_ path: String) -> String {
    let digits = Array("0123456789abcdef")
    let escaped = path.utf8.map { byte -> String in
      switch byte {
      case 0x2f, 0x30...0x39, 0x41...0x5a, 0x61...0x7a: String(Unicode.Scalar(byte))
      default: "%" + String([digits[Int(byte >> 4)], digits[Int(byte & 15)]])
      }
    }
    return "file:" + escaped.joined() + "?immutable=1"
  }

  /// Opens an untrusted database from memory, read-only. No file is touched, the schema is not trusted, and
  /// the work
  /// of a statement is limited.
  /// - Parameters:
  ///   - lengthLimitBytes: the maximum size of a text or blob.
  ///   - stepLimit: the number of virtual-machine steps after which everything fails with
  ///     `SQLITE_INTERRUPT`.
  /// - Throws: `SQLiteError` if the bytes are not a database or memory is short.
  public convenience init(
    untrustedBytes bytes: [UInt8], lengthLimitBytes: Int, stepLimit: Int
  ) throws(SQLiteError) {
    try self.init(path: ":memory:", .create)
    let count = sqlite3_int64(bytes.count)
    guard let copy = sqlite3_malloc64(sqlite3_uint64(bytes.count)) else {
      throw SQLiteError(code: SQLITE_NOMEM, message: "out of memory", path: path)
    }
    bytes.withUnsafeBytes {
      UnsafeMutableRawBufferPointer(start: copy, count: $0.count).copyMemory(from: $0)
    }
    // From here on SQLite owns the copy, even if it rejects it.
    let r = sqlite3_deserialize(
      handle, "main", copy.assumingMemoryBound(to: UInt8.self), count, count,
      UInt32(SQLITE_DESERIALIZE_FREEONCLOSE | SQLITE_DESERIALIZE_READONLY))
    if r != SQLITE_OK { throw error(r) }
    sqlite3_limit(
      handle, SQLITE_LIMIT_LENGTH, Int32(clamping: lengthLimitBytes))
    let interval = 100_000
    roundsLeft = .allocate(capacity: 1)
    roundsLeft?.initialize(to: stepLimit / interval)
    sqlite3_progress_handler(
      handle, Int32(interval),
      { context in
        guard let rounds = context?.assumingMemoryBound(to: Int.self) else { return 1 }
        rounds.pointee -= 1
        return rounds.pointee > 0 ? 0 : 1
      }, roundsLeft)
    try execute("PRAGMA trusted_schema = OFF; PRAGMA cell_size_check = ON")
  }

  deinit {
    cache = [:]
    sqlite3_close_v2(handle)
    roundsLeft?.deallocate()
  }

  /// Runs SQL that returns no rows.
  public func execute(_ sql: String) throws(SQLiteError) {
    let r = sqlite3_exec(handle, sql, nil, nil, nil)
    if r != SQLITE_OK { throw error(r) }
  }

  /// Returns a prepared statement for `sql`, cached for the next use.
  public func statement(_ sql: String) throws(SQLiteError) -> Statement {
    if let cached = cache[sql] { return cached }
    let statement = try Statement(sql, in: self)
    cache[sql] = statement
    return statement
  }

  /// Runs `body` in a transaction that takes the write lock immediately, waiting for other writers.
  /// - Throws: errors of `body`, after a rollback; `SQLiteError`.
  public func transaction<R>(_ body: () throws -> R) throws -> R {
    try execute("BEGIN IMMEDIATE")
    do {
      let result = try body()
      try execute("COMMIT")
      return result
    } catch {
      _ = sqlite3_exec(handle, "ROLLBACK", nil, nil, nil)
      throw error
    }
  }

  /// Returns the number of rows that the last statement inserted, changed or deleted.
  public var changes: Int { Int(sqlite3_changes(handle)) }

  /// Begins a read transaction. Until `endReading` it holds the file's lock shared, and statements take no
  /// locks of
  /// their own. Callers report each use with `noteUse`.
  /// - Returns: false if a transaction is open already.
  public func beginReading() -> Bool {
    guard sqlite3_get_autocommit(handle) != 0,
      sqlite3_exec(handle, "BEGIN", nil, nil, nil) == SQLITE_OK
    else { return false }
    readingUses = 0
    return true
  }

  /// Counts a use of the read transaction, if there is one. After some uses the lock is released for a
  /// moment: a
  /// waiting writer has blocked new readers already, and gets the lock.
  public func noteUse() {
    guard let uses = readingUses else { return }
    readingUses = uses + 1
    if uses + 1 >= Database.usesPerTransaction {
      endReading()
      _ = beginReading()
    }
  }

  /// Ends the read transaction, if there is one.
  public func endReading() {
    guard readingUses != nil else { return }
    readingUses = nil
    _ = sqlite3_exec(handle, "COMMIT", nil, nil, nil)
  }

  fileprivate func error(_ code: Int32) -> SQLiteError {
    SQLiteError(code: code, message: String(cString: sqlite3_errmsg(handle)), path: path)
  }
}

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
  public func withBytes<R>(_ column: Int, _ body: (UnsafeRawBufferPointer) -> R) -> R {
    let index = Int32(column)
    let base = sqlite3_column_blob(handle, index)
    return body(UnsafeRawBufferPointer(start: base, count: Int(sqlite3_column_bytes(handle, index))))
  }

  /// Returns the bytes of a text or blob; empty for NULL.
  public func bytes(_ column: Int) -> [UInt8] { withBytes(column) { [UInt8]($0) } }
}
