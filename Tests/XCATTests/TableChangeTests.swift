// Changes many rows of many table files in one transaction.

import Foundation
import Platform
import TestSupport
import Testing
import XCAT

@Suite(.usesTools) struct TableChangeTests {
  private func node(_ directory: TemporaryDirectory) throws -> SQLiteTableBackend {
    try shell("tar xzf \"$2\" -C \"$1\" --no-same-owner", directory.path, fixture("xcat/mn.tgz"))
    return SQLiteTableBackend(
      KernelFileSystem.shared, directory: Array(directory.path("etc-xcat").utf8), mayCreate: true)
  }

  private func sql(_ directory: TemporaryDirectory, _ table: String, _ text: String) throws
    -> String
  {
    try run("sqlite3", directory.path("etc-xcat/\(table).sqlite"), text).output
  }

  private func change(
    _ schema: TableSchema, _ key: [String: String], _ columns: [String: String]?,
    keeps: Bool = false
  ) -> RowChange {
    RowChange(schema: schema, key: key, columns: columns, keepsOtherColumns: keeps)
  }

  private let lite = "rhels8.5.0-x86_64-statelite-lite"

  @Test func `rows are set, merged and removed across tables, new ones included`() throws {
    let directory = try TemporaryDirectory()
    let tables = try node(directory)
    #expect(try tables.rows("kit").isEmpty)
    let lost = try tables.apply([
      change(.litefile, ["image": lite, "file": "/var/"], ["options": "ro"]),
      change(.litefile, ["image": "ALL", "file": "/etc/ntp.conf"], ["options": "rw"], keeps: true),
      change(.litefile, ["image": "other", "file": "/x"], nil),
      change(.litefile, ["file": "/none"], ["options": "rw"]),
      change(.kit, ["kitname": "k"], ["basename": "b", "nowhere": "1", "alsonot": ""]),
      change(.postscripts, ["node": "node1"], ["postscripts": ""], keeps: true),
    ])
    #expect(lost == ["kit.nowhere"])
    #expect(
      try tables.rows("litefile", where: ("file", "/etc/ntp.conf"))
        == [["image": "ALL", "file": "/etc/ntp.conf", "options": "rw", "comments": "note"]])
    #expect(try tables.rows("litefile", where: ("image", "other")).isEmpty)
    #expect(
      try sql(directory, "litefile", "SELECT image='' FROM litefile WHERE file='/none'") == "1\n")
    #expect(try tables.rows("kit") == [["kitname": "k", "basename": "b"]])
    #expect(
      try sql(
        directory, "postscripts",
        "SELECT postscripts IS NULL, postbootscripts, disable IS NULL FROM postscripts WHERE node='node1'"
      ) == "1|my3|1\n")
    #expect(try run("stat", "-c", "%a", directory.path("etc-xcat/kit.sqlite")).output == "600\n")
  }

  @Test func `every table is created as by xCAT`() throws {
    let directory = try TemporaryDirectory()
    _ = try node(directory)
    let fresh = SQLiteTableBackend(
      KernelFileSystem.shared, directory: Array(directory.path("fresh").utf8), mayCreate: true)
    try fresh.apply(
      TableSchema.all.map { schema in
        change(schema, Dictionary(schema.keys.map { ($0, "x") }) { $1 }, ["comments": "c"])
      })
    for table in ["litefile", "nodegroup", "nodelist", "postscripts", "site", "osimage"] {
      let ours = try run("sqlite3", directory.path("fresh/\(table).sqlite"), ".schema").output
      let theirs = try run("sqlite3", directory.path("etc-xcat/\(table).sqlite"), ".schema").output
      #expect(ours == theirs)
    }
  }

  @Test func `an unwritable row leaves every table unchanged`() throws {
    let directory = try TemporaryDirectory()
    let tables = try node(directory)
    _ = try sql(directory, "postscripts", "UPDATE postscripts SET disable='' WHERE node='node1'")
    let before = try shell(
      "cd \"$1/etc-xcat\"; for t in *.sqlite; do sqlite3 $t .dump; done", directory.path
    ).output
    let error = #expect(throws: XCATError.self) {
      try tables.apply([
        change(.kit, ["kitname": "k"], ["basename": "b"]),
        change(.litefile, ["image": "a", "file": "/b"], ["options": "rw"]),
        change(.osimage, ["imagename": lite], nil),
        change(.postscripts, ["node": "node1"], nil),
      ])
    }
    #expect(error?.reason.contains("disabled row node=node1") == true)
    try shell("cd \"$1/etc-xcat\"; test ! -s kit.sqlite; rm kit.sqlite", directory.path)
    #expect(
      try shell("cd \"$1/etc-xcat\"; for t in *.sqlite; do sqlite3 $t .dump; done", directory.path)
        .output == before)
    #expect(try tables.rows("kit").isEmpty)
  }

  @Test func `a change waits for a running xcatd`() throws {
    let directory = try TemporaryDirectory()
    let tables = try node(directory)
    let started = directory.path("started")
    let holder = Process()
    holder.executableURL = URL(fileURLWithPath: "/usr/bin/python3")
    holder.arguments = [
      "-c",
      """
      import sqlite3, sys, time
      c = sqlite3.connect(sys.argv[1], isolation_level=None)
      c.execute('BEGIN IMMEDIATE'); open(sys.argv[2], 'w').close()
      time.sleep(1); c.execute("UPDATE litefile SET comments='xcatd'"); c.execute('COMMIT')
      """, directory.path("etc-xcat/litefile.sqlite"), started,
    ]
    try holder.run()
    while !FileManager.default.fileExists(atPath: started) { usleep(10_000) }
    try tables.apply([
      change(.osimage, ["imagename": "new"], ["profile": "p"]),
      change(.litefile, ["image": "ALL", "file": "/etc/hosts"], ["options": "ro"], keeps: true),
    ])
    holder.waitUntilExit()
    #expect(
      try tables.rows("litefile", where: ("file", "/etc/hosts")) == [
        ["image": "ALL", "file": "/etc/hosts", "options": "ro", "comments": "xcatd"]
      ])
  }

  @Test func `table files with a write-ahead log are refused if several change`() throws {
    let directory = try TemporaryDirectory()
    let tables = try node(directory)
    _ = try sql(directory, "litefile", "PRAGMA journal_mode=WAL")
    let change = change(.litefile, ["image": "a", "file": "/b"], ["options": "rw"])
    #expect(throws: XCATError.self) {
      try tables.apply([change, self.change(.site, ["key": "k"], ["value": "v"])])
    }
    try tables.apply([change])
    #expect(try tables.rows("litefile", where: ("image", "a")).count == 1)
  }

  @Test func `an unknown column is an error and not compared as text`() throws {
    let directory = try TemporaryDirectory()
    let tables = try node(directory)
    #expect(throws: XCATError.self) { try tables.rows("litefile", where: ("nowhere", "nowhere")) }
  }
}
