// Runs a command of the user with the terminal: in a directory tree, in namespaces of its own, or on this machine.
//
// 1. The command has our standard streams, our session and our process group, so that Ctrl-C and Ctrl-Z reach it
//    as if the shell had started it. Signals that other processes send to us are passed on.
// 2. In a tree, the command's mounts are in a mount namespace of its own. They end with its last process, however
//    that ends. So no mount can be left behind, not even by SIGKILL or a power failure.
// 3. The first process of the PID namespace dies with us, and all processes of the namespace die with it. Processes
//    that the command leaves running are ended after it.
// 4. `start` and the wait are on one thread: the kernel ends the command with the thread that started it.

import CLinux
import Glibc

/// How a command ended.
public enum CommandStatus: Sendable, Equatable {
  case exited(Int32)
  case signalled(Int32)

  /// The exit status as shells see it: 128 + the number of a signal.
  public var code: Int32 {
    switch self {
    case .exited(let code): code
    case .signalled(let signal): 128 + signal
    }
  }
}

/// A command that ended.
public struct CommandEnd: Sendable, Equatable {
  public let status: CommandStatus
  /// The number of processes that the command left running. They were ended.
  public let leftovers: Int
}

/// The reason why a command did not start, or why its end is unknown.
public enum CommandFailure: Error, Sendable, Equatable {
  /// The kernel refuses the namespaces.
  case namespaces(SystemError.Code)
  /// The tree cannot be entered; `ESTALE` if another directory is at its path now.
  case tree(SystemError.Code)
  /// A step of the plan of mounts failed.
  case step(MountStep, SystemError.Code)
  /// No process can be started.
  case process(SystemError.Code)
  /// The program cannot be executed.
  case execution(SystemError.Code)
  /// The first process of the namespaces was killed.
  case lost
}

/// A command to run.
public struct UserCommand: Sendable {
  /// The tree that is the root of the command.
  public struct Tree: Sendable {
    /// The real path on this machine.
    public let path: [UInt8]
    public let identity: FileIdentity
    public let steps: [MountStep]
    public let hasNetwork: Bool

    /// Creates a tree with its plan of mounts.
    public init(path: [UInt8], identity: FileIdentity, steps: [MountStep], hasNetwork: Bool) {
      (self.path, self.identity, self.steps, self.hasNetwork) = (path, identity, steps, hasNetwork)
    }
  }

  /// Nil to run the command on this machine.
  public let tree: Tree?
  /// The paths to execute, in this order.
  public let programs: [[UInt8]]
  /// The arguments, with the program's own name.
  public let arguments: [[UInt8]]
  /// The variables: "NAME=VALUE".
  public let environment: [[UInt8]]
  /// The descriptor that becomes the command's standard output.
  public let output: Int32

  /// Creates a command.
  public init(
    tree: Tree?, programs: [[UInt8]], arguments: [[UInt8]], environment: [[UInt8]],
    output: Int32 = 1
  ) {
    (self.tree, self.programs, self.arguments) = (tree, programs, arguments)
    (self.environment, self.output) = (environment, output)
  }

  /// Runs the command and waits for it and for all processes that it left behind.
  /// - Parameter willBegin: receives the number of the command's process before the program starts.
  public func run(willBegin: (Int) -> Void = { _ in }) throws(CommandFailure) -> CommandEnd {
    let texts =
      programs + arguments + environment + [tree?.path ?? []]
      + (tree?.steps.map(\.path.bytes) ?? [])
    guard !texts.contains(where: { $0.contains(0) }) else { throw .process(.invalid) }
    let foreground = clinux_foreground(0)
    let (start, report, begin) = spawn()
    guard start > 0 else {
      let code = SystemError.Code(rawValue: -start)
      throw tree == nil ? .process(code) : .namespaces(code)
    }
    willBegin(Int(start))
    var result = clinux_run_result()
    let r = Interruption.passingSignals { signal, isFromKernel in
      if !isFromKernel { clinux_run_signal(start, signal) }
    } _: {
      clinux_run_begin(begin)
      return clinux_run_wait(start, report, &result)
    }
    // An interactive shell made its own process group the foreground one.
    if foreground > 0 { clinux_set_foreground(0, foreground) }
    guard r == 0 else { throw .process(.init(rawValue: -r)) }
    return try end(result)
  }

