// The wrapper of SQLite: values, transactions, errors, and limits for untrusted databases.

import Foundation
import SQLite
import TestSupport
import Testing

@Suite struct DatabaseTests {
  private let directory: TemporaryDirectory
  private var path: String { directory.path("test.sqlite") }

  init() throws { directory = try TemporaryDirectory() }

  private func makeTable() throws -> Database {
    let database = try Database(path: path, .create)
    try database.execute("CREATE TABLE t (id INTEGER PRIMARY KEY, value)")
    return database
  }

  private func count(_ database: Database) throws -> Int64? {
    try database.statement("SELECT count(*) FROM t").first { $0.integer(0) }
  }

  /// The code of the error that `body` throws; nil when it throws none.
  private func failure(_ body: () throws -> Void) throws -> SQLiteError? {
    do { try body() } catch let error as SQLiteError { return error }
    return nil
  }

  @Test func `a statement returns integers, texts, blobs and null as they were bound`() throws {
    let database = try makeTable()
    let insert = try database.statement("INSERT INTO t VALUES (?, ?)")
    try insert.run(.integer(1), .integer(.min))
    try insert.run(.integer(2), .text("naïve"))
    try insert.run(.integer(3), .blob([0, 255, 0]))
    try insert.run(.integer(4), .null)
    let select = try database.statement("SELECT value FROM t WHERE id = ?")
    #expect(try select.first(.integer(1)) { $0.integer(0) } == .min)
    #expect(try select.first(.integer(2)) { $0.bytes(0) } == Array("naïve".utf8))
    #expect(try select.first(.integer(3)) { $0.bytes(0) } == [0, 255, 0])
    #expect(try select.first(.integer(4)) { $0.isNull(0) } == true)
    #expect(try select.first(.integer(5)) { $0.isNull(0) } == nil)
  }

  @Test func `rows come in order, with the names of their columns`() throws {
    let database = try makeTable()
    let insert = try database.statement("INSERT INTO t VALUES (?, ?)")
    for id in 1...3 { try insert.run(.integer(Int64(id)), .integer(Int64(10 * id))) }
    var rows: [Int64] = []
    try database.statement("SELECT id, value FROM t ORDER BY id DESC").rows { row in
      #expect(row.columnCount == 2 && row.name(0) == "id" && row.name(1) == "value")
      rows.append(row.integer(1))
    }
    #expect(rows == [30, 20, 10])
  }

  @Test func `a transaction whose body throws changes nothing`() throws {
    let database = try makeTable()
    #expect(throws: TestFailure.self) {
      try database.transaction {
        try database.statement("INSERT INTO t VALUES (1, 1)").run()
        throw TestFailure("stop")
      }
    }
    #expect(try count(database) == 0)
    try database.transaction { try database.statement("INSERT INTO t VALUES (1, 1)").run() }
    #expect(try count(database) == 1 && database.changes == 1)
  }

  @Test func `a writer that finds the database locked fails as busy`() throws {
    let first = try makeTable()
    let second = try Database(path: path, .write, busyTimeoutSeconds: 0)
    try first.transaction {
      let error = try failure { try second.execute("INSERT INTO t VALUES (1, 1)") }
      #expect(error?.isBusy == true)
    }
    try second.execute("INSERT INTO t VALUES (1, 1)")
  }

  @Test func `a transaction that only reads lets a writer in after many uses`() throws {
    let reader = try makeTable()
    let writer = try Database(path: path, .write, busyTimeoutSeconds: 0)
    #expect(reader.beginReading() && !reader.beginReading())
    #expect(try count(reader) == 0)
    reader.endReading()
    #expect(reader.beginReading())
    for _ in 0..<256 { reader.noteUse() }
    try writer.execute("INSERT INTO t VALUES (1, 1)")
    #expect(try count(reader) == 1)
    reader.endReading()
  }

  @Test func `errors say whether a file is damaged, unknown to its schema, or read-only`() throws {
    _ = try makeTable()
    let reader = try Database(path: path, .read)
    #expect(try failure { try reader.execute("DELETE FROM t") }?.isReadOnly == true)
    #expect(try failure { try reader.execute("SELECT * FROM missing") }?.isSchema == true)
    #expect(throws: SQLiteError.self) { try Database(path: directory.path("missing"), .read) }
    let noise = directory.path("noise")
    try Data("this is not a database, but long enough to be taken for one".utf8)
      .write(to: URL(fileURLWithPath: noise))
    let damaged = try Database(path: noise, .read)
    #expect(try failure { try damaged.execute("SELECT * FROM sqlite_master") }?.isDamage == true)
  }

  @Test func `an unlocked database is read while another connection holds the write lock`() throws {
    let writer = try makeTable()
    try writer.execute("INSERT INTO t VALUES (1, 1)")
    try writer.transaction {
      let reader = try Database(path: path, .unlocked)
      #expect(try count(reader) == 1)
    }
  }

  @Test func `an untrusted database cannot make a statement run forever`() throws {
    let bytes = [UInt8](
      try {
        _ = try makeTable()
        return try Data(contentsOf: URL(fileURLWithPath: path))
      }())
    let database = try Database(
      untrustedBytes: bytes, lengthLimitBytes: 1_000_000, stepLimit: 1_000_000)
    let endless =
      "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n) SELECT count(*) FROM n"
    #expect(try failure { try database.execute(endless) } != nil)
    #expect(try failure { try database.execute("INSERT INTO t VALUES (1, 1)") } != nil)
  }
}
