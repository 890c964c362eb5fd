// The table backend on xCAT's commands. One program stands in for them
// (Tests/Fixtures/scripts/fakes/xcat-commands.py): it answers from the fixture's dumps, changes
// them and records its calls.

import Foundation
import Platform
import TestSupport
import Testing
import XCAT

/// Commands that record their calls.
final class FakeXCATCommands: Sendable {
  let directory: TemporaryDirectory
  var backend: CommandTableBackend {
    CommandTableBackend(
      KernelFileSystem.shared, database: "mysql",
      environment: ["XCATROOT": directory.path, "PATH": "/usr/bin:/bin", "XCATCFG": "mysql:x"])
  }

  init() throws {
    directory = try TemporaryDirectory()
    try shell(
      "tar xzf \"$2\" -C \"$1\" --no-same-owner; mkdir \"$1/bin\" \"$1/sbin\"", directory.path,
      fixture("xcat/mn.tgz"))
    // A file that is open for writing cannot be executed, and a concurrent test may be forking:
    // another process writes the program.
    try shell(
      """
      cp "$2" "$1/play"
      for c in lsdef mkdef chdef rmdef; do ln -s ../play "$1/bin/$c"; done
      for c in tabdump chtab; do ln -s ../play "$1/sbin/$c"; done
      """, directory.path, fixture("scripts/fakes/xcat-commands.py"))
  }

  /// The recorded calls that change something: the arguments, and standard input.
  func asked() throws -> [String] {
    let path = directory.path("asked")
    guard FileManager.default.fileExists(atPath: path) else { return [] }
    defer { try? FileManager.default.removeItem(atPath: path) }
    return try String(contentsOfFile: path, encoding: .utf8)
      .components(separatedBy: "\u{1}").dropLast()
  }

  /// Makes the next command of this name fail, or do nothing and report success.
  func spoil(_ command: String, silently: Bool = false) throws {
    try (silently ? "silent" : "fail").write(
      toFile: directory.path("spoil-\(command)"), atomically: false, encoding: .utf8)
  }

  func rows(_ table: String) throws -> [[String: String]] { try backend.rows(table) }
}

@Suite(.usesTools) struct CommandTableBackendTests {
  private let compute = "rhels8.5.0-x86_64-netboot-compute"
  private let lite = "rhels8.5.0-x86_64-statelite-lite"

  private func change(
    _ schema: TableSchema, _ key: [String: String], _ columns: [String: String]?,
    keeps: Bool = false
  ) -> RowChange {
    RowChange(schema: schema, key: key, columns: columns, keepsOtherColumns: keeps)
  }

  @Test func `the commands return the same rows as the table files`() throws {
    let commands = try FakeXCATCommands()
    let files = SQLiteTableBackend(
      KernelFileSystem.shared, directory: Array(commands.directory.path("etc-xcat").utf8),
      mayCreate: false)
    #expect(commands.backend.location == "xCAT (mysql)")
    #expect(try commands.backend.definitions() == files.definitions())
    #expect(try commands.backend.definition(of: lite) == files.definition(of: lite))
    #expect(try commands.backend.definition(of: "none") == nil)
    for table in ["litefile", "nodelist", "postscripts", "site"] {
      #expect(try commands.rows(table) == files.rows(table))
    }
    #expect(try commands.rows("kit").isEmpty, "a table that is not there has no rows")
    #expect(try commands.backend.rows("litefile", where: ("image", "ALL")).count == 2)
    #expect(try commands.backend.site("installdir") == "/install")
    #expect(try commands.backend.rows("osimage", where: ("profile", "lite")).count == 1)
  }

