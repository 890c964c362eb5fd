// Options that every command has, and what they open.

import ArgumentParser
import Glibc
import Images
import Platform

struct CommonOptions: ParsableArguments {
  @Option(
    help: ArgumentHelp(
      "The store's folder (IMGSTORE_STORE; default /var/lib/imgstore, below --root; for users the XDG data folder).",
      valueName: "dir"))
  var store: String?

  @Option(
    help: ArgumentHelp(
      "Take every absolute path of tables and bundles below this folder (IMGSTORE_ROOT).",
      valueName: "dir"))
  var root: String?

  @Option(
    help: ArgumentHelp(
      "The folder of xCAT's table files (IMGSTORE_XCAT_DIR; default: where xCAT has them, else the store).",
      valueName: "dir"))
  var xcatDir: String?

  @Flag(
    help: ArgumentHelp(
      "Use a store that belongs to another user, or that others can write (IMGSTORE_TRUST_STORE=1)."
    ))
  var trustStore = false

  @Option(
    help: ArgumentHelp(
      "Wait for another imgstore no longer than this (90s, 5m, 2h); by default, as long as it takes.",
      valueName: "time"))
  var wait: String?
  @Flag(help: "Do not wait for another imgstore.") var noWait = false

  @Flag(name: .shortAndLong, help: "Say nothing where all is well: warnings and errors only.")
  var quiet = false
  @Flag(help: "Show no progress.") var noProgress = false

  func validate() throws {
    // An empty value is a variable that a script forgot to set; it must not mean "here" or "/".
    for (name, value) in [
      ("--store", store ?? raw("IMGSTORE_STORE")), ("--root", root ?? raw("IMGSTORE_ROOT")),
      ("--xcat-dir", xcatDir ?? raw("IMGSTORE_XCAT_DIR")),
    ] where value == "" {
      throw ValidationError("The value of \(name), or of its variable, is empty.")
    }
    if wait != nil, noWait { throw ValidationError("Give --wait or --no-wait, not both.") }
    _ = try lockWait()
  }

  private func raw(_ name: String) -> String? { getenv(name).map { String(cString: $0) } }

  /// Opens the workspace, showing progress where a person watches.
  /// - Parameters:
  ///   - warn: who is told warnings.
  ///   - remark: who is told what goes on, unless the command is quiet.
  ///   - announcesNewStore: who makes a store is told of it.
  func open(
    announcesNewStore: Bool = true,
    warn: @escaping @Sendable (String) -> Void = { Terminal.warning($0) },
    remark: @escaping @Sendable (String) -> Void = { Terminal.remark($0) }
  ) throws -> Workspace {
    let progress = Progress()
    if let remark = privateStoreRemark { Terminal.remark(remark) }
    if !quiet, !noProgress { Terminal.show(progress) }
    var options = workspaceOptions()
    options.lockWait = try lockWait()
    options.announcesNewStore = announcesNewStore
    options.isQuiet = quiet
    return try Workspace(options, progress: progress, tell: warn, mention: remark)
  }

  /// Where the store, the root and the tables are.
  func workspaceOptions() -> WorkspaceOptions {
    WorkspaceOptions(
      store: storePath, root: root ?? environment("IMGSTORE_ROOT") ?? "/",
      xcatDirectory: xcatDir ?? environment("IMGSTORE_XCAT_DIR"),
      storeOwner: trustsStore ? .any : .trusted)
  }

  /// Whether the caller says which store it is.
  var namesStore: Bool { store != nil || environment("IMGSTORE_STORE") != nil }

  private func lockWait() throws -> LockWait {
    noWait
      ? .atMost(seconds: 0)
      : try wait.map { .atMost(seconds: try BudgetOptions.seconds($0)) } ?? .forever
  }

  private var trustsStore: Bool {
    trustStore || (environment("IMGSTORE_TRUST_STORE") ?? "0") != "0"
  }

  private static let machineStore = "/var/lib/imgstore"

  /// A group may have been given the right to read it.
  private var canReadMachineStore: Bool {
    access(CommonOptions.machineStore + "/format", R_OK) == 0
  }

  /// For a user who may have forgotten sudo.
  private var privateStoreRemark: String? {
    guard !isRoot, store == nil, environment("IMGSTORE_STORE") == nil,
      root == nil, environment("IMGSTORE_ROOT") == nil, !canReadMachineStore,
      access(CommonOptions.machineStore, F_OK) == 0
    else { return nil }
    return "\(CommonOptions.machineStore) is for root: using \(storePath) (or run it with sudo)"
  }

  private var storePath: String {
    if let store { return store }
    if let named = environment("IMGSTORE_STORE") { return named }
    if let root = root ?? environment("IMGSTORE_ROOT"), root != "/" {
      return root + CommonOptions.machineStore
    }
    if isRoot || canReadMachineStore { return CommonOptions.machineStore }
    if let data = environment("XDG_DATA_HOME") { return data + "/imgstore" }
    return (environment("HOME") ?? ".") + "/.local/share/imgstore"
  }
}

/// A variable of the environment that is set and not empty.
func environment(_ name: String) -> String? {
  guard let value = getenv(name) else { return nil }
  let text = String(cString: value)
  return text.isEmpty ? nil : text
}

struct JSONFlag: ParsableArguments {
  @Flag(help: "Print one JSON document instead of text (man 5 imgstore-json).")
  var json = false
}

/// For scripts that ask whether something differs.
struct ExitCodeFlag: ParsableArguments {
  @Flag(help: "End with exit code 7 where something differs.") var exitCode = false

  func expectEqual(_ diff: ImageDiff) throws {
    if exitCode, !diff.isEmpty { throw Differs() }
  }
}

/// The bytes of a file, or of standard input where it is "-".
/// - Throws: `SystemError`; EFBIG for more than 64 MiB.
func readInput(_ name: String) throws -> [UInt8] {
  let limit = 64 << 20
  let files = KernelFileSystem.shared
  if name != "-" {
    return try files.readSmallFile(
      at: files.workingDirectory, Array(name.utf8), limitBytes: limit)
  }
  var bytes: [UInt8] = []
  var buffer = [UInt8](repeating: 0, count: 64 << 10)
  while true {
    let n = try buffer.withUnsafeMutableBytes { try files.read(0, into: $0) }
    if n == 0 { return bytes }
    bytes += buffer[..<n]
    guard bytes.count <= limit else {
      throw SystemError(code: .tooLarge, "read", Array("standard input".utf8))
    }
  }
}
