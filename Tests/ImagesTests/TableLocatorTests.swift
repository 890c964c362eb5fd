// Where a workspace finds xCAT's tables.

import Foundation
import Images
import TestSupport
import Testing

@Suite struct TableLocatorTests {
  /// Creates a workspace below a root. Each table directory holds an image with the directory's name.
  private func workspace(
    _ directory: TemporaryDirectory, tables: [String], cfgloc: String? = nil, root: String? = nil,
    environment: [String: String] = [:]
  ) throws -> Workspace {
    for table in tables {
      let xcatDirectory = directory.path("root\(table)")
      try FileManager.default.createDirectory(
        atPath: xcatDirectory, withIntermediateDirectories: true)
      let name = table.replacingOccurrences(of: "/", with: "_")
      _ = try Workspace(
        WorkspaceOptions(
          store: directory.path("s"), root: directory.path("root"), xcatDirectory: xcatDirectory)
      ) { _ in }.define(name, ["profile=p"])
    }
    if let cfgloc {
      try FileManager.default.createDirectory(
        atPath: directory.path("root/etc/xcat"), withIntermediateDirectories: true)
      try cfgloc.write(
        toFile: directory.path("root/etc/xcat/cfgloc"), atomically: false, encoding: .utf8)
    }
    return try Workspace(
      WorkspaceOptions(
        store: directory.path("store"), root: root ?? directory.path("root"),
        environment: environment)
    ) { _ in }
  }

  private func found(_ workspace: Workspace) throws -> [String] {
    try workspace.images().filter(\.isDefined).map(\.name)
  }

  @Test func `table directories are searched in xCAT's order`() throws {
    for (tables, cfgloc, expected) in [
      (["/etc/xcat"], nil, "_etc_xcat"), (["/etc/xcat", "/opt/xcat/cfg"], nil, "_opt_xcat_cfg"),
      (["/etc/xcat", "/db"], "SQLite:/db\n", "_db"), (["/etc/xcat", "/db"], "/db", "_db"),
      (["/etc/xcat", "/db"], "SQLite:/db|user|word\r\nmore", "_db"),
      (["/etc/xcat", "/db"], "\n", "_etc_xcat"),
    ] as [([String], String?, String)] {
      let directory = try TemporaryDirectory()
      let workspace = try workspace(directory, tables: tables, cfgloc: cfgloc)
      #expect(try found(workspace) == [expected], "\(cfgloc ?? "")")
    }
  }

  @Test(.usesTools) func `links of folders and tables do not lead out of a staging root`() throws {
    for (link, inside) in [("folder", false), ("folder", true), ("table", false), ("table", true)] {
      let directory = try TemporaryDirectory()
      // The staging root's tables and this machine's tables are at the same path.
      let real = directory.path("real")
      try shell("mkdir -p \"$1\" \"$2/etc\" \"$2$1\"", real, directory.path("root"))
      let xcatDirectories = [real, directory.path("root") + real]
      for (xcatDirectory, name) in zip(xcatDirectories, ["outside", "inside"]) {
        _ = try Workspace(
          WorkspaceOptions(
            store: directory.path("s"), root: directory.path("root"), xcatDirectory: xcatDirectory)
        ) { _ in }.define(name, ["profile=p"])
      }
      if !inside { try shell("rm -r \"$1\"", xcatDirectories[1]) }
      let before = try shell("cd \"$1\"; sha256sum *", real).output
      try shell(
        link == "folder"
          ? "ln -s \"$1\" \"$2/etc/xcat\""
          : "mkdir \"$2/etc/xcat\"; for f in osimage linuximage; do ln -s \"$1/$f.sqlite\" \"$2/etc/xcat/\"; done",
        real, directory.path("root"))
      let staged = try workspace(directory, tables: [])
      let names = (try? found(staged)) ?? []
      #expect(names == (inside ? ["inside"] : []), "\(link) \(inside)")
      _ = try? staged.define("new", ["profile=p"])
      #expect(try shell("cd \"$1\"; sha256sum *", real).output == before, "\(link) \(inside)")
      if inside { #expect(try found(staged) == ["inside", "new"], "\(link)") }
    }
  }

  @Test(.usesTools) func `without xCAT's tables the store has its own`() throws {
    let directory = try TemporaryDirectory()
    try shell("mkdir \"$1/root\"", directory.path)
    let workspace = try workspace(directory, tables: [])
    _ = try workspace.define("x", ["profile=p"])
    #expect(FileManager.default.fileExists(atPath: directory.path("store/xcat/osimage.sqlite")))
  }

  @Test func `XCATCFG is ignored below a staging root`() throws {
    let directory = try TemporaryDirectory()
    let environment = ["XCATCFG": "SQLite:" + directory.path("root/db")]
    let staged = try workspace(
      directory, tables: ["/etc/xcat", "/db"], environment: environment)
    #expect(try found(staged) == ["_etc_xcat"])
    let here = try workspace(directory, tables: [], root: "/", environment: environment)
    #expect(try found(here) == ["_db"])
  }

  @Test(.usesTools)
  func `other databases are used through xCAT's commands, except below a staging root`()
    throws
  {
    let directory = try TemporaryDirectory()
    let staged = try workspace(
      directory, tables: ["/etc/xcat"], cfgloc: "mysql:dbname=xcatdb;host=h|user|secret")
    let error = #expect(throws: ImageError.self) { try staged.images() }
    #expect(error?.reason.contains("mysql") == true)
    #expect(error?.messageWithHint.contains("secret") == false, "the password is not printed")

    try shell(
      """
      mkdir "$1/bin"
      printf '#!/bin/sh\\necho "$0 $*" >>"$XCATROOT/asked"\\nprintf "# <xCAT data object stanza file>\\\\n\\\\nmine:\\\\n    objtype=osimage\\\\n    provmethod=netboot\\\\n"\\n' >"$1/bin/lsdef"
      chmod +x "$1/bin/lsdef"
      """, directory.path)
    let here = try workspace(
      directory, tables: [], root: "/",
      environment: ["XCATCFG": "Pg:dbname=x|u|p", "XCATROOT": directory.path])
    #expect(try found(here) == ["mine"])
    #expect(
      try String(contentsOfFile: directory.path("asked"), encoding: .utf8)
        == "\(directory.path("bin/lsdef")) -t osimage -l -z\n")
  }

  @Test func `a configured table directory that does not exist is an error`() throws {
    for cfgloc in ["SQLite:/gone", "relative"] {
      let directory = try TemporaryDirectory()
      let workspace = try workspace(directory, tables: ["/etc/xcat"], cfgloc: cfgloc)
      #expect(throws: ImageError.self) { try workspace.images() }
    }
  }
}
