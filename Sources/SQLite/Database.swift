// A thin, exact wrapper of SQLite's C interface: one connection, prepared statements, values.
// Both the store's index and xCAT's table files are reached through it.
//
// 1. A connection and its statements belong to one thread at a time (SQLITE_OPEN_NOMUTEX).
// 2. A statement is reset after each use, so that it never holds a lock between uses; in a crowd of
//    look-ups (`beginReading`) the transaction holds it, and lets go of it after every `turnUses` uses,
//    for the writers of other processes.

import CSQLite

/// An open SQLite database.
public final class Database: @unchecked Sendable {  // rule 1; owners guard it
  fileprivate let handle: OpaquePointer
  public let path: String
  /// Uses since the transaction that only reads began; nil without one.
  private var readingUses: Int?
  private static let turnUses = 256
  private var cache: [String: Statement] = [:]
  /// What an untrusted database may still cost; SQLite holds its address.
  private var roundsLeft: UnsafeMutablePointer<Int>?

  public enum Mode: Sendable {
    case read
    /// Reads the file as it is on disk: takes no lock, ignores journals, writes nothing. Pages that another process is
    /// writing may be inconsistent.
    case unlocked
    case write
    case create
  }

  /// - Throws: `SQLiteError`; `isDamage` is only known at the first statement.
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

  /// Opens a database that a stranger made and that is in memory, read-only: no file is touched,
  /// its schema is not trusted, and the work that one statement can cause is limited.
  /// - Parameters:
  ///   - lengthLimitBytes: for one text or blob.
  ///   - stepLimit: virtual-machine steps after which everything fails with `SQLITE_INTERRUPT`.
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
    // From here on the copy is SQLite's, also where it refuses it.
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
        guard let left = context?.assumingMemoryBound(to: Int.self) else { return 1 }
        left.pointee -= 1
        return left.pointee > 0 ? 0 : 1
      }, roundsLeft)
    try execute("PRAGMA trusted_schema = OFF; PRAGMA cell_size_check = ON")
  }

  deinit {
    cache = [:]
    sqlite3_close_v2(handle)
    roundsLeft?.deallocate()
  }

  /// Runs SQL that returns nothing.
  public func execute(_ sql: String) throws(SQLiteError) {
    let r = sqlite3_exec(handle, sql, nil, nil, nil)
    if r != SQLITE_OK { throw error(r) }
  }

  /// A prepared statement for `sql`, kept for the next use.
  public func statement(_ sql: String) throws(SQLiteError) -> Statement {
    if let found = cache[sql] { return found }
    let made = try Statement(sql, in: self)
    cache[sql] = made
    return made
  }

  /// Runs `body` in a transaction that takes the write lock at once (waiting for others); what it
  /// throws undoes everything.
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

  /// How many rows the last statement inserted, changed or removed.
  public var changes: Int { Int(sqlite3_changes(handle)) }

  /// Begins a transaction that only reads: until `endReading` the file's lock is held shared, and a
  /// statement takes and checks no lock of its own. Who makes use of it says so (`noteUse`).
  /// - Returns: whether it began one; false within any transaction.
  public func beginReading() -> Bool {
    guard sqlite3_get_autocommit(handle) != 0,
      sqlite3_exec(handle, "BEGIN", nil, nil, nil) == SQLITE_OK
    else { return false }
    readingUses = 0
    return true
  }

  /// One use of the transaction that only reads, if there is one. Now and then the lock is let go for
  /// a moment: a writer that waits for it has kept new readers out already, and gets it.
  public func noteUse() {
    guard let uses = readingUses else { return }
    readingUses = uses + 1
    if uses + 1 >= Database.turnUses {
      endReading()
      _ = beginReading()
    }
  }

  /// Ends the transaction that only reads, if there is one.
  public func endReading() {
    guard readingUses != nil else { return }
    readingUses = nil
    _ = sqlite3_exec(handle, "COMMIT", nil, nil, nil)
  }

  fileprivate func error(_ code: Int32) -> SQLiteError {
    SQLiteError(code: code, message: String(cString: sqlite3_errmsg(handle)), path: path)
  }
}

/// A value that goes into a statement.
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

  /// Runs to the end, ignoring rows.
  public func run(_ values: SQLValue...) throws(SQLiteError) { try run(values) }

  public func run(_ values: [SQLValue]) throws(SQLiteError) {
    defer { sqlite3_reset(handle) }
    try bind(values)
    while try step() {}
  }

  /// The first row, as `read` takes it; nil when there is none.
  public func first<T>(_ values: SQLValue..., read: (Row) -> T) throws(SQLiteError) -> T? {
    try first(values, read: read)
  }

  public func first<T>(_ values: [SQLValue], read: (Row) -> T) throws(SQLiteError) -> T? {
    defer { sqlite3_reset(handle) }
    try bind(values)
    return try step() ? read(Row(handle)) : nil
  }

  /// Calls `read` for each row.
  public func rows(_ values: SQLValue..., read: (Row) throws -> Void) throws {
    try rows(values, read: read)
  }

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
      let at = Int32(i + 1)
      let r =
        switch value {
        case .null: sqlite3_bind_null(handle, at)
        case .integer(let v): sqlite3_bind_int64(handle, at, v)
        case .text(let v): sqlite3_bind_text(handle, at, v, -1, transient)
        case .blob(let v): sqlite3_bind_blob(handle, at, v, Int32(v.count), transient)
        }
      if r != SQLITE_OK { throw database.error(r) }
    }
  }
}

/// The columns of the current row; valid inside the closure that it is given to.
public struct Row {
  private let handle: OpaquePointer
  fileprivate init(_ handle: OpaquePointer) { self.handle = handle }

  public var columnCount: Int { Int(sqlite3_column_count(handle)) }
  public func name(_ column: Int) -> String {
    sqlite3_column_name(handle, Int32(column)).map { String(cString: $0) } ?? ""
  }
  public func isNull(_ column: Int) -> Bool {
    sqlite3_column_type(handle, Int32(column)) == SQLITE_NULL
  }
  public func integer(_ column: Int) -> Int64 { sqlite3_column_int64(handle, Int32(column)) }

  /// The bytes of a text or blob; valid until the closure returns.
  public func withBytes<R>(_ column: Int, _ body: (UnsafeRawBufferPointer) -> R) -> R {
    let at = Int32(column)
    let base = sqlite3_column_blob(handle, at)
    return body(UnsafeRawBufferPointer(start: base, count: Int(sqlite3_column_bytes(handle, at))))
  }

  public func bytes(_ column: Int) -> [UInt8] { withBytes(column) { [UInt8]($0) } }
}
