// The common options of all commands, and the workspace that they open.

import ArgumentParser
import Glibc
import Images

struct CommonOptions: ParsableArguments {
  @Option(
    help: ArgumentHelp(
      "Directory of the store (IMGSTORE_STORE, or 'store' of the configuration; default /var/lib/imgstore, below --root; for users in the XDG data directory)",
      valueName: "dir"))
  var store: String?

  @Option(
    help: ArgumentHelp(
      "Resolve absolute paths of tables and bundles below this directory (IMGSTORE_ROOT)",
      valueName: "dir"))
  var root: String?

  @Option(
    help: ArgumentHelp(
      "Directory of xCAT's table files (IMGSTORE_XCAT_DIR; default: xCAT's own, else one in the store)",
      valueName: "dir"))
  var xcatDir: String?

  @Option(
    help: ArgumentHelp(
      "Use only this configuration file (IMGSTORE_CONFIG; default: /etc/imgstore/config.toml, and that of the user)",
      valueName: "file"))
  var config: String?

  @Flag(
    help: ArgumentHelp(
      "Use a store that belongs to another user or that others can write (IMGSTORE_TRUST_STORE=1)"
    ))
  var trustStore = false

  @Option(
    help: ArgumentHelp(
      "Wait at most this long for another imgstore process (90s, 5m, 2h; default: no limit), and for the lock of genimage or packimage (default: fail at once)",
      valueName: "time"))
  var wait: String?
  @Flag(help: "Do not wait for another imgstore process") var noWait = false

  @Flag(name: .shortAndLong, help: "Print no reports: only requested data, warnings and errors")
  var quiet = false
  @Flag(help: "Do not show progress") var noProgress = false

  func validate() throws {
    // A script that forgot to set a variable passes an empty value, which must not mean "." or "/".
    for (name, value) in [
      ("--store", store ?? raw("IMGSTORE_STORE")), ("--root", root ?? raw("IMGSTORE_ROOT")),
      ("--xcat-dir", xcatDir ?? raw("IMGSTORE_XCAT_DIR")),
      ("--config", config ?? raw("IMGSTORE_CONFIG")),
    ] where value == "" {
      throw ValidationError("The value of \(name), or of its variable, is empty.")
    }
    if wait != nil, noWait { throw ValidationError("Give --wait or --no-wait, not both.") }
    _ = try lockWait()
  }

  private func raw(_ name: String) -> String? { getenv(name).map { String(cString: $0) } }

  /// Opens the workspace, and shows progress on a terminal.
  /// - Parameters:
  ///   - announcesNewStore: whether a message reports that a store was created.
  ///   - warn: prints a warning.
  ///   - remark: prints a message about the work; called unless the command is quiet.
  func open(
    announcesNewStore: Bool = true,
    warn: @escaping @Sendable (String) -> Void = { Terminal.warning($0) },
    remark: @escaping @Sendable (String) -> Void = { Terminal.remark($0) }
  ) throws -> Workspace {
    try open(
      configuration: configuration(), announcesNewStore: announcesNewStore, warn: warn,
      remark: remark)
  }

  /// Opens the workspace with a configuration that is loaded already.
  /// - Parameters:
  ///   - waits: whether to wait for locks if no option says how long.
  func open(
    configuration: Configuration, announcesNewStore: Bool = true, waits: Bool = true,
    warn: @escaping @Sendable (String) -> Void = { Terminal.warning($0) },
    remark: @escaping @Sendable (String) -> Void = { Terminal.remark($0) }
  ) throws -> Workspace {
    let progress = Progress()
    if let remark = privateStoreRemark(configuration) { Terminal.remark(remark) }
    if !quiet, !noProgress { Terminal.show(progress) }
    var options = workspaceOptions(configuration)
    options.lockWait = wait == nil && !waits ? .atMost(seconds: 0) : try lockWait()
    options.announcesNewStore = announcesNewStore
    options.isQuiet = quiet
    return try Workspace(options, progress: progress, warn: warn, inform: remark)
  }

