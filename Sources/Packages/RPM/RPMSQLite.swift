// `rpmdb.sqlite` (rpm's lib/backend/sqlite.cc): an SQLite database whose table `Packages` has a header
// in each row.
//
// 1. SQLite works on the bytes in memory, read-only; no file is opened or created.
// 2. The database is untrusted: `Packages` must be a plain table, its schema is not trusted, and its
//    work is limited.

import SQLite

enum RPMSQLite {
  /// The limit on SQLite's virtual-machine steps; a system of 10,000 packages takes about 50,000.
  private static let stepLimit = 10_000_000

  static func forEachHeader(
    _ bytes: [UInt8], _ body: (ByteView) throws -> Void
  ) throws {
    if bytes.isEmpty { return }
    do {
      let database = try Database(
        untrustedBytes: bytes, lengthLimitBytes: RPMDatabase.limitBytes, stepLimit: stepLimit)
      let find = try database.statement(
        "SELECT sql FROM sqlite_schema WHERE type = 'table' AND name = 'Packages'")
      guard let sql = try find.first(read: { String(decoding: $0.bytes(0), as: UTF8.self) }) else {
        throw MalformedDataError("it has no table of packages")
      }
      guard sql.uppercased().hasPrefix("CREATE TABLE") else {
        throw MalformedDataError("its table of packages is not a plain table")
      }
      try database.statement("SELECT blob FROM Packages ORDER BY hnum").rows { row in
        try row.withBytes(0) { try body(ByteView($0)) }
      }
    } catch let error as SQLiteError {
      throw MalformedDataError(error.message)
    }
  }
}
