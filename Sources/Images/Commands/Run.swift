// imgstore run: runs a command in the root tree of an image, or on the management node, between two snapshots.
//
// 1. The state before is in the store before the command starts.
// 2. In the tree: the command holds the locks of the image, of its directories and of xCAT from the first snapshot
//    to the last. No other imgstore changes the image meanwhile, and none records the middle of the command.
// 3. On the management node: no lock is held while the command runs. It may be genimage, which takes xCAT's
//    lock, or another imgstore. It outlives an imgstore that is killed; later commands warn then
//    (HostRuns.swift).
// 4. The state after is recorded however the command ended. Only then a failure is rolled back, by a revert.

import Platform
import Store
import XCAT

extension Workspace {
  /// Runs a command in the root tree of an image, or on the management node, between two snapshots.
  /// - Throws: `CommandNotExecuted` if the program cannot be executed; `ImageError`: `imageNotFound`,
  ///   `filesMissing` if the image has no root tree, `accessDenied` without root's rights, `unsupported` for a tree
  ///   or a kernel in which the command cannot run, `usage`, `pathNotFound`; otherwise as `snapshot` and `revert`.
  public func run(_ request: RunRequest) throws -> RunOutcome {
    try ImageRunner(context).run(request)
  }

  /// Returns what `run` would start, without starting it. It takes no snapshot and needs no rights of root.
  /// - Throws: as `run`, for the errors that are found before the command starts.
  public func planRun(_ request: RunRequest) throws -> RunPlan {
    try ImageRunner(context).plan(request)
  }
}

/// Runs commands between two snapshots.
struct ImageRunner: Collaborator {
  let context: Context

  func run(_ request: RunRequest) throws -> RunOutcome {
    let image = try ImageResolver(context).image(named: request.image)
    _ = try ImageCapturer(context).definition(of: image)
    if request.location == .tree, !isRoot {
      throw ImageError(
        .accessDenied, "a command in a tree", "needs root's rights", hint: "Run it with sudo")
    }
    let store = try context.store(create: true)
    let run = ImageRun(context, image: image, store, request)
    switch request.location {
    case .tree: return try run.inTree()
    case .host: return try run.onHost()
    }
  }

  func plan(_ request: RunRequest) throws -> RunPlan {
    let image = try ImageResolver(context).image(named: request.image)
    let definition = try ImageCapturer(context).definition(of: image)
    let launch = RunLaunch(context, image, request)
    switch request.location {
    case .tree: return try launch.inTree(try livePath(of: definition))
    case .host: return try launch.onHost()
    }
  }

  /// Returns the path of an image's live tree, links followed; nil if there is none.
  private func livePath(of definition: ImageDefinition) throws -> AbsolutePath? {
    let path =
      definition.isDirectory
      ? definition.directoryPath
      : ImageFiles.bootDirectory(
        definition, installDirectory: try context.installDirectory(context.tables()))?
        .appending(ImageFiles.rootTreeName)
    return try path.flatMap { try LivePaths(context).realPath($0) }
  }
}

/// Ends the snapshot before the first command that makes files of an image.
struct NoFilesYet: Error {}

/// One run of a command.
private struct ImageRun {
  private let context: Context
  private let image: ImageName
  private let store: ObjectStore
  private let request: RunRequest
  private let start = monotonicSeconds()
  private let text: String

  init(_ context: Context, image: ImageName, _ store: ObjectStore, _ request: RunRequest) {
    (self.context, self.image, self.store, self.request) = (context, image, store, request)
    text = request.command.isEmpty ? "shell" : commandText(request.command)
  }

  /// Runs the command in the tree.
  func inTree() throws -> RunOutcome {
    let lock = try ImageLocks(context).lock(image, store, usesTree: true)
    defer { withExtendedLifetime(lock) {} }
    let definition = try ImageCapturer(context).definition(of: image)
    var directories: DirectoryLocks? = try DirectoryLocker(context).lockDirectories(
      image, definition, for: .changes)
    let before = try commit(definition, SnapshotLabel(.run, "before run: \(text)"))
    let (end, after) = try withExtendedLifetime(directories) {
      let tree = before.snapshot.components.rootTree.flatMap { AbsolutePath($0.path) }
      let end = try execute(try RunLaunch(context, image, request).inTree(tree))
      return (end, try recordAfter(end, before))
    }
    let rollback: RevertOutcome?
    if let failed = mustRollBack(end, after) {
      // The revert takes the locks of the directories itself.
      directories = nil
      rollback = try rollBack(failed, end, to: before)
    } else {
      rollback = nil
    }
    return try outcome(end, before, after, rollback)
  }

  /// Runs the command on the management node.
  func onHost() throws -> RunOutcome {
    let before = try stateBeforeOnHost()
    defer { HostRuns(context).end(image) }
    let end = try execute(try RunLaunch(context, image, request).onHost())
    let lock = try ImageLocks(context).lock(image, store, usesTree: true)
    defer { withExtendedLifetime(lock) {} }
    let after = try withDirectories { _ in try recordAfter(end, before) }
    let rollback =
      try before.flatMap { before in
        try mustRollBack(end, after).map { try rollBack($0, end, to: before) }
      }
    return try outcome(end, before, after, rollback)
  }