  /// Returns the locations of the store, the root and the tables.
  func workspaceOptions(_ configuration: Configuration) -> WorkspaceOptions {
    var options = WorkspaceOptions(
      store: store(configuration).value, root: stagedRoot ?? "/",
      xcatDirectory: xcatDir ?? environment("IMGSTORE_XCAT_DIR"),
      storeOwner: trustsStore ? .any : .trusted)
    options.configuration = configuration
    return options
  }

  private var stagedRoot: String? { root ?? environment("IMGSTORE_ROOT") }

  /// The configuration files that apply.
  var configurationFiles: ConfigurationFiles {
    ConfigurationFiles(
      option: config, environment: WorkspaceOptions(store: "").environment,
      isStaged: (stagedRoot ?? "/") != "/", isRoot: isRoot)
  }

  /// Loads the configuration files.
  /// - Throws: `ConfigurationError`.
  func configuration() throws -> Configuration { try configurationFiles.load() }

  /// Whether the caller names the store.
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

  /// Returns the store of the machine: that of the machine's configuration, or the default one.
  private func machineStore(_ configuration: Configuration) -> Setting<String> {
    if let setting = configuration.store, case .file(let path, _) = setting.origin,
      path.hasPrefix(ConfigurationFiles.systemDirectory + "/")
    {
      return setting
    }
    return Setting(CommonOptions.machineStore, .builtIn)
  }

  /// Whether this user can read a store, for instance as a member of its group.
  private func canRead(_ store: String) -> Bool { access(store + "/format", R_OK) == 0 }

  /// Returns the message for a user who may have forgotten sudo; nil if it does not apply.
  private func privateStoreRemark(_ configuration: Configuration) -> String? {
    let machine = machineStore(configuration).value
    let used = store(configuration)
    guard !isRoot, stagedRoot == nil, used.origin == .builtIn, !canRead(machine),
      access(machine, F_OK) == 0
    else { return nil }
    return
      "\(machine) belongs to root; using \(used.value) instead (run with sudo to use it)"
  }

  /// Returns the directory of the store: that of the option, of the environment, of the configuration, or
  /// the default one. A user who cannot read the store of the machine has one of their own.
  func store(_ configuration: Configuration) -> Setting<String> {
    if let store { return Setting(store, .option("--store")) }
    if let named = environment("IMGSTORE_STORE") {
      return Setting(named, .environment("IMGSTORE_STORE"))
    }
    let machine = machineStore(configuration)
    if let setting = configuration.store, setting != machine { return setting }
    if let root = stagedRoot, root != "/" {
      return machine.origin == .builtIn
        ? Setting(root + CommonOptions.machineStore, .builtIn) : machine
    }
    if isRoot || canRead(machine.value) { return machine }
    if let data = environment("XDG_DATA_HOME") { return Setting(data + "/imgstore", .builtIn) }
    let home = environment("HOME") ?? CallerIdentity.homeDirectory ?? "."
    return Setting(home + "/.local/share/imgstore", .builtIn)
  }
}

/// Returns the value of an environment variable; nil if it is unset or empty.
func environment(_ name: String) -> String? {
  guard let value = getenv(name) else { return nil }
  let text = String(cString: value)
  return text.isEmpty ? nil : text
}

/// The option --json.
struct JSONFlag: ParsableArguments {
  @Flag(help: "Print one JSON document instead of text (man 5 imgstore-json)")
  var json = false

  /// Ends the display of progress, and prints a document if the command line has --json.
  /// - Returns: Whether the document was printed, and replaces the text.
  func prints(_ document: @autoclosure () throws -> some JSONDocument) throws -> Bool {
    Terminal.finish()
    if json { try printJSON(try document()) }
    return json
  }
}

/// The option --exit-code, for scripts that test for differences.
struct ExitCodeFlag: ParsableArguments {
  @Flag(help: "Exit with code 7 if there are differences") var exitCode = false

  /// Ends the command with its own code for differences.
  /// - Parameter quiet: whether the command printed nothing, so that the code is its only answer.
  /// - Throws: `DifferencesFound` if the code was requested and there are differences.
  func expectEqual(_ diff: ImageDiff, quiet: Bool) throws {
    if exitCode || quiet, !diff.isEmpty { throw DifferencesFound() }
  }
}
