// Runs programs that each read the output of the previous one, as `a | b | c > file` in a shell, but
// without a shell: arguments are passed unchanged.

import CLinux

/// A pipeline of programs.
public struct Pipeline: Sendable {
  /// One program with its arguments.
  public struct Stage: Sendable {
    /// The program's path; PATH is not searched.
    public let program: [UInt8]
    public let arguments: [String]
    /// Creates a stage.
    public init(_ program: [UInt8], _ arguments: [String]) {
      self.program = program
      self.arguments = arguments
    }
  }

  private let stages: [Stage]

  /// Creates a pipeline of at least one stage.
  public init(_ stages: [Stage]) {
    precondition(!stages.isEmpty)
    self.stages = stages
  }

  /// Runs the pipeline to its end, discarding standard error.
  /// - Parameters:
  ///   - directory: the working directory of the programs.
  ///   - output: the standard output of the last one.
  /// - Returns: the exit status of each; 128 + the number of the signal that ended it.
  /// - Throws: `SystemError` if one cannot be started; the others are then killed.
  public func run(
    in directory: Descriptor, output: Descriptor, environment: [String: String]
  ) throws(SystemError) -> [Int32] {
    var processes: [Int32] = []
    var input: Int32 = -1
    for (i, stage) in stages.enumerated() {
      var ends: [Int32] = [-1, output.raw]
      if i < stages.count - 1 {
        let r = clinux_pipe(&ends)
        guard r == 0 else { throw fail(r, stage, processes, input) }
      }
      let process = Pipeline.start(stage, directory.raw, input, ends[1], environment)
      if input >= 0 { _ = clinux_close(input) }
      if i < stages.count - 1 { _ = clinux_close(ends[1]) }
      input = ends[0]
      guard process > 0 else { throw fail(process, stage, processes, input) }
      processes.append(process)
    }
    return processes.map { clinux_wait($0) }
  }

  private func fail(
    _ code: Int32, _ stage: Stage, _ processes: [Int32], _ input: Int32
  ) -> SystemError {
    if input >= 0 { _ = clinux_close(input) }
    for process in processes {
      clinux_kill(process)
      _ = clinux_wait(process)
    }
    return SystemError(code: .init(rawValue: -code), "run", stage.program)
  }

  private static func start(
    _ stage: Stage, _ directory: Int32, _ input: Int32, _ output: Int32,
    _ environment: [String: String]
  ) -> Int32 {
    let variables = ChildProcess.environment(for: .tool, of: environment).map {
      Array("\($0.key)=\($0.value)".utf8)
    }
    let arguments = [stage.program] + stage.arguments.map { Array($0.utf8) }
    return ChildProcess.withCStrings(arguments) { argv in
      ChildProcess.withCStrings(variables) { envp in
        clinux_spawn_stage(argv[0], argv, envp, directory, input, output)
      }
    }
  }
}

/// Searches PATH for a program.
/// - Returns: nil if PATH does not contain it.
public func findProgram(
  _ name: String, _ environment: [String: String], _ fileSystem: any FileSystem
) -> [UInt8]? {
  for directory in (environment["PATH"] ?? "").split(separator: ":")
  where directory.utf8.first == UInt8(ascii: "/") {
    let path = Array("\(directory)/\(name)".utf8)
    if let stat = try? fileSystem.statIfPresent(
      at: fileSystem.workingDirectory, path, followLink: true), stat.kind == .file,
      stat.mode & 0o111 != 0
    {
      return path
    }
  }
  return nil
}
