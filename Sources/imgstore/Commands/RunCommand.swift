// imgstore run.

import ArgumentParser
import Images

struct RunCommand: ParsableCommand, CommandStarter {
  static let configuration = CommandConfiguration(
    commandName: "run", abstract: "Run a command in an image's tree, between two snapshots",
    discussion: """
      The command has the root tree as its root directory, with /proc, /sys and /dev, empty /run and \
      /tmp, and this machine's network and resolver. Its mounts are in namespaces of its own: \
      nothing of them is left behind or recorded, however the command ends. Processes that it leaves \
      running are ended. Other imgstore commands that change the image wait meanwhile.

      The state before is recorded if it changed since the last snapshot. The state after is \
      recorded with the command line and its exit status as the message, and the changed packages \
      are printed on standard error. 'imgstore undo IMAGE' restores the state before.

      With --host, the command runs on this machine, as genimage does.

      Exit codes: that of the command; 128 + N if signal N ended it; 125 if imgstore failed; 126 if \
      the program cannot be executed; 127 if it does not exist.

      Usual commands:
        imgstore run compute -- dnf -y update
        imgstore run compute --rollback-on-failure -- apt-get -y install slurmd
        imgstore run compute --shell
        imgstore run compute --bind /srv/repo:/run/repo:ro -- rpm -U /run/repo/a.rpm
        imgstore run compute --host -- genimage compute
      """)

  @Argument(help: "Name of the image; optional if there is only one") var name: String?
  @Argument(
    parsing: .postTerminator,
    help: ArgumentHelp("Program and arguments, after '--'", valueName: "command"))
  var command: [String] = []
  @Flag(help: "Start an interactive shell of the tree: yours, or /bin/sh") var shell = false
  @Flag(help: "Run the command on this machine instead of in the tree") var host = false
  @Flag(help: "If the command fails, revert the image to the state before")
  var rollbackOnFailure = false
  @Flag(help: "Give the command no network") var noNetwork = false
  @Option(
    help: ArgumentHelp(
      "Show SRC of this machine as DST, which must exist in the tree or be below /run; repeatable",
      valueName: "src[:dst[:ro]]"))
  var bind: [String] = []
  @Option(
    help: ArgumentHelp(
      "Set a variable, or pass yours; in the tree, only TERM is passed; repeatable",
      valueName: "name[=value]"))
  var env: [String] = []
  @Option(name: .shortAndLong, help: "Message of the snapshot (default: the command line)")
  var message = ""
  @Flag(
    help: "Print one JSON document; the command prints to standard error (man 5 imgstore-json)")
  var json = false
  @OptionGroup var common: CommonOptions

  func validate() throws {
    if shell == !command.isEmpty {
      throw ValidationError(
        shell
          ? "Give --shell or a command, not both."
          : "Write the command after '--': imgstore run IMAGE -- COMMAND, or give --shell.")
    }
    if host, shell || noNetwork || !bind.isEmpty {
      throw ValidationError("--host excludes --shell, --no-network and --bind.")
    }
  }

  func run() throws {
    // The parser's words are text; arguments are bytes.
    var request = RunRequest(name ?? "", programArgumentBytes().suffix(command.count))
    request.location = host ? .host : .tree
    request.hasNetwork = !noNetwork
    (request.binds, request.variables, request.message) = (bind, env, message)
    request.rollsBack = rollbackOnFailure
    request.output = json ? 2 : 1
    request.willStart = { Terminal.clear() }
    let workspace = try common.open()
    let outcome: RunOutcome
    do {
      outcome = try workspace.run(request)
    } catch let error as CommandNotExecuted {
      throw FailedStart(error, status: error.isAbsent ? 127 : 126)
    }
    Terminal.finish()
    if json {
      try printJSON(RunJSON(outcome))
    } else if !common.quiet {
      RunText(outcome).printAll()
    }
    try outcome.rollback?.expectNoProblems()
    if outcome.hasFailed { throw CommandEnded(status: outcome.end.status.code) }
  }
}

/// A command that starts another one and passes on its exit status. Its own failures have a status that few
/// programs use, as with chroot(1), env(1) and container engines.
protocol CommandStarter {}

extension CommandStarter {
  /// The exit status of a failure of imgstore itself.
  static var failureStatus: Int32 { 125 }
}

/// Ends imgstore with the exit status of a command that it started.
struct CommandEnded: Error {
  let status: Int32
}

/// The error of a command that did not start, with the exit status for it.
struct FailedStart: ExplainedError {
  private let error: any ExplainedError
  let status: Int32

  init(_ error: any ExplainedError, status: Int32) {
    (self.error, self.status) = (error, status)
  }

  var subject: String { error.subject }
  var reason: String { error.reason }
  var hint: String { error.hint }
  var form: ReasonForm { error.form }
  var errorCode: ErrorCode { error.errorCode }
}