  // MARK: Snapshots

  /// Records the state before a command of the management node, which may be the one that makes the first tree.
  /// - Returns: nil if the image has neither files nor snapshots.
  private func stateBeforeOnHost() throws -> CommittedSnapshot? {
    let lock = try ImageLocks(context).lock(image, store, usesTree: true)
    defer { withExtendedLifetime(lock) {} }
    let isFirst = try store.refs.latestReadable(of: image) == nil && !request.rollsBack
    do {
      return try withDirectories { definition in
        try commit(definition, SnapshotLabel(.run, "before run: \(text)")) { snapshot in
          if isFirst, !snapshot.components.contains(where: \.role.isOwned) { throw NoFilesYet() }
        }
      }
    } catch is NoFilesYet {
      context.reporter.inform("image \(image) has no files yet: no snapshot was taken before")
      return nil
    }
  }

  /// Runs `body` with the locks for a capture of the image.
  private func withDirectories<R>(_ body: (ImageDefinition) throws -> R) throws -> R {
    let definition = try ImageCapturer(context).definition(of: image)
    let directories = try DirectoryLocker(context).lockDirectories(image, definition, for: .reads)
    return try withExtendedLifetime(directories) { try body(definition) }
  }

  private func commit(
    _ definition: ImageDefinition, _ label: SnapshotLabel, allowsEmpty: Bool = false,
    checking: ((Snapshot) throws -> Void)? = nil
  ) throws -> CommittedSnapshot {
    let outcome = try SnapshotTaker(context).commitLive(
      image, CaptureScope(definition, recipes: .existing),
      SnapshotRecord(label, allowsEmpty: allowsEmpty, skipIfUnchanged: true), checking: checking)
    if !outcome.committed.snapshot.isComplete {
      context.reporter.warn(
        "\(outcome.committed.name) is incomplete: some entries could not be read")
    }
    return outcome.committed
  }

  /// Records the state after the command.
  /// - Returns: nil if the command changed nothing.
  private func recordAfter(
    _ end: CommandEnd, _ before: CommittedSnapshot?
  ) throws -> CommittedSnapshot? {
    Interruption.announce(
      "interrupted: the command had ended (\(end.status.text)), but no snapshot of its result was "
        + "taken: 'imgstore snapshot \(image)' takes one")
    let message = request.message.isEmpty ? "run: \(text)" : request.message
    let plain = SnapshotLabel(.run, "\(message) (\(end.status.text))")
    let label = before.map { plain.recording(before: $0.id) } ?? plain
    let isFailure = end.status != .exited(0)
    // The state of a failed command is kept before it is rolled back, even if the command removed the tree.
    let after = try commit(
      try ImageCapturer(context).definition(of: image), label,
      allowsEmpty: request.rollsBack && isFailure)
    return after.id == before?.id ? nil : after
  }

  // MARK: The command

  /// Runs a planned command.
  /// - Throws: `CommandNotExecuted`, `ImageError`.
  private func execute(_ plan: RunPlan) throws -> CommandEnd {
    for remark in plan.remarks { context.reporter.warn(remark) }
    request.willStart()
    return try plan.command.run(context, request.location) { process in
      if request.location == .host {
        HostRuns(context).begin(image, command: text, process: process)
      }
    }
  }

  // MARK: The end

  /// Returns the snapshot of a failed command's state if that must be rolled back.
  private func mustRollBack(
    _ end: CommandEnd, _ after: CommittedSnapshot?
  ) -> CommittedSnapshot? {
    request.rollsBack && end.status != .exited(0) ? after : nil
  }

  private func rollBack(
    _ failed: CommittedSnapshot, _ end: CommandEnd, to before: CommittedSnapshot
  ) throws -> RevertOutcome {
    try ImageReverter(context).change(
      ChangeRequest(
        image: image, target: before, request: RevertRequest(before.name),
        label: SnapshotLabel(.revert, "rollback of @\(failed.number) (\(end.status.text))")))
  }

  private func outcome(
    _ end: CommandEnd, _ before: CommittedSnapshot?, _ after: CommittedSnapshot?,
    _ rollback: RevertOutcome?
  ) throws -> RunOutcome {
    var comparison: Comparison?
    var packages: [PackageDiff] = []
    if let before, let after {
      comparison = try ComparisonReader(context).comparison(before.name, after.name)
      do {
        packages = try comparison?.packages() ?? []
      } catch let error as any ExplainedError {
        context.reporter.warn("cannot compare the packages: \(error.message)")
      }
    }
    return RunOutcome(
      image: image.text, command: text, end: end, before: before, recorded: after,
      comparison: comparison, packages: packages, rollback: rollback,
      seconds: monotonicSeconds() - start)
  }
}
