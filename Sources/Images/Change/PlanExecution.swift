// The steps of a change: trees built beside, files replaced, trees exchanged.
//
//     trees beside ─sync─▶ files and trees in place ─sync─▶ exchanges ─▶ (rows) ─▶ old trees removed
//
// Where neither exchanges nor rows follow, the proof is made while the sync goes on; nothing is recorded,
// and no stat cache vouches for what was written, before it has ended.
//
// 1. A tree that is swapped is complete and on disk before its path shows it; the old one is removed
//    afterwards, and a crash in between leaves either path whole.
//    A signal that comes before the first step in place leaves everything as it was.
// 2. A tree that cannot be built beside, or not exchanged, or that somebody changed meanwhile, is changed
//    in place, and that is said.

import Apply
import Ingest
import Platform
import Store

/// What placing did, and the old trees that are still to be removed.
struct ExecutionResult {
  var report = ApplyReport()
  var oldTrees: [ResolvedPath] = []
}

extension Workspace {
  private struct StagedTree {
    let piece: ComponentPlan
    let place: ResolvedPath
    let name: [UInt8]
  }

  /// Runs the plans.
  /// - Parameters:
  ///   - token: part of every name that is made for a time.
  ///   - staged: blobs that need a name only.
  ///   - syncs: for what exchanges wait for; what is changed in place is not synced when this returns.
  ///   - resolve: where a piece's path leads on this machine; makes missing folders.
  func place(
    _ plans: [ComponentPlan], token: String, staged: StagedBlobs? = nil, _ syncs: BackgroundSync,
    resolve: (AbsolutePath) throws -> ResolvedPath
  ) throws -> ExecutionResult {
    progress.begin(
      "applying",
      totalBytes: plans.reduce(0) { $0 &+ ($1.staging ?? $1.plan).writtenBytes })
    var placement = ExecutionResult()
    var beside: [StagedTree] = []
    var inPlace: [ComponentPlan] = []
    do {
      for (i, piece) in plans.enumerated() where !piece.plan.isEmpty {
        guard let staging = piece.staging else {
          inPlace.append(piece)
          continue
        }
        let tree = StagedTree(
          piece: piece, place: try resolve(piece.path), name: stagingName(token, i))
        let (report, isBuilt) = try build(tree, staging, token)
        placement.report += report
        if isBuilt { beside.append(tree) } else { inPlace.append(piece) }
      }
      try Interruption.check()
    } catch let stop as InterruptedError {
      for tree in beside where tree.piece.wanted != nil {
        try treeRemover().remove(at: tree.place.directory.raw, tree.name)
      }
      throw CancelledChangeError(cause: stop)
    }
    for piece in inPlace {
      let place: ResolvedPath
      do {
        place = try resolve(piece.path)
      } catch let error as SystemError where error.code == .loop || error.code == .notDirectory {
        // A path that leads nowhere stops the others as little as an entry of a tree does.
        placement.report.problems.append(
          ApplyProblem(path: piece.path.bytes, what: error.finding))
        continue
      }
      placement.report += try change(piece, token, staged, at: place)
    }
    if !beside.isEmpty {
      try sync(inPlace.map(\.path), syncs)
      try settle(syncs)
    }
    for tree in beside {
      guard let obstacle = try exchange(tree) else {
        placement.report.removed += tree.piece.plan.removals.count
        placement.oldTrees.append(ResolvedPath(directory: tree.place.directory, name: tree.name))
        continue
      }
      placement.report.fallbacks.append(ApplyProblem(path: tree.piece.path.bytes, what: obstacle))
      if tree.piece.wanted != nil {
        try treeRemover().remove(at: tree.place.directory.raw, tree.name)
      }
      placement.report += try change(tree.piece, token, staged, at: tree.place)
    }
    return placement
  }

  /// Begins to write out the file systems that these paths lie on, and those that are mounted on them.
  func sync(_ paths: [AbsolutePath], _ syncs: BackgroundSync) throws {
    var found: [UInt64: Descriptor] = [:]
    for path in paths {
      do throws(SystemError) {
        let place = try locate(path)
        found[try fileSystem.stat(place.directory.raw).device] = place.directory
        // What cannot be examined was left alone.
        guard let top = try? fileSystem.statIfPresent(at: place.directory.raw, place.name),
          top.kind == .directory, found[top.device] == nil
        else { continue }
        found[top.device] = try fileSystem.openDirectory(at: place.directory.raw, place.name)
      } catch {
        if !error.isAbsent, error.code != .loop { throw error }
      }
    }
    for file in found.values { syncs.begin(file) }
  }

  /// Waits until what has been placed is on disk.
  func settle(_ syncs: BackgroundSync) throws {
    progress.begin("syncing")
    try syncs.settle()
  }

