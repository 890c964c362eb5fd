// A thin wrapper of SQLite's C interface: one connection, prepared statements, values. The store's index
// and xCAT's table files both use it.
//
// 1. A connection and its statements belong to one thread at a time (SQLITE_OPEN_NOMUTEX).
// 2. A statement is reset after each use, so it holds no lock between uses. In a read transaction
//    (`beginReading`) the transaction holds the lock. It releases the lock after every `usesPerTransaction`
//    uses, for writers of other processes.

import CSQLite

/// An open SQLite database.
public final class Database: @unchecked Sendable {  // invariant 1: the owner synchronizes
  let handle: OpaquePointer
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
  /// the work of a statement is limited.
  /// - Parameters:
  ///   - lengthLimitBytes: the maximum size of a text or blob.
  ///   - stepLimit: the number of virtual-machine steps after which everything fails with `SQLITE_INTERRUPT`.
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
  /// locks of their own. Callers report each use with `noteUse`.
  /// - Returns: false if a transaction is open already.
  public func beginReading() -> Bool {
    guard sqlite3_get_autocommit(handle) != 0,
      sqlite3_exec(handle, "BEGIN", nil, nil, nil) == SQLITE_OK
    else { return false }
    readingUses = 0
    return true
  }

  /// Counts a use of the read transaction, if there is one. After some uses the lock is released for a
  /// moment: a waiting writer has blocked new readers already, and gets the lock.
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

  func error(_ code: Int32) -> SQLiteError {
    SQLiteError(code: code, message: String(cString: sqlite3_errmsg(handle)), path: path)
  }
}
