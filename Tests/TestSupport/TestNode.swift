// A management node in a temporary directory, for the tests of all modules.
//
// The node has a store, a workspace, tables and images. Most nodes are staged: their root is the directory
// "root" next to the store. A node of directory images has no xCAT, and its paths are those of the machine.

import Foundation
import Images
import Platform
import XCAT

/// The program under test, built together with these tests.
public let binary =
  ProcessInfo.processInfo.environment["IMGSTORE_BINARY"]
  ?? URL(fileURLWithPath: CommandLine.arguments[0]).deletingLastPathComponent()
  .appendingPathComponent("imgstore").path

/// The program that kills another one before its n-th file operation (Tests/KillAt).
public let killatBinary =
  URL(fileURLWithPath: binary).deletingLastPathComponent().appendingPathComponent("killat").path

/// A management node in a temporary directory.
public final class TestNode: Sendable {
  public let directory: TemporaryDirectory
  /// The tree of the image.
  public let tree: String
  public let workspace: Workspace
  /// The messages of `workspace`.
  public let messages: Monitor<[String]>
  private let isStaged: Bool

  /// Creates a node without images.
  ///
  /// - Parameters:
  ///   - isStaged: whether the root of the node is the directory "root"; otherwise it is that of the machine.
  ///   - tree: the tree of the image, below the root of the node.
  ///   - environment: the variables that the workspace reads.
  ///   - warn: receives the messages of the workspace, in addition to `messages`.
  ///   - stage: creates files in the root of the node, before the workspace is opened.
  public init(
    isStaged: Bool = true, tree: String = "img/rootimg",
    environment: [String: String] = processEnvironment(),
    warn: @escaping @Sendable (String) -> Void = { _ in },
    stage: (String) throws -> Void = { _ in }
  ) throws {
    directory = try TemporaryDirectory()
    self.isStaged = isStaged
    let root = isStaged ? directory.path("root") : directory.path
    self.tree = "\(root)/\(tree)"
    try FileManager.default.createDirectory(atPath: root, withIntermediateDirectories: true)
    try stage(root)
    let messages = Monitor<[String]>([])
    self.messages = messages
    workspace = try Workspace(
      TestNode.options(directory, isStaged: isStaged, environment: environment)
    ) { line in
      messages.withLock { $0.append(line) }
      warn(line)
    }
  }

  /// Creates a staged node with one netboot image in /img, whose tree has these files.
  public convenience init(
    image: String, tree files: [String: String] = ["etc/motd": "hello\n"]
  ) throws {
    try self.init(stage: { try TestNode.write(files, to: $0 + "/img/rootimg") })
    _ = try open().define(image, ["provmethod=netboot", "rootimgdir=/img"])
  }

  /// Creates a node without xCAT, with a directory to take snapshots of.
  public static func directory(
    _ path: String = "srv/compute", tree files: [String: String]
  ) throws -> TestNode {
    try TestNode(isStaged: false, tree: path, stage: { try write(files, to: $0 + "/" + path) })
  }

  /// Returns a workspace with a store of its own in the node's directory: another machine that transfers reach.
  public func machine(store name: String) throws -> Workspace {
    var options = WorkspaceOptions(store: directory.path(name), root: workspace.options.root)
    options.environment = workspace.options.environment
    return try Workspace(options) { _ in }
  }