  /// Removes what the exchanged trees were.
  func removeOldTrees(_ placement: ExecutionResult) throws {
    if placement.oldTrees.isEmpty { return }
    progress.begin("removing the old tree")
    for tree in placement.oldTrees {
      try treeRemover().remove(at: tree.directory.raw, tree.name)
    }
  }

  // MARK: Beside

  /// Builds a tree beside the live one and makes it durable.
  /// - Returns: false where it came out other than the snapshot has it, or could not be built: then
  ///   nothing is left of it, and the report says why.
  private func build(
    _ tree: StagedTree, _ plan: Plan, _ token: String
  ) throws -> (report: ApplyReport, isBuilt: Bool) {
    guard tree.piece.wanted != nil else { return (ApplyReport(), true) }
    let (directory, path) = (tree.place.directory, tree.piece.path)
    let donor = try tree.piece.donor.map { try locate($0.path) }
    let executor = Executor(
      fileSystem, try store(), base: directory, donor: donor?.directory, surroundings: .empty,
      token: token, progress: progress)
    var why: String
    do {
      var report = try executor.run(
        plan.renamed(to: tree.name, reusing: donor?.name ?? tree.place.name))
      report.attestedFiles = report.attestedFiles.map {
        (path.bytes + $0.path.dropFirst(tree.name.count), $0.stat, $0.blob)
      }
      guard let problem = report.problems.first else {
        progress.begin("syncing")
        try fileSystem.syncFileSystem(of: directory.raw)
        return (report, true)
      }
      why = problem.what
    } catch let error as SystemError where error.isOutOfSpace || error.code == .accessDenied {
      why = "\(error.code)"
    } catch let stop as InterruptedError {
      try treeRemover().remove(at: directory.raw, tree.name)
      throw stop
    }
    try treeRemover().remove(at: directory.raw, tree.name)
    var report = ApplyReport()
    report.fallbacks.append(
      ApplyProblem(path: path.bytes, what: "it cannot be built beside the live one: \(why)"))
    return (report, false)
  }

  /// Lets the new tree take the place of the old one, or of nothing, or nothing that of the old one.
  /// - Returns: nil where that is done; else why the tree must be changed in place. The old tree has its
  ///   place again then.
  private func exchange(_ tree: StagedTree) throws -> String? {
    let (directory, name) = (tree.place.directory.raw, tree.place.name)
    if let mount = TreeBusyCheck.mounts(in: realPath(tree.place)).first {
      return "something was mounted on \(printable(mount.point)) meanwhile"
    }
    do throws(SystemError) {
      if tree.piece.wanted == nil {
        try fileSystem.rename(at: directory, name, to: directory, tree.name, exclusively: true)
      } else if tree.piece.current == nil {
        try fileSystem.rename(at: directory, tree.name, to: directory, name, exclusively: true)
      } else {
        try fileSystem.exchange(at: directory, tree.name, with: directory, name)
      }
    } catch {
      let unable: [SystemError.Code] = [
        .invalid, .notSupported, .notImplemented, .crossDevice, .busy,
      ]
      guard unable.contains(error.code) else { throw error }
      return "this file system exchanges no folders"
    }
    if tree.piece.current != nil, let observed = tree.piece.observed,
      let path = try SwappedTreeCheck(fileSystem, observed.directory).firstDifference(
        at: tree.place.directory, tree.name)
    {
      if tree.piece.wanted == nil {
        try fileSystem.rename(at: directory, tree.name, to: directory, name, exclusively: true)
      } else {
        try fileSystem.exchange(at: directory, tree.name, with: directory, name)
      }
      return "\(printable(tree.piece.path.bytes + (path.isEmpty ? [] : [0x2f] + path)))"
        + " changed while the new tree was built"
    }
    try fileSystem.sync(directory)
    return nil
  }

  // MARK: In place

  private func change(
    _ piece: ComponentPlan, _ token: String, _ staged: StagedBlobs?, at place: ResolvedPath
  ) throws -> ApplyReport {
    let executor = Executor(
      fileSystem, try store(), base: place.directory, surroundings: .asPlanned, token: token,
      staged: staged, progress: progress)
    var done = try executor.run(
      place.name == piece.path.lastComponent ? piece.plan : piece.plan.renamed(to: place.name))
    let above = piece.path.parent.bytes
    func full(_ path: [UInt8]) -> [UInt8] { (above == [0x2f] ? [] : above) + [0x2f] + path }
    done.problems = done.problems.map { $0.moved(to: full($0.path)) }
    done.attestedFiles = done.attestedFiles.map { (full($0.path), $0.stat, $0.blob) }
    return done
  }
}
