// A staging root like the fresh node of the fixtures (Tests/Fixtures/README.md), and its state
// after imports.

import Foundation
import Images
import Platform
import XCAT

/// A management node in a folder.
public final class ManagementNode: Sendable {
  public let folder: TemporaryFolder
  public let workspace: Workspace
  public let tables: SQLiteTableBackend

  /// - Parameter isFresh: with the folders, nodes and rows of the fixtures' node; else as `stage`
  ///   leaves it.
  public init(
    isFresh: Bool = true, tell: @escaping @Sendable (String) -> Void = { _ in },
    stage: (String) throws -> Void = { _ in }
  ) throws {
    folder = try TemporaryFolder()
    let root = folder.path("root")
    func makeFolder(_ name: String) throws {
      try FileManager.default.createDirectory(
        atPath: "\(root)/\(name)", withIntermediateDirectories: true)
    }
    try makeFolder("etc/xcat")
    tables = SQLiteTableBackend(
      KernelFileSystem.shared, directory: Array(folder.path("root/etc/xcat").utf8),
      mayCreate: true)
    if isFresh {
      try makeFolder("install/postscripts")
      try makeFolder("install/rhels8.5.0/x86_64")
      func row(
        _ schema: TableSchema, _ key: [String: String], _ columns: [String: String]
      ) -> RowChange {
        RowChange(schema: schema, key: key, columns: columns, keepsOtherColumns: false)
      }
      try tables.apply([
        row(.site, ["key": "installdir"], ["value": "/install"]),
        row(.nodelist, ["node": "node1"], ["groups": "compute,all"]),
        row(.nodelist, ["node": "node2"], ["groups": "compute,all"]),
        row(
          .postscripts, ["node": "xcatdefaults"],
          ["postscripts": "syslog,remoteshell", "postbootscripts": "otherpkgs"]),
        row(
          .postscripts, ["node": "node2"],
          ["postscripts": "mine,other", "postbootscripts": "minebb"]),
        row(.litefile, ["image": "ALL", "file": "/etc/ntp.conf"], ["options": "tmpfs"]),
      ])
    }
    try stage(folder.path("root"))
    workspace = try Workspace(
      WorkspaceOptions(store: folder.path("store"), root: folder.path("root")), tell: tell)
  }

  /// The node that the real xCAT made: three images, two nodes, their rows and files.
  public static func real(
    tell: @escaping @Sendable (String) -> Void = { _ in }, stage: (String) throws -> Void = { _ in }
  ) throws -> ManagementNode {
    try ManagementNode(isFresh: false, tell: tell) { root in
      try shell(
        "cd \"$1\"; tar xzpf \"$2\"; mv etc-xcat/* etc/xcat/; rmdir etc-xcat", root,
        fixture("xcat/mn.tgz"))
      try stage(root)
    }
  }

  public func path(_ path: String) -> String { folder.path("root" + path) }

  /// Runs SQL on a table's file, as any other program may.
  @discardableResult
  public func sql(_ table: String, _ statement: String) throws -> String {
    let result = try run("sqlite3", path("/etc/xcat/\(table).sqlite"), statement)
    guard result.didSucceed else { throw TestFailure("sqlite3: \(result.errors)") }
    return result.output
  }

  public func text(_ file: String) throws -> String {
    try String(contentsOfFile: path(file), encoding: .utf8)
  }

  /// All visible rows of the tables that imports change, in one order.
  public func rows() throws -> [String: [[String: String]]] {
    var all: [String: [[String: String]]] = [:]
    for table in [
      "osimage", "linuximage", "litefile", "kit", "kitrepo", "kitcomponent", "postscripts",
    ] {
      all[table] = try tables.rows(table).sorted { "\($0.sorted(by: <))" < "\($1.sorted(by: <))" }
    }
    return all
  }

  /// A file as the fixtures' expectations describe it.
  public struct File: Codable, Equatable, Sendable {
    public var type: String
    public var mode: String
    public var uid: Int
    public var gid: Int
    public var size: Int?
    public var sha256: String?
    public var target: String?
  }

  /// Everything below a folder, by path.
  public func files(below top: String = "/install") throws -> [String: File] {
    let result = try runFixture("scripts/oracles/list-files.py", folder.path("root"), top)
    return try JSONDecoder().decode([String: File].self, from: Data(result.output.utf8))
  }

  /// Everything that an attack or a revert must not change, except times.
  public func state() throws -> State { State(files: try files(below: ""), rows: try rows()) }

  public struct State: Equatable, Sendable {
    public var files: [String: File]
    public var rows: [String: [[String: String]]]

    /// The state without the table files, whose content is in `rows`.
    public var withoutTableFiles: State {
      State(files: files.filter { !$0.key.hasPrefix("/etc/xcat/") }, rows: rows)
    }
  }
}
