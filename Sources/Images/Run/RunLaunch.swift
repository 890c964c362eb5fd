// Plans how a command of `run` is started: its program, environment and mounts.

import Platform
import Store

/// What `run` starts.
public struct RunPlan: Sendable {
  let command: UserCommand
  /// What the command will miss, one sentence each.
  public let remarks: [String]

  /// The paths that are executed, in this order, until one exists.
  public var programs: [[UInt8]] { command.programs }
  public var arguments: [[UInt8]] { command.arguments }
  /// The variables: NAME=VALUE.
  public var environment: [[UInt8]] { command.environment }
  /// The mounts of the command; none on the management node.
  public var steps: [MountStep] { command.tree?.steps ?? [] }
}

/// Plans the start of a command.
struct RunLaunch {
  private let context: Context
  private let image: ImageName
  private let request: RunRequest

  init(_ context: Context, _ image: ImageName, _ request: RunRequest) {
    (self.context, self.image, self.request) = (context, image, request)
  }

  /// Plans a command in a tree.
  /// - Parameter path: the path of the tree, links followed; nil if the image has none.
  /// - Throws: see `RunTree`, `TreeMounts.plan`, `RunEnvironment`.
  func inTree(_ path: AbsolutePath?) throws -> RunPlan {
    let tree = try RunTree(context, image, path)
    let isShell = request.command.isEmpty
    let words = isShell ? [try tree.shell()] : request.command
    // The history of a shell does not belong into the image.
    let environment = try environment(isShell ? ["HISTFILE="] : [])
    let mounts = try tree.mounts(
      binds: try request.binds.map { try BindArgument($0) }, hasNetwork: request.hasNetwork)
    let command = UserCommand(
      tree: .init(
        path: tree.realPath, identity: tree.identity, steps: mounts.steps,
        hasNetwork: request.hasNetwork),
      programs: environment.candidates(for: try program(words)), arguments: words,
      environment: environment.entries, output: request.output)
    return RunPlan(command: command, remarks: mounts.remarks)
  }

  /// Plans a command of the management node.
  func onHost() throws -> RunPlan {
    let environment = try environment([])
    let command = UserCommand(
      tree: nil, programs: environment.candidates(for: try program(request.command)),
      arguments: request.command, environment: environment.entries, output: request.output)
    return RunPlan(command: command, remarks: [])
  }

  private func environment(_ usual: [String]) throws -> RunEnvironment {
    try RunEnvironment(
      request.location, image: image.text, additional: usual + request.variables,
      caller: context.options.environment)
  }

  private func program(_ words: [[UInt8]]) throws -> [UInt8] {
    guard let program = words.first, !program.isEmpty else {
      throw ImageError(.usage, "the command", "is empty", hint: "Write it after '--'")
    }
    return program
  }
}
