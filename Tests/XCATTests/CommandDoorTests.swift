// The table backend on xCAT's commands. One script plays them: it answers from the fixture's dumps as
// the real ones do, changes them, and records its calls.

import Foundation
import Platform
import TestSupport
import Testing
import XCAT

/// Commands that record their calls.
final class PlayedCommands: Sendable {
  let folder: TemporaryFolder
  var door: CommandTableBackend {
    CommandTableBackend(
      KernelFileSystem.shared, database: "mysql",
      environment: ["XCATROOT": folder.path, "PATH": "/usr/bin:/bin", "XCATCFG": "mysql:x"])
  }

  init() throws {
    folder = try TemporaryFolder()
    try shell(
      "tar xzf \"$2\" -C \"$1\" --no-same-owner; mkdir \"$1/bin\" \"$1/sbin\"", folder.path,
      fixture("xcat/mn.tgz"))
    // A file that is open for writing cannot be executed, and a concurrent test may be forking:
    // another process writes the program.
    try shell(
      """
      cp "$2" "$1/play"
      for c in lsdef mkdef chdef rmdef; do ln -s ../play "$1/bin/$c"; done
      for c in tabdump chtab; do ln -s ../play "$1/sbin/$c"; done
      """, folder.path, fixture("scripts/fakes/xcat-commands.py"))
  }

  /// The recorded calls that change something: the arguments, and standard input.
  func asked() throws -> [String] {
    let path = folder.path("asked")
    guard FileManager.default.fileExists(atPath: path) else { return [] }
    defer { try? FileManager.default.removeItem(atPath: path) }
    return try String(contentsOfFile: path, encoding: .utf8)
      .components(separatedBy: "\u{1}").dropLast()
  }

  /// Makes the next command of this name fail, or do nothing and report success.
  func spoil(_ command: String, silently: Bool = false) throws {
    try (silently ? "silent" : "fail").write(
      toFile: folder.path("spoil-\(command)"), atomically: false, encoding: .utf8)
  }

  func rows(_ table: String) throws -> [[String: String]] { try door.rows(table) }
}

@Suite(.usesTools) struct CommandDoorTests {
  private let compute = "rhels8.5.0-x86_64-netboot-compute"
  private let lite = "rhels8.5.0-x86_64-statelite-lite"

  private func change(
    _ schema: TableSchema, _ key: [String: String], _ columns: [String: String]?,
    keeps: Bool = false
  ) -> RowChange {
    RowChange(schema: schema, key: key, columns: columns, keepsOtherColumns: keeps)
  }

  @Test func `what the commands show is what the files hold`() throws {
    let played = try PlayedCommands()
    let files = SQLiteTableBackend(
      KernelFileSystem.shared, directory: Array(played.folder.path("etc-xcat").utf8),
      mayCreate: false)
    #expect(played.door.place == "xCAT (mysql)")
    #expect(try played.door.definitions() == files.definitions())
    #expect(try played.door.definition(of: lite) == files.definition(of: lite))
    #expect(try played.door.definition(of: "none") == nil)
    for table in ["litefile", "nodelist", "postscripts", "site"] {
      #expect(try played.rows(table) == files.rows(table))
    }
    #expect(try played.rows("kit").isEmpty, "a table that is not there has no rows")
    #expect(try played.door.rows("litefile", where: ("image", "ALL")).count == 2)
    #expect(try played.door.site("installdir") == "/install")
    #expect(try played.door.rows("osimage", where: ("profile", "lite")).count == 1)
  }

