// imgstore hooks: the group of commands for hooks, and the hidden command that the hooks call.

import ArgumentParser
import Glibc
import Images

struct HooksCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "hooks",
    abstract: "Snapshot images around genimage, packimage, dnf and apt",
    discussion: """
      A hook takes a snapshot before and after each operation on the tree of an image, and none for \
      operations on this machine. 'genimage' and 'packimage' are wrappers in a directory that a file in \
      /etc/profile.d puts first in PATH; log in again to use them. 'dnf' is a plugin for \
      'dnf --installroot TREE'. 'apt' is configuration for apt with -o Dir=TREE and dpkg's --root. \
      With -o RootDir=TREE, apt starts hooks inside the tree, where imgstore is not. The hook says so, or \
      refuses with --policy refuse: use 'imgstore run IMAGE --host' for these.
      """,
    subcommands: [HooksEnableCommand.self, HooksDisableCommand.self, HooksListCommand.self])
}

struct HooksEnableCommand: ParsableCommand, ReportingCommand {
  static let configuration = CommandConfiguration(
    commandName: "enable", abstract: "Write the files of hooks",
    discussion: """
      Usual commands:
        imgstore hooks enable genimage packimage dnf
        imgstore hooks enable dnf --policy refuse
      """)

  @Argument(help: "Names of hooks") var names: [HookKind]
  @Option(help: "Whether an operation without its snapshot goes on (warn) or fails (refuse)")
  var policy = HookPolicy.warn
  @OptionGroup var json: JSONFlag
  @OptionGroup var common: CommonOptions

  func run() throws {
    let workspace = try common.open()
    try workspace.enableHooks(names, program: try ownPath(), policy: policy)
    Terminal.finish()
    if json.json { return try printJSON(HooksJSON(try workspace.hooks())) }
    for state in try workspace.hooks() where names.contains(state.kind) {
      print(
        "\(state.kind.rawValue): on (\(policy.rawValue)), \(state.files.joined(separator: ", "))")
    }
  }

  /// Returns the path of this program, which hooks name.
  private func ownPath() throws -> String {
    guard let path = realpath("/proc/self/exe", nil) else {
      throw SystemError(code: .init(rawValue: errno), "find", Array("/proc/self/exe".utf8))
    }
    defer { free(path) }
    return String(cString: path)
  }
}

struct HooksDisableCommand: ParsableCommand, ReportingCommand {
  static let configuration = CommandConfiguration(
    commandName: "disable", abstract: "Remove the files of hooks")

  @Argument(help: "Names of hooks") var names: [HookKind]
  @OptionGroup var json: JSONFlag
  @OptionGroup var common: CommonOptions

  func run() throws {
    let workspace = try common.open()
    try workspace.disableHooks(names)
    Terminal.finish()
    if json.json { return try printJSON(HooksJSON(try workspace.hooks())) }
    for name in names { print("\(name.rawValue): off") }
  }
}

struct HooksListCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "list", abstract: "List the hooks and their files")

  @OptionGroup var json: JSONFlag
  @OptionGroup var common: CommonOptions

  func run() throws {
    let states = try common.open().hooks()
    Terminal.finish()
    if json.json { return try printJSON(HooksJSON(states)) }
    print(
      table(
        states.map { state in
          [
            state.kind.rawValue, state.isEnabled ? "on" : "off", state.policy?.rawValue ?? "",
            state.files.joined(separator: ", "),
          ]
        }))
  }
}

extension HookKind: ExpressibleByArgument {}
extension HookPolicy: ExpressibleByArgument {}
extension HookPhase: ExpressibleByArgument {}

/// The command that enabled hooks call. Its arguments belong to the hooks' files.
struct HookCommand: ParsableCommand, CommandStarter {
  static let configuration = CommandConfiguration(
    commandName: "hook", abstract: "Take the snapshot of a hook", shouldDisplay: false)

  @Argument var kind: HookKind
  @Argument var phase: String
  @Option var policy = HookPolicy.warn
  @Option var rootTree: String?
  @Option var process: Int?
  @Argument(parsing: .postTerminator) var operation: [String] = []
  @OptionGroup var common: CommonOptions

  func run() throws {
    let words = Array(programArgumentBytes().suffix(operation.count))
    if phase == "run" { return try runWrapped(words) }
    guard let phase = HookPhase(rawValue: phase) else {
      throw ValidationError("The phase is 'before' or 'after'.")
    }
    do {
      let workspace = try common.open()
      let tree = try rootTree ?? process.flatMap { try workspace.treeOfApt(process: $0) }
      guard let tree else { return Terminal.finish() }
      let text = operation.isEmpty ? [Array(kind.rawValue.utf8)] : words
      let taken = try workspace.takeHookSnapshot(phase, tree: tree, operation: text)
      Terminal.finish()
      if let taken { Terminal.remark("\(phase.rawValue): \(taken.name)") }
    } catch let error as any ExplainedError where policy == .warn {
      Terminal.finish()
      Terminal.warning("no snapshot \(phase.rawValue) \(kind.rawValue): \(error.messageWithHint)")
    }
  }

  /// Runs a program of xCAT between two snapshots.
  private func runWrapped(_ words: [[UInt8]]) throws {
    let end = try common.open().runHooked(words, policy: policy)
    Terminal.finish()
    if end.status != .exited(0) { throw CommandEnded(status: end.status.code) }
  }
}