  @Test func `an image is changed with one command, which also clears removed attributes`() throws {
    let commands = try FakeXCATCommands()
    var definition = try #require(try commands.backend.definition(of: compute))
    definition.osimage["description"] = "ends:"
    definition.linuximage["netdrivers"] = nil
    definition.linuximage["comments"] = "\"quoted\""
    definition.osimage["comments"] = "lost"
    #expect(try commands.backend.setDefinition(of: compute, definition) == ["osimage.comments"])
    let asked = try commands.asked()
    #expect(asked.count == 1)
    let lines = Set(asked[0].split(separator: "\n").map(String.init))
    #expect(
      lines.isSuperset(of: [
        "chdef -z", "\(compute):", "    objtype=osimage", "    netdrivers=",
        "    description=\"ends:\"", "    usercomment=\"\"quoted\"\"", "    profile=compute",
      ]))
    definition.osimage["comments"] = nil
    #expect(try commands.backend.definition(of: compute) == definition)
    #expect(try commands.backend.setDefinition(of: compute, definition).isEmpty)
    #expect(try commands.asked() == [], "nothing to change, nothing asked")
  }

  @Test func `an image is created with mkdef and removed with rmdef`() throws {
    let commands = try FakeXCATCommands()
    let new = ImageDefinition(
      osimage: ["imagetype": "linux", "profile": "p"], linuximage: ["exlist": "/e"])
    try commands.backend.setDefinition(of: "new", new)
    try commands.backend.setDefinition(of: "new", ImageDefinition())
    #expect(
      try commands.asked() == [
        """
        mkdef -z
        # <xCAT data object stanza file>

        new:
            objtype=osimage
            exlist=/e
            imagetype=linux
            profile=p

        """, "rmdef -t osimage -o new",
      ])
    #expect(try commands.backend.definition(of: "new") == nil)
  }

  @Test func `litefile and group rows are set with chtab, node rows with chdef`() throws {
    let commands = try FakeXCATCommands()
    try commands.backend.apply([
      change(.litefile, ["image": "ALL", "file": "/etc/ntp.conf"], ["options": "tmpfs,rw"]),
      change(.litefile, ["image": "other", "file": "/x"], nil),
      change(.postscripts, ["node": "node1"], ["postscripts": "a,b"], keeps: true),
      change(.postscripts, ["node": "node2"], ["postbootscripts": "c"], keeps: true),
      change(.postscripts, ["node": "compute"], ["postscripts": "g"], keeps: true),
    ])
    #expect(
      try commands.asked() == [
        "chtab image=ALL,file=/etc/ntp.conf litefile.comments= litefile.options=tmpfs,rw",
        "chtab -d image=other,file=/x litefile",
        """
        chdef -z
        # <xCAT data object stanza file>

        node1:
            objtype=node
            postbootscripts=my3
            postscripts=a,b

        node2:
            objtype=node
            postbootscripts=c

        """, "chtab node=compute postscripts.postscripts=g",
      ])
  }

  @Test func `kits are created with stanzas, and columns that stanzas lack are reported`() throws {
    let commands = try FakeXCATCommands()
    try "#kitname,basename,version,kitdir,comments,disable\n".write(
      toFile: commands.directory.path("install/tabdump-kit.csv"), atomically: false, encoding: .utf8
    )
    let lost = try commands.backend.apply([
      change(.kit, ["kitname": "k-1"], ["basename": "k", "version": "1", "release": "2"])
    ])
    #expect(lost == ["kit.release"])
    #expect(
      try commands.asked() == [
        """
        mkdef -z
        # <xCAT data object stanza file>

        k-1:
            objtype=kit
            basename=k
            version=1

        """
      ])
    #expect(try commands.rows("kit") == [["kitname": "k-1", "basename": "k", "version": "1"]])
  }

  @Test(arguments: [false, true])
  func `earlier changes are rolled back if a command fails or does nothing`(
    _ silently: Bool
  ) throws {
    let commands = try FakeXCATCommands()
    let before = try commands.backend.definitions()
    let rows = try commands.rows("litefile")
    try commands.spoil("chtab", silently: silently)
    let error = #expect(throws: XCATError.self) {
      try commands.backend.apply([
        change(.osimage, ["imagename": lite], ["profile": "changed", "imagetype": "linux"]),
        change(.osimage, ["imagename": "new"], ["profile": "p", "imagetype": "linux"]),
        change(.litefile, ["image": "ALL", "file": "/etc/hosts"], ["options": "ro"]),
      ])
    }
    #expect(
      error?.reason.contains(
        silently ? "differs from the value that was set" : "the database is away") == true)
    #expect(error?.reason.contains("rolled back") == true, "\(error?.reason ?? "")")
    #expect(try commands.backend.definitions() == before)
    #expect(try commands.rows("litefile") == rows)
  }

  @Test func `a failed rollback names the rows that it could not restore`() throws {
    let commands = try FakeXCATCommands()
    try commands.spoil("chtab")
    try commands.spoil("rmdef")
    let error = #expect(throws: XCATError.self) {
      try commands.backend.apply([
        change(.osimage, ["imagename": "new"], ["profile": "p", "imagetype": "linux"]),
        change(.litefile, ["image": "ALL", "file": "/etc/hosts"], ["options": "ro"]),
      ])
    }
    #expect(error?.reason.contains("could not be rolled back: osimage new") == true)
  }

  @Test func `values that the commands cannot carry are refused before any command runs`() throws {
    let commands = try FakeXCATCommands()
    let first = change(.osimage, ["imagename": lite], nil)
    let refused = [
      change(.litefile, ["image": "a,b", "file": "/x"], ["options": "rw"]),
      change(.litefile, ["image": "a'b", "file": "/x"], ["options": "rw"]),
      change(.litefile, ["image": "a", "file": "/x=y"], ["options": "rw"]),
      change(.litefile, ["image": "", "file": "/x"], ["options": "rw"]),
      change(.litefile, ["image": "a", "file": "/x"], ["options": ""]),
      change(.litefile, ["image": "a", "file": "/x"], ["options": "a+=b"]),
      change(.osimage, ["imagename": "-x"], ["profile": "p"]),
      change(.osimage, ["imagename": "x"], ["profile": "a\nb"]),
      change(.osimage, ["imagename": "x"], ["profile": "NULL"]),
      change(.osimage, ["imagename": "x"], ["profile": " p"]),
      change(.linuximage, ["imagename": "x"], ["exlist": "/e"]),
    ]
    for change in refused {
      #expect(throws: XCATError.self, "\(change)") { try commands.backend.apply([first, change]) }
    }
    #expect(try commands.asked() == [])
  }

  @Test func `a disabled row is neither listed nor overwritten`() throws {
    let commands = try FakeXCATCommands()
    try shell(
      "sed -i 's/^\"other\",\"\\/x\",\"tmpfs\",,$/\"other\",\"\\/x\",\"tmpfs\",,\"1\"/' \"$1/install/tabdump-litefile.csv\"",
      commands.directory.path)
    #expect(try commands.backend.rows("litefile", where: ("image", "other")).isEmpty)
    #expect(throws: XCATError.self) {
      try commands.backend.apply([
        change(.litefile, ["image": "other", "file": "/x"], ["options": "rw"])
      ])
    }
    #expect(try commands.asked() == [])
  }

  @Test func `a missing or failing command is an error that names it`() throws {
    let nowhere = CommandTableBackend(
      KernelFileSystem.shared, database: "Pg", environment: ["XCATROOT": "/nowhere", "PATH": ""])
    if !FileManager.default.fileExists(atPath: "/opt/xcat") {
      #expect(throws: XCATError.self) { try nowhere.rows("osimage") }
    }
    let commands = try FakeXCATCommands()
    try shell(
      "printf '#!/bin/sh\\necho cannot connect >&2; exit 1\\n' >\"$1/play\"",
      commands.directory.path)
    let error = #expect(throws: XCATError.self) { try commands.rows("osimage") }
    #expect(error?.reason == "ended with status 1 and said: cannot connect")
    #expect(throws: XCATError.self) { try commands.rows("litefile") }
  }
}