  /// Starts the process.
  /// - Returns: its number or a negative errno, the descriptor of its report, and the one that lets it begin.
  private func spawn() -> (process: Int32, report: Int32, begin: Int32) {
    var report: Int32 = -1
    var begin: Int32 = -1
    let steps = tree?.steps ?? []
    let process = ChildProcess.withCStrings(programs) { programs in
      ChildProcess.withCStrings(arguments) { argv in
        ChildProcess.withCStrings(environment) { envp in
          ChildProcess.withCStrings(steps.flatMap(\.texts) + [tree?.path ?? []]) { texts in
            programs.withUnsafeBufferPointer { programs in
              argv.withUnsafeBufferPointer { argv in
                envp.withUnsafeBufferPointer { envp in
                  let records = steps.enumerated().map { i, step in step.record(texts, at: 3 * i) }
                  return records.withUnsafeBufferPointer { records in
                    var run = clinux_run()
                    run.tree = tree == nil ? nil : UnsafePointer(texts[3 * steps.count])
                    run.tree_dev = tree?.identity.device ?? 0
                    run.tree_ino = tree?.identity.inode ?? 0
                    run.steps = records.baseAddress
                    run.step_count = Int32(records.count)
                    run.has_network = tree?.hasNetwork == false ? 0 : 1
                    run.programs = programs.baseAddress
                    run.arguments = argv.baseAddress
                    run.environment = envp.baseAddress
                    run.output = output
                    return clinux_run_start(&run, &report, &begin)
                  }
                }
              }
            }
          }
        }
      }
    }
    return (process, report, begin)
  }

  private func end(_ result: clinux_run_result) throws(CommandFailure) -> CommandEnd {
    let code = SystemError.Code(rawValue: result.error)
    switch Int(result.stage) {
    case Int(CLINUX_RUN_DONE): break
    case Int(CLINUX_RUN_NAMESPACE): throw .namespaces(code)
    case Int(CLINUX_RUN_TREE), Int(CLINUX_RUN_ROOT): throw .tree(code)
    case Int(CLINUX_RUN_STEP):
      guard let steps = tree?.steps, steps.indices.contains(Int(result.step)) else { throw .lost }
      throw .step(steps[Int(result.step)], code)
    case Int(CLINUX_RUN_PROCESS): throw .process(code)
    case Int(CLINUX_RUN_EXEC): throw .execution(code)
    default:
      // Without a tree, the command itself is the process that was waited for, and reports nothing.
      if tree != nil { throw .lost }
    }
    let status = result.status
    return CommandEnd(
      status: status & 0x7f == 0 ? .exited(status >> 8 & 0xff) : .signalled(status & 0x7f),
      leftovers: Int(result.leftovers))
  }
}

extension MountStep {
  /// The three C strings of the step: path, source and options.
  fileprivate var texts: [[UInt8]] {
    switch self {
    case .mount(let type, let path, _, let options):
      [path.bytes, Array(type.utf8), Array(options.utf8)]
    case .bind(let source, _, let path, _): [path.bytes, source, []]
    case .cover(let source, let path): [path.bytes, source.bytes, []]
    case .link(let path, let target): [path.bytes, Array(target.utf8), []]
    // The content of a file may have any bytes: its size is passed, too.
    case .file(let path, let content, _): [path.bytes, content, []]
    case .readOnly(let path), .directory(let path, _), .device(let path, _, _, _):
      [path.bytes, [], []]
    }
  }

  fileprivate func record(
    _ texts: [UnsafeMutablePointer<CChar>?], at index: Int
  ) -> clinux_step {
    var record = clinux_step()
    record.path = UnsafePointer(texts[index])
    record.source = UnsafePointer(texts[index + 1])
    record.options = UnsafePointer(texts[index + 2])
    switch self {
    case .mount(_, _, let flags, _):
      (record.kind, record.flags) = (Int32(CLINUX_STEP_MOUNT), flags.rawValue)
    case .bind(_, let identity, _, let flags):
      (record.kind, record.flags) = (Int32(CLINUX_STEP_BIND), flags.rawValue)
      (record.dev, record.ino) = (identity.device, identity.inode)
    case .cover: record.kind = Int32(CLINUX_STEP_BIND)
    case .readOnly: record.kind = Int32(CLINUX_STEP_READ_ONLY)
    case .directory(_, let mode):
      (record.kind, record.mode) = (Int32(CLINUX_STEP_DIRECTORY), UInt32(mode))
    case .device(_, let major, let minor, let mode):
      (record.kind, record.mode) = (Int32(CLINUX_STEP_DEVICE), UInt32(mode))
      (record.major, record.minor) = (major, minor)
    case .link: record.kind = Int32(CLINUX_STEP_LINK)
    case .file(_, let content, let mode):
      (record.kind, record.mode) = (Int32(CLINUX_STEP_FILE), UInt32(mode))
      (record.content, record.content_n) = (UnsafeRawPointer(texts[index + 1]), content.count)
    }
    return record
  }
}
