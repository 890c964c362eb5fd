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
}

extension Workspace {
  private struct StagedTree {
    let component: ComponentPlan
    let location: ResolvedPath
    let name: [UInt8]
  }

  /// Runs the plans.
  /// - Parameters:
  ///   - token: a part of every temporary name.
  ///   - staged: blobs that are already on disk and need only a name.
  ///   - syncs: the syncs that exchanges wait for. In-place changes are not synced on return.
  ///   - resolve: returns the location of a component on this machine, and creates missing directories.
  func execute(
    _ plans: [ComponentPlan], token: String, staged: StagedBlobs? = nil, _ syncs: BackgroundSync,
    resolve: (AbsolutePath) throws -> ResolvedPath
  ) throws -> ExecutionResult {
    progress.begin(
      "applying",
      totalBytes: plans.reduce(0) { $0 &+ ($1.staging ?? $1.plan).writtenBytes })
    var result = ExecutionResult()
    var stagedTrees: [StagedTree] = []
    var inPlace: [ComponentPlan] = []
    do {
      for (i, component) in plans.enumerated() where !component.plan.isEmpty {
        guard let staging = component.staging else {
          inPlace.append(component)
          continue
        }
        let tree = StagedTree(
          component: component, location: try resolve(component.path), name: stagingName(token, i))
        let (report, isBuilt) = try build(tree, staging, token)
        result.report += report
        if isBuilt { stagedTrees.append(tree) } else { inPlace.append(component) }
      }
      try Interruption.check()
    } catch let stop as InterruptedError {
      for tree in stagedTrees where tree.component.desired != nil {
        try treeRemover().remove(at: tree.location.directory.raw, tree.name)
      }
      throw CancelledChangeError(cause: stop)
    }
    for component in inPlace {
      let location: ResolvedPath
      do {
        location = try resolve(component.path)
      } catch let error as SystemError where error.code == .loop || error.code == .notDirectory {
        // As with an entry of a tree, a path that cannot be resolved does not stop the others.
        result.report.problems.append(
          ApplyProblem(path: component.path.bytes, what: error.reason))
        continue
      }
      result.report += try change(component, token, staged, at: location)
    }
    if !stagedTrees.isEmpty {
      try sync(inPlace.map(\.path), syncs)
      try waitForSyncs(syncs)
    }
    for tree in stagedTrees {
      guard let obstacle = try exchange(tree) else {
        result.report.removed += tree.component.plan.removals.count
        result.oldTrees.append(ResolvedPath(directory: tree.location.directory, name: tree.name))
        continue
      }
      result.report.fallbacks.append(ApplyProblem(path: tree.component.path.bytes, what: obstacle))
      if tree.component.desired != nil {
        try treeRemover().remove(at: tree.location.directory.raw, tree.name)
      }
      result.report += try change(tree.component, token, staged, at: tree.location)
    }
    return result
  }

  /// Starts a sync of the file systems of these paths, and of those mounted on them.
  func sync(_ paths: [AbsolutePath], _ syncs: BackgroundSync) throws {
    var found: [UInt64: Descriptor] = [:]
    for path in paths {
      do throws(SystemError) {
        let location = try locate(path)
        found[try fileSystem.stat(location.directory.raw).device] = location.directory
        // An entry that cannot be examined was left alone.
        guard let top = try? fileSystem.statIfPresent(at: location.directory.raw, location.name),
          top.kind == .directory, found[top.device] == nil
        else { continue }
        found[top.device] = try fileSystem.openDirectory(at: location.directory.raw, location.name)
      } catch {
        if !error.isAbsent, error.code != .loop { throw error }
      }
    }
    for file in found.values { syncs.begin(file) }
  }

  /// Waits until all changes are on disk.
  func waitForSyncs(_ syncs: BackgroundSync) throws {
    progress.begin("syncing")
    try syncs.wait()
  }

  /// Removes the old trees after an exchange.
  func removeOldTrees(_ result: ExecutionResult) throws {
    if result.oldTrees.isEmpty { return }
    progress.begin("removing the old tree")
    for tree in result.oldTrees {
      try treeRemover().remove(at: tree.directory.raw, tree.name)
    }
  }

  // MARK: Staged trees