  /// Creates the fresh node of the fixtures (Tests/Fixtures/README.md): directories, nodes and rows, no
  /// image.
  public static func fresh(
    warn: @escaping @Sendable (String) -> Void = { _ in }, stage: (String) throws -> Void = { _ in }
  ) throws -> TestNode {
    let node = try TestNode(
      warn: warn,
      stage: { root in
        for name in ["etc/xcat", "install/postscripts", "install/rhels8.5.0/x86_64"] {
          try FileManager.default.createDirectory(
            atPath: "\(root)/\(name)", withIntermediateDirectories: true)
        }
        try stage(root)
      })
    return try node.withTables([
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

  /// Creates the node that the real xCAT made: three images, two nodes, their rows and files.
  public static func real(
    warn: @escaping @Sendable (String) -> Void = { _ in }, stage: (String) throws -> Void = { _ in }
  ) throws -> TestNode {
    try TestNode(
      warn: warn,
      stage: { root in
        try shell(
          "mkdir -p \"$1/etc/xcat\"; cd \"$1\"; tar xzpf \"$2\"; mv etc-xcat/* etc/xcat; rmdir etc-xcat",
          root,
          fixture("xcat/mn.tgz"))
        try stage(root)
      })
  }

  /// Writes rows to the tables of the node.
  public func withTables(_ rows: [RowChange]) throws -> TestNode {
    try tables.apply(rows)
    return self
  }

  private static func row(
    _ schema: TableSchema, _ key: [String: String], _ columns: [String: String]
  ) -> RowChange {
    RowChange(schema: schema, key: key, columns: columns, keepsOtherColumns: false)
  }

  private static func write(_ files: [String: String], to tree: String) throws {
    try FileManager.default.createDirectory(atPath: tree, withIntermediateDirectories: true)
    for (name, text) in files {
      let url = URL(fileURLWithPath: "\(tree)/\(name)")
      try FileManager.default.createDirectory(
        at: url.deletingLastPathComponent(), withIntermediateDirectories: true)
      try Data(text.utf8).write(to: url)
    }
  }

  private static func options(
    _ directory: TemporaryDirectory, isStaged: Bool, environment: [String: String]
  ) -> WorkspaceOptions {
    // The list of stores of this machine is not for tests.
    let ownList = ["IMGSTORE_CONFIG_DIR": directory.path("config")]
    return WorkspaceOptions(
      store: directory.path("store"), root: isStaged ? directory.path("root") : "/",
      environment: environment.merging(ownList) { given, _ in given })
  }

  // MARK: The program

  /// The variables that make the program use this node.
  public var environment: [String: String] {
    [
      "IMGSTORE_STORE": directory.path("store"),
      "IMGSTORE_ROOT": isStaged ? directory.path("root") : "/",
      // The list of stores of this machine is not for tests.
      "IMGSTORE_CONFIG_DIR": directory.path("config"), "TZ": "UTC",
    ]
  }

  /// Runs the program on this node.
  public func imgstore(_ arguments: String..., input: String? = nil) throws -> ToolResult {
    try imgstore(arguments, input: input)
  }

  /// Runs the program on this node.
  public func imgstore(_ arguments: [String], input: String? = nil) throws -> ToolResult {
    try TestSupport.run(binary, arguments: arguments, environment: environment, input: input)
  }

  /// Opens another workspace on the node, as another process would.
  public func open(
    lockWait: LockWait = .forever, fileSystem: any FileSystem = KernelFileSystem.shared
  ) throws -> Workspace {
    var options = TestNode.options(
      directory, isStaged: isStaged, environment: workspace.options.environment)
    options.lockWait = lockWait
    return try Workspace(options, fileSystem: fileSystem) { _ in }
  }

  // MARK: Files

  /// Returns the path of a file of the node, with or without a leading slash.
  public func path(_ path: String) -> String {
    let root = isStaged ? directory.path("root") : directory.path
    return path.hasPrefix("/") ? root + path : "\(root)/\(path)"
  }

  public func text(_ file: String) throws -> String {
    try String(contentsOfFile: path(file), encoding: .utf8)
  }

  /// Returns the text of a file of the node; nil if there is none.
  public func content(_ file: String) -> String? { try? text(file) }

  public func write(_ text: String, to file: String) throws {
    try Data(text.utf8).write(to: URL(fileURLWithPath: path(file)))
  }

  public func exists(_ file: String) -> Bool {
    FileManager.default.fileExists(atPath: path(file))
  }

  /// Runs a bash script in the root of the node.
  public func run(_ script: String) throws { try shell("cd \"$1\"; " + script, path("")) }

  // MARK: Tables

  public var tables: SQLiteTableBackend {
    SQLiteTableBackend(
      KernelFileSystem.shared, directory: Array(path("/etc/xcat").utf8), mayCreate: true)
  }

  /// Runs SQL on a table's file, as any other program may. SQLite creates a missing file.
  @discardableResult
  public func sql(_ table: String, _ statement: String) throws -> String {
    let result = try TestSupport.run("sqlite3", path("/etc/xcat/\(table).sqlite"), statement)
    guard result.didSucceed else { throw TestFailure("sqlite3: \(result.errors)") }
    return result.output
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

  /// Everything below a directory, by path.
  public func files(below top: String = "/install") throws -> [String: File] {
    let result = try runFixture("scripts/oracles/list-files.py", directory.path("root"), top)
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
