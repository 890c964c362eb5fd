// Executes the plans of a change: it builds staged trees, changes files in place, and exchanges trees.
//
//     staged trees ─sync─▶ files and trees in place ─sync─▶ exchanges ─▶ (rows) ─▶ old trees removed
//
// If neither exchanges nor rows follow, verification runs during the last sync. The change is recorded, and
// the stat cache updated, only after the sync has ended.
//
// 1. A swapped tree is complete and on disk before its path shows it. The old one is removed afterwards, and
//    a crash in between leaves both trees whole.
//    A signal before the first step in place leaves everything unchanged.
// 2. A tree is changed in place if it cannot be staged or exchanged, or if somebody changed it meanwhile. The
//    report says so.

import Apply
import Ingest
import Platform
import Store

/// The report of an execution, and the old trees that remain to be removed.
struct ExecutionResult {
  var report = ApplyReport()
  var oldTrees: [ResolvedPath] = []
  /// The exchange with a standby tree. Its old tree is kept.
  var standby: StandbyExchange?
}

/// The trees that were built next to the live ones, and the plans to execute in place.
struct StagedTrees {
  fileprivate struct Tree {
    let component: ComponentPlan
    let location: ResolvedPath
    /// The new tree; the old one after the exchange.
    let other: ResolvedPath
    /// Whether the new tree is only for this change.
    var isTemporary: Bool { component.desired != nil && component.standby == nil }
  }

  fileprivate var trees: [Tree] = []
  fileprivate var inPlace: [ComponentPlan] = []
  fileprivate var report = ApplyReport()
}

/// Executes the plans of a change.
struct PlanExecutor {
  let context: Context
  /// A part of every temporary name.
  private let token: String
  /// Blobs that are already on disk and need only a name.
  private let staged: StagedBlobs?

  init(_ context: Context, _ token: String, _ staged: StagedBlobs? = nil) {
    self.context = context
    self.token = token
    self.staged = staged
  }

  /// Builds the trees that will be exchanged, and makes them durable.
  /// - Parameter resolve: returns the location of a component on this machine, and creates missing
  ///   directories.
  /// - Throws: `CancelledChangeError` after a signal. The trees are gone then.
  func stage(
    _ plans: [ComponentPlan], resolve: (AbsolutePath) throws -> ResolvedPath
  ) throws -> StagedTrees {
    context.progress.begin(
      "applying",
      totalBytes: plans.reduce(0) { $0 &+ ($1.staging ?? $1.plan).writtenBytes })
    var result = StagedTrees()
    do {
      for (i, component) in plans.enumerated() where !component.isEmpty {
        if let standby = component.standby {
          result.trees.append(
            StagedTrees.Tree(
              component: component, location: try resolve(component.path),
              other: standby.tree.location))
          continue
        }
        guard let staging = component.staging else {
          result.inPlace.append(component)
          continue
        }
        let location = try resolve(component.path)
        let tree = StagedTrees.Tree(
          component: component, location: location,
          other: ResolvedPath(
            directory: location.directory, name: StrategyChooser(context).stagingName(token, i)))
        let (report, isBuilt) = try build(tree, staging)
        result.report += report
        if isBuilt { result.trees.append(tree) } else { result.inPlace.append(component) }
      }
      try Interruption.check()
    } catch let stop as InterruptedError {
      for tree in result.trees where tree.isTemporary { try remove(tree.other) }
      throw CancelledChangeError(cause: stop)
    }
    return result
  }

  /// Changes files and trees in place, then exchanges the staged trees with the live ones.
  /// - Parameter syncs: the syncs that the exchanges wait for. Changes in place are not synced on return.
  func apply(
    _ stage: StagedTrees, _ syncs: BackgroundSync, resolve: (AbsolutePath) throws -> ResolvedPath
  ) throws -> ExecutionResult {
    var result = ExecutionResult(report: stage.report)
    for component in stage.inPlace {
      let location: ResolvedPath
      do {
        location = try resolve(component.path)
      } catch let error as SystemError where error.code == .loop || error.code == .notDirectory {
        // As with an entry of a tree, a path that cannot be resolved does not stop the others.
        result.report.problems.append(
          ApplyProblem(path: component.path.bytes, what: error.reason))
        continue
      }
      result.report += try change(component, at: location)
    }
    if !stage.trees.isEmpty {
      try sync(stage.inPlace.map(\.path), syncs)
      try waitForSyncs(syncs)
    }
    for tree in stage.trees {
      guard let obstacle = try exchange(tree) else {
        result.report.removed += tree.component.plan.removals.count
        result.standby = tree.component.standby ?? result.standby
        if tree.component.standby == nil { result.oldTrees.append(tree.other) }
        continue
      }
      result.report.fallbacks.append(ApplyProblem(path: tree.component.path.bytes, what: obstacle))
      if tree.isTemporary { try remove(tree.other) }
      var component = tree.component
      if let standby = component.standby { component.plan = try standby.planInPlace() }
      result.report += try change(component, at: tree.location)
    }
    return result
  }

  /// Starts a sync of the file systems of these paths, and of those mounted on them.
  func sync(_ paths: [AbsolutePath], _ syncs: BackgroundSync) throws {
    var found: [UInt64: Descriptor] = [:]
    for path in paths {
      do throws(SystemError) {
        let location = try LivePaths(context).locate(path)
        found[try context.fileSystem.stat(location.directory.raw).device] = location.directory
        // An entry that cannot be examined was left alone.
        guard
          let top = try? context.fileSystem.statIfPresent(
            at: location.directory.raw, location.name),
          top.kind == .directory, found[top.device] == nil
        else { continue }
        found[top.device] = try context.fileSystem.openDirectory(
          at: location.directory.raw, location.name)
      } catch {
        if !error.isAbsent, error.code != .loop { throw error }
      }
    }
    for file in found.values { syncs.begin(file) }
  }