  /// Builds a tree next to the live one and makes it durable.
  /// - Returns: false if it could not be built, or differs from the snapshot. It has then been removed, and
  ///   the report gives the reason.
  private func build(
    _ tree: StagedTree, _ plan: Plan, _ token: String
  ) throws -> (report: ApplyReport, isBuilt: Bool) {
    guard tree.component.desired != nil else { return (ApplyReport(), true) }
    let (directory, path) = (tree.location.directory, tree.component.path)
    let cloneSource = try tree.component.cloneSource.map { try locate($0.path) }
    let executor = Executor(
      fileSystem, try store(), base: directory,
      ExecutionOptions(.assumeEmpty, cloneSource: cloneSource?.directory, token: token),
      progress: progress)
    var reason: String
    do {
      var report = try executor.run(
        plan.renamed(to: tree.name, reusing: cloneSource?.name ?? tree.location.name))
      report.writtenFileStates = report.writtenFileStates.map {
        (path.bytes + $0.path.dropFirst(tree.name.count), $0.stat, $0.blob)
      }
      guard let problem = report.problems.first else {
        progress.begin("syncing")
        try fileSystem.syncFileSystem(of: directory.raw)
        return (report, true)
      }
      reason = problem.what
    } catch let error as SystemError where error.isOutOfSpace || error.code == .accessDenied {
      reason = "\(error.code)"
    } catch let stop as InterruptedError {
      try treeRemover().remove(at: directory.raw, tree.name)
      throw stop
    }
    try treeRemover().remove(at: directory.raw, tree.name)
    var report = ApplyReport()
    report.fallbacks.append(
      ApplyProblem(path: path.bytes, what: "it cannot be built next to the live one: \(reason)"))
    return (report, false)
  }

  /// Exchanges the old tree and the new one. Either may not exist.
  /// - Returns: nil on success; otherwise the reason to change the tree in place. The old tree is then back
  ///   at its path.
  private func exchange(_ tree: StagedTree) throws -> String? {
    let (directory, name) = (tree.location.directory.raw, tree.location.name)
    if let mount = try TreeBusyCheck.mounts(in: realPath(tree.location), fileSystem).first {
      return "something was mounted on \(printable(mount.point)) meanwhile"
    }
    do throws(SystemError) {
      if tree.component.desired == nil {
        try fileSystem.rename(at: directory, name, to: directory, tree.name, exclusively: true)
      } else if tree.component.current == nil {
        try fileSystem.rename(at: directory, tree.name, to: directory, name, exclusively: true)
      } else {
        try fileSystem.exchange(at: directory, tree.name, with: directory, name)
      }
    } catch {
      let unable: [SystemError.Code] = [
        .invalid, .notSupported, .notImplemented, .crossDevice, .busy,
      ]
      guard unable.contains(error.code) else { throw error }
      return "this file system cannot exchange directories"
    }
    if tree.component.current != nil, let observed = tree.component.observed,
      let path = try SwappedTreeCheck(fileSystem, observed.directory).firstDifference(
        at: tree.location.directory, tree.name)
    {
      if tree.component.desired == nil {
        try fileSystem.rename(at: directory, tree.name, to: directory, name, exclusively: true)
      } else {
        try fileSystem.exchange(at: directory, tree.name, with: directory, name)
      }
      return "\(printable(tree.component.path.bytes + (path.isEmpty ? [] : [0x2f] + path)))"
        + " changed while the new tree was built"
    }
    try fileSystem.sync(directory)
    return nil
  }

  // MARK: In place

  private func change(
    _ component: ComponentPlan, _ token: String, _ staged: StagedBlobs?, at location: ResolvedPath
  ) throws -> ApplyReport {
    let executor = Executor(
      fileSystem, try store(), base: location.directory,
      ExecutionOptions(.failIfChanged, token: token, staged: staged?.take), progress: progress)
    var done = try executor.run(
      location.name == component.path.lastComponent
        ? component.plan : component.plan.renamed(to: location.name))
    let above = component.path.parent.bytes
    func full(_ path: [UInt8]) -> [UInt8] { (above == [0x2f] ? [] : above) + [0x2f] + path }
    done.problems = done.problems.map { $0.moved(to: full($0.path)) }
    done.writtenFileStates = done.writtenFileStates.map { (full($0.path), $0.stat, $0.blob) }
    return done
  }
}