  @Test func `an image is changed in one command, and loses what it no longer has`() throws {
    let played = try PlayedCommands()
    var definition = try #require(try played.door.definition(of: compute))
    definition.osimage["description"] = "ends:"
    definition.linuximage["netdrivers"] = nil
    definition.linuximage["comments"] = "\"quoted\""
    definition.osimage["comments"] = "lost"
    #expect(try played.door.setDefinition(of: compute, definition) == ["osimage.comments"])
    let asked = try played.asked()
    #expect(asked.count == 1)
    let lines = Set(asked[0].split(separator: "\n").map(String.init))
    #expect(
      lines.isSuperset(of: [
        "chdef -z", "\(compute):", "    objtype=osimage", "    netdrivers=",
        "    description=\"ends:\"", "    usercomment=\"\"quoted\"\"", "    profile=compute",
      ]))
    definition.osimage["comments"] = nil
    #expect(try played.door.definition(of: compute) == definition)
    #expect(try played.door.setDefinition(of: compute, definition).isEmpty)
    #expect(try played.asked() == [], "nothing to change, nothing asked")
  }

  @Test func `an image is made with mkdef and removed with rmdef`() throws {
    let played = try PlayedCommands()
    let new = ImageDefinition(
      osimage: ["imagetype": "linux", "profile": "p"], linuximage: ["exlist": "/e"])
    try played.door.setDefinition(of: "new", new)
    try played.door.setDefinition(of: "new", ImageDefinition())
    #expect(
      try played.asked() == [
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
    #expect(try played.door.definition(of: "new") == nil)
  }

  @Test func `rows of litefile and of groups go by chtab, those of nodes by chdef`() throws {
    let played = try PlayedCommands()
    try played.door.apply([
      change(.litefile, ["image": "ALL", "file": "/etc/ntp.conf"], ["options": "tmpfs,rw"]),
      change(.litefile, ["image": "other", "file": "/x"], nil),
      change(.postscripts, ["node": "node1"], ["postscripts": "a,b"], keeps: true),
      change(.postscripts, ["node": "node2"], ["postbootscripts": "c"], keeps: true),
      change(.postscripts, ["node": "compute"], ["postscripts": "g"], keeps: true),
    ])
    #expect(
      try played.asked() == [
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

  @Test func `kits go in stanzas`() throws {
    let played = try PlayedCommands()
    try "#kitname,basename,version,kitdir,comments,disable\n".write(
      toFile: played.folder.path("install/tabdump-kit.csv"), atomically: false, encoding: .utf8)
    let lost = try played.door.apply([
      change(.kit, ["kitname": "k-1"], ["basename": "k", "version": "1", "release": "2"])
    ])
    #expect(lost == ["kit.release"])
    #expect(
      try played.asked() == [
        """
        mkdef -z
        # <xCAT data object stanza file>

        k-1:
            objtype=kit
            basename=k
            version=1

        """
      ])
    #expect(try played.rows("kit") == [["kitname": "k-1", "basename": "k", "version": "1"]])
  }

  @Test(arguments: [false, true])
  func `what was changed is put back where a command fails, or does nothing`(
    _ silently: Bool
  ) throws {
    let played = try PlayedCommands()
    let before = try played.door.definitions()
    let rows = try played.rows("litefile")
    try played.spoil("chtab", silently: silently)
    let error = #expect(throws: XCATError.self) {
      try played.door.apply([
        change(.osimage, ["imagename": lite], ["profile": "changed", "imagetype": "linux"]),
        change(.osimage, ["imagename": "new"], ["profile": "p", "imagetype": "linux"]),
        change(.litefile, ["image": "ALL", "file": "/etc/hosts"], ["options": "ro"]),
      ])
    }
    #expect(
      error?.finding.contains(
        silently ? "differs from the value that was set" : "the database is away") == true)
    #expect(error?.finding.contains("rolled back") == true, "\(error?.finding ?? "")")
    #expect(try played.door.definitions() == before)
    #expect(try played.rows("litefile") == rows)
  }

  @Test func `what could not be put back is named`() throws {
    let played = try PlayedCommands()
    try played.spoil("chtab")
    try played.spoil("rmdef")
    let error = #expect(throws: XCATError.self) {
      try played.door.apply([
        change(.osimage, ["imagename": "new"], ["profile": "p", "imagetype": "linux"]),
        change(.litefile, ["image": "ALL", "file": "/etc/hosts"], ["options": "ro"]),
      ])
    }
    #expect(error?.finding.contains("could not be rolled back: osimage new") == true)
  }

  @Test func `what the commands cannot carry is refused before anything is asked`() throws {
    let played = try PlayedCommands()
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
      #expect(throws: XCATError.self, "\(change)") { try played.door.apply([first, change]) }
    }
    #expect(try played.asked() == [])
  }

  @Test func `a disabled row is not seen and not overwritten`() throws {
    let played = try PlayedCommands()
    try shell(
      "sed -i 's/^\"other\",\"\\/x\",\"tmpfs\",,$/\"other\",\"\\/x\",\"tmpfs\",,\"1\"/' \"$1/install/tabdump-litefile.csv\"",
      played.folder.path)
    #expect(try played.door.rows("litefile", where: ("image", "other")).isEmpty)
    #expect(throws: XCATError.self) {
      try played.door.apply([
        change(.litefile, ["image": "other", "file": "/x"], ["options": "rw"])
      ])
    }
    #expect(try played.asked() == [])
  }

  @Test func `a command that is not there, or fails, says so`() throws {
    let nowhere = CommandTableBackend(
      KernelFileSystem.shared, database: "Pg", environment: ["XCATROOT": "/nowhere", "PATH": ""])
    if !FileManager.default.fileExists(atPath: "/opt/xcat") {
      #expect(throws: XCATError.self) { try nowhere.rows("osimage") }
    }
    let played = try PlayedCommands()
    try shell(
      "printf '#!/bin/sh\\necho cannot connect >&2; exit 1\\n' >\"$1/play\"", played.folder.path)
    let error = #expect(throws: XCATError.self) { try played.rows("osimage") }
    #expect(error?.finding == "ended with status 1 and said: cannot connect")
    #expect(throws: XCATError.self) { try played.rows("litefile") }
  }
}
