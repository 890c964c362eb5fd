// The database of rpm in its formats, compared with rpm itself. Debian's rpm writes the SQLite
// format; convert-rpm-database.py converts it to Berkeley DB and ndb.

import Foundation
import Packages
import TestSupport
import Testing

/// Databases of every form with the same packages, and the output of `rpm -qa` for them.
private final class RPMDatabases: Sendable {
  let directory: TemporaryDirectory
  let expected: [String]
  static let shared = Result { try RPMDatabases() }

  init() throws {
    directory = try TemporaryDirectory()
    try runFixture("scripts/trees/make-rpm-database.sh", directory.path)
    try runFixture("scripts/trees/convert-rpm-database.py", directory.path)
    expected = sortedLines(
      try String(contentsOfFile: directory.path("expected"), encoding: .utf8))
  }
}

@Suite(.usesTools) struct RPMTests {
  static let forms: [(directory: String, kind: DatabaseKind)] = [
    ("root", .rpmSQLite), ("ndb", .rpmNDB), ("bdb", .rpmBerkeley),
    ("bdb-big-endian", .rpmBerkeley), ("old", .rpmBerkeley),
  ]

  @Test(arguments: forms)
  func `every format lists the packages of rpm -qa`(_ directory: String, _ kind: DatabaseKind)
    throws
  {
    let site = try RPMDatabases.shared.get()
    let tree = DirectoryTree(root: site.directory.path(directory))
    let (database, packages) = try #require(try PackageDatabase.find(in: tree))
    #expect(database.kind == kind && packages.kind == kind)
    #expect(lines(packages) == site.expected && site.expected.count == 3)
    #expect(packages.packages.allSatisfy { $0.architecture == "noarch" })

    let paths = ["etc/alpha/alpha.conf", "usr/share/gamma/file-with-a-long-name-1500", "etc/none"]
    let owners = try database.owners(of: Set(paths.map { Array($0.utf8) }), in: tree)
    let configuration = try #require(owners[Array(paths[0].utf8)]?.first)
    #expect(configuration.package.name == "alpha" && configuration.isConfiguration)
    let sum = try run("sha256sum", input: "conf\n").output.prefix(64)
    #expect(
      configuration.shipped
        == .sha256(
          stride(from: 0, to: 64, by: 2).compactMap {
            UInt8(sum.dropFirst($0).prefix(2), radix: 16)
          }
        ))
    let data = try #require(owners[Array(paths[1].utf8)]?.first)
    #expect(data.package.version == "0:1.0-1.el9" && !data.isConfiguration)
    #expect(owners.count == 2)
  }

  @Test func `pages in the write-ahead log are read`() throws {
    let site = try RPMDatabases.shared.get()
    let directory = try TemporaryDirectory()
    try runFixture(
      "scripts/damage/leave-write-ahead-log.py",
      site.directory.path("root/var/lib/rpm/rpmdb.sqlite"),
      directory.path)
    let tree = DirectoryTree(root: directory.path)
    let log = try #require(
      try tree.file(Array("var/lib/rpm/rpmdb.sqlite-wal".utf8), limitBytes: .max))
    #expect(log.count > 4096)
    let (_, packages) = try #require(try PackageDatabase.find(in: tree))
    #expect(lines(packages) == (site.expected + site.expected).sorted())
  }

  @Test func `a database with a hot rollback journal is refused, and the error names it`() throws {
    let site = try RPMDatabases.shared.get()
    let directory = try TemporaryDirectory()
    try runFixture(
      "scripts/damage/leave-hot-journal.py", site.directory.path("root/var/lib/rpm/rpmdb.sqlite"),
      directory.path)
    let tree = DirectoryTree(root: directory.path)
    let error = #expect(throws: PackagesError.self) { try PackageDatabase.find(in: tree) }
    #expect(error?.reason.contains("usr/share/rpm/rpmdb.sqlite-journal") == true)
    // Without the journal, OSTree's directory is read like the others.
    let journal = directory.path("usr/share/rpm/rpmdb.sqlite")
    try FileManager.default.removeItem(atPath: journal + "-journal")
    try FileManager.default.removeItem(atPath: journal)
    try FileManager.default.copyItem(
      atPath: site.directory.path("root/var/lib/rpm/rpmdb.sqlite"), toPath: journal)
    #expect(try PackageDatabase.find(in: tree).map { lines($0.1) } == site.expected)
  }

  @Test(arguments: seeds)
  func `a damaged database causes an error or another list but never traps`(_ seed: UInt64) throws {
    let site = try RPMDatabases.shared.get()
    var random = SplitMix64(seed)
    for (directory, kind) in RPMTests.forms {
      let name =
        kind == .rpmSQLite ? "rpmdb.sqlite" : kind == .rpmNDB ? "Packages.db" : "Packages"
      let path = "var/lib/rpm/\(name)"
      let whole = [UInt8](
        try Data(contentsOf: URL(fileURLWithPath: site.directory.path("\(directory)/\(path)"))))
      var failures = 0
      for round in 0..<32 {
        var bytes = whole
        if round % 4 == 0 {
          bytes.removeSubrange(Int.random(in: 0..<bytes.count, using: &random)...)
        }
        for _ in 0..<8 where !bytes.isEmpty {
          // The first pages contain most of the data that directs the readers.
          let limit = round % 2 == 0 ? min(bytes.count, 8192) : bytes.count
          bytes[Int.random(in: 0..<limit, using: &random)] =
            [0, 0xff, 0x7f, UInt8.random(in: 0...255, using: &random)].randomElement(
              using: &random) ?? 0
        }
        let tree = MemoryTree(files: [path: bytes])
        do {
          guard let (database, _) = try PackageDatabase.find(in: tree) else { continue }
          _ = try database.owners(of: [Array("etc/alpha/alpha.conf".utf8)], in: tree)
        } catch let error as PackagesError {
          #expect(error.subject.contains(path) && !error.reason.isEmpty)
          failures += 1
        }
      }
      #expect(failures > 3, "\(directory), seed \(seed)")
    }
  }

  @Test func `an SQLite file with an endless query or without the table is refused`() throws {
    let directory = try TemporaryDirectory()
    for sql in [
      "CREATE VIEW Packages AS WITH RECURSIVE c(hnum, blob) AS (SELECT 1, x'00' UNION ALL SELECT hnum + 1, blob FROM c) SELECT * FROM c",
      "CREATE TABLE Other (x)", "CREATE TABLE Packages (hnum INTEGER PRIMARY KEY)",
      "CREATE TABLE Packages (hnum INTEGER PRIMARY KEY, blob); INSERT INTO Packages VALUES (1, NULL)",
    ] {
      let path = directory.path("db")
      try? FileManager.default.removeItem(atPath: path)
      try #require(try run("sqlite3", path, sql).didSucceed)
      let bytes = [UInt8](try Data(contentsOf: URL(fileURLWithPath: path)))
      let tree = MemoryTree(files: ["usr/lib/sysimage/rpm/rpmdb.sqlite": bytes])
      #expect(throws: PackagesError.self, "\(sql)") { try PackageDatabase.find(in: tree) }
    }
  }
}