  /// Waits until all changes are on disk.
  func waitForSyncs(_ syncs: BackgroundSync) throws {
    context.progress.begin("syncing")
    try syncs.wait()
  }

  /// Removes the old trees after an exchange.
  /// - Returns: the files that lost a name and have others.
  func removeOldTrees(_ result: ExecutionResult) throws -> UnlinkedFiles {
    context.progress.begin("removing the old tree")
    let unlinked = Monitor(UnlinkedFiles())
    for tree in result.oldTrees { try remove(tree, unlinked) }
    return unlinked.withLock { $0 }
  }

  private func remove(
    _ tree: ResolvedPath, _ unlinked: Monitor<UnlinkedFiles>? = nil
  ) throws {
    try StoreProtection(context).treeRemover(unlinked: unlinked).remove(
      at: tree.directory.raw, tree.name)
  }

  // MARK: Staged trees

  /// Builds a tree next to the live one and makes it durable.
  /// - Returns: false if it could not be built, or differs from the snapshot. It has then been removed, and
  ///   the report gives the reason.
  private func build(
    _ tree: StagedTrees.Tree, _ plan: Plan
  ) throws -> (report: ApplyReport, isBuilt: Bool) {
    guard tree.component.desired != nil else { return (ApplyReport(), true) }
    let (directory, path) = (tree.location.directory, tree.component.path)
    let cloneSource = try tree.component.cloneSource.map { try LivePaths(context).locate($0.path) }
    let target = ExecutionTarget(
      tree.other, component: path.bytes,
      cloneSource: cloneSource ?? tree.location)
    var reason: String
    do {
      let report = try executor(target, .assumeEmpty).run(plan)
      guard let problem = report.problems.first else {
        context.progress.begin("syncing")
        try context.fileSystem.syncFileSystem(of: directory.raw)
        return (report, true)
      }
      reason = problem.what
    } catch let error as SystemError where error.isOutOfSpace || error.code == .accessDenied {
      reason = "\(error.code)"
    } catch let stop as InterruptedError {
      try remove(tree.other)
      throw stop
    }
    try remove(tree.other)
    var report = ApplyReport()
    report.fallbacks.append(
      ApplyProblem(path: path.bytes, what: "it cannot be built next to the live one: \(reason)"))
    return (report, false)
  }

  /// Exchanges the old tree and the new one. Either may not exist.
  /// - Returns: nil on success; otherwise the reason to change the tree in place. The old tree is then back
  ///   at its path.
  private func exchange(_ tree: StagedTrees.Tree) throws -> String? {
    let (directory, name) = (tree.location.directory.raw, tree.location.name)
    let (otherDirectory, other) = (tree.other.directory.raw, tree.other.name)
    if let mount = try TreeBusyCheck.mounts(
      in: LivePaths(context).kernelPath(tree.location), context.fileSystem
    ).first {
      return "something was mounted on \(printable(mount.point)) meanwhile"
    }
    do throws(SystemError) {
      if tree.component.desired == nil {
        try context.fileSystem.rename(
          at: directory, name, to: otherDirectory, other, exclusively: true)
      } else if tree.component.current == nil {
        try context.fileSystem.rename(
          at: otherDirectory, other, to: directory, name, exclusively: true)
      } else {
        try context.fileSystem.exchange(at: otherDirectory, other, with: directory, name)
      }
    } catch {
      let unable: [SystemError.Code] = [
        .invalid, .notSupported, .notImplemented, .crossDevice, .busy,
      ]
      guard unable.contains(error.code) else { throw error }
      return "this file system cannot exchange directories"
    }
    try restoreTimes(ofNew: tree.location, ofOld: tree.other, tree)
    if tree.component.current != nil, let observed = tree.component.observed,
      let path = try SwappedTreeCheck(context.fileSystem, observed.directory).firstDifference(
        at: tree.other.directory, other)
    {
      if tree.component.desired == nil {
        try context.fileSystem.rename(
          at: otherDirectory, other, to: directory, name, exclusively: true)
      } else {
        try context.fileSystem.exchange(at: otherDirectory, other, with: directory, name)
      }
      try restoreTimes(ofNew: tree.other, ofOld: tree.location, tree)
      return "\(tree.component.path.appending(path).text)"
        + " changed while the new tree was built"
    }
    try context.fileSystem.sync(directory)
    return nil
  }

  /// Restores the times of a tree and its standby tree after an exchange. A file system may count the new
  /// parent directory of each as a change of its content (XFS).
  private func restoreTimes(
    ofNew new: ResolvedPath, ofOld old: ResolvedPath, _ tree: StagedTrees.Tree
  ) throws {
    guard let standby = tree.component.standby else { return }
    let path = tree.component.path.bytes
    for (capture, location) in [(standby.new, new), (standby.old, old)] {
      guard let time = capture.component(at: path)?.stat.modified else { continue }
      try context.fileSystem.setModified(at: location.directory.raw, location.name, time)
    }
  }

  // MARK: In place

  private func change(
    _ component: ComponentPlan, at location: ResolvedPath
  ) throws -> ApplyReport {
    try executor(
      ExecutionTarget(location, component: component.path.bytes), .failIfChanged, staged
    ).run(component.plan)
  }

  private func executor(
    _ target: ExecutionTarget, _ conflictPolicy: ConflictPolicy, _ staged: StagedBlobs? = nil
  ) throws -> Executor {
    Executor(
      context.fileSystem, try context.store(), target,
      ExecutionOptions(conflictPolicy, token: token, staged: staged?.take),
      progress: context.progress)
  }
}
