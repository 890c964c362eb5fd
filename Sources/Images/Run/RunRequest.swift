// The parameters and the outcome of `imgstore run`.

import Platform
import Store

/// The parameters of `run`.
public struct RunRequest: Sendable {
  /// The location where the command runs.
  public enum Location: Sendable {
    /// In the root tree of the image, which is the command's root directory.
    case tree
    /// On the management node.
    case host
  }

  /// The name of the image, or the path of its directory.
  public var image: String
  /// The program and its arguments. Empty for an interactive shell of the tree.
  public var command: [[UInt8]]
  public var location = Location.tree
  /// Whether the command in the tree has the network of this machine.
  public var hasNetwork = true
  /// Additional files and directories of this machine: SRC, SRC:DST or SRC:DST:ro.
  public var binds: [String] = []
  /// Additional variables: NAME=VALUE, or NAME for that of the caller.
  public var variables: [String] = []
  /// Whether the image is reverted to the state before if the command fails.
  public var rollsBack = false
  /// The message of the snapshot; empty for the command line and its exit status.
  public var message = ""
  /// The descriptor that becomes the command's standard output.
  public var output: Int32 = 1
  /// Called before the command gets the terminal.
  public var willStart: @Sendable () -> Void = {}

  /// Creates the parameters of a command in the tree of an image.
  public init(_ image: String, _ command: [[UInt8]]) {
    (self.image, self.command) = (image, command)
  }
}

/// The outcome of `run`.
public struct RunOutcome: Sendable {
  public let image: String
  /// The command as text that a shell would read in the same way.
  public let command: String
  public let end: CommandEnd
  /// The snapshot of the state before; nil if the image had no files then.
  public let before: CommittedSnapshot?
  /// The snapshot of the state after the command; nil if the command changed nothing.
  public let recorded: CommittedSnapshot?
  /// The differences that the command made; nil if it changed nothing, or if there was no state before.
  public let comparison: Comparison?
  public let packages: [PackageDiff]
  /// The revert to the state before; nil if none was needed or requested.
  public let rollback: RevertOutcome?
  public let seconds: Double

  /// Whether the command failed.
  public var hasFailed: Bool { end.status != .exited(0) }
}

/// The error of a program that cannot be executed.
public struct CommandNotExecuted: ExplainedError {
  /// The program, as the user wrote it.
  public let program: [UInt8]
  let code: SystemError.Code
  let location: RunRequest.Location

  /// Whether there is no such program, as opposed to one that cannot be executed.
  public var isAbsent: Bool { code == .notFound || code == .notDirectory }
  public var subject: String { "program \(shellQuoted(printable(program)))" }
  public var reason: String {
    switch (isAbsent, location) {
    case (true, .tree): "does not exist in the tree, or its interpreter or loader does not"
    case (true, .host): "does not exist"
    case (false, _): "cannot be executed: \(code)"
    }
  }
  public var hint: String {
    switch location {
    case .tree: "PATH in the tree is \(RunEnvironment.path); '--env PATH=…' sets another one"
    case .host: ""
    }
  }
  public var errorCode: ErrorCode { isAbsent ? .notFound : .accessDenied }
}

extension CommandStatus {
  /// "exit 1", "signal 9".
  public var text: String {
    switch self {
    case .exited(let code): "exit \(code)"
    case .signalled(let signal): "signal \(signal)"
    }
  }
}
