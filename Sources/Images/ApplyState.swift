// Making live what a snapshot says: pieces first, table rows last. Shared by revert and import.

import Apply
import Ingest
import Platform
import Store
import XCAT

/// A plan for one piece, and where to run it.
struct PiecePlan {
  let path: AbsolutePath
  let plan: Plan
}

/// What applying did, or would do.
public struct ApplyOutcome: Sendable {
  public var plannedSteps = 0
  public var plannedBytes: UInt64 = 0
  public var removals: [[UInt8]] = []
  public var writes: [[UInt8]] = []
  public var attributePaths: [[UInt8]] = []
  public var attributes: [AttributeChange] = []
  public var skipped: [(path: [UInt8], why: String)] = []
  public var report = ApplyReport()
}

extension Workspace {
  /// What the plans were made from is what has been kept: nothing that changed, or could not be read,
  /// in between is overwritten.
  /// - Throws: `ImageError`; nothing has been changed then.
  func requireKept(
    _ live: [Snapshot.Piece], _ notes: [Snapshot.Note], in kept: CommittedSnapshot
  ) throws {
    let changed = live.first { kept.snapshot.piece(at: $0.path)?.entry != $0.entry }?.path
    let unread = kept.snapshot.notes.first { $0.isUntouchable && !notes.contains($0) }?.path
    guard let path = changed ?? unread else { return }
    throw ImageError(
      printable(path), "changed, or could not be read, while it was being kept as \(kept.name)",
      advice: "Nothing was changed; run the command again when nobody else works on the image")
  }

  /// Plans the pieces.
  ///
  /// - Parameters:
  ///   - live: what is there; pieces in the image's own folder go when the target has them not.
  ///   - liveNotes: what could not be seen now; together with `targetNotes`, what is left alone.
  func planPieces(
    from live: [Snapshot.Piece], _ liveSource: any ObjectSource, to target: [Snapshot.Piece],
    _ targetSource: any ObjectSource, liveNotes: [Snapshot.Note], targetNotes: [Snapshot.Note]
  ) throws -> [PiecePlan] {
    let paths = Set(live.map(\.path)).union(target.map(\.path)).sorted(by: precedes)
    let absent = Set(targetNotes.filter(\.isAbsentFile).map(\.path))
    var plans: [PiecePlan] = []
    for path in paths {
      guard let absolute = AbsolutePath(path) else { continue }
      let current = live.first { $0.path == path }
      let wanted = target.first { $0.path == path }
      // A list that several images may share does not go because this one named it once; it does
      // where the target says that it was not there.
      if wanted == nil, let current, !ImageFiles.ownedRoles.contains(current.role),
        !absent.contains(path)
      {
        continue
      }
      let above = absolute.parent.bytes
      let prefix = above == [0x2f] ? 1 : above.count + 1
      var untouchable: [[UInt8]: Planner.Reason] = [:]
      for (notes, isLive) in [(targetNotes, false), (liveNotes, true)] {
        for note in notes where note.isUntouchable && note.path.starts(with: path) {
          untouchable[Array(note.path.dropFirst(prefix))] = Planner.Reason(
            note.reason, isLive: isLive)
        }
      }
      var planner = Planner(
        target: targetSource, live: liveSource, untouchable: untouchable)
      let plan = try planner.plan(
        name: absolute.lastComponent, current: current?.entry, wanted: wanted?.entry)
      if !plan.isEmpty || !plan.skipped.isEmpty {
        plans.append(PiecePlan(path: absolute, plan: plan))
      }
    }
    return plans
  }

  /// What the plans would do.
  func describe(_ plans: [PiecePlan], _ attributes: [AttributeChange]) -> ApplyOutcome {
    var outcome = ApplyOutcome()
    outcome.attributes = attributes
    for piece in plans {
      let above = piece.path.parent.bytes
      func full(_ path: [UInt8]) -> [UInt8] { (above == [0x2f] ? [] : above) + [0x2f] + path }
      outcome.plannedSteps += piece.plan.stepCount
      outcome.plannedBytes &+= piece.plan.writtenBytes
      outcome.removals += piece.plan.removals.map { full($0.path) }
      outcome.writes += (piece.plan.directories + piece.plan.files + piece.plan.links)
        .map { full($0.path) }
      // A directory that is written anyway is not told twice.
      let written = Set(piece.plan.directories.map(\.path))
      outcome.attributePaths += (piece.plan.attributes + piece.plan.finished)
        .filter { !written.contains($0.path) }.map { full($0.path) }
      outcome.skipped += piece.plan.skipped.map { (full($0.path), $0.why) }
    }
    return outcome
  }

  /// Runs the plans.
  /// - Parameters:
  ///   - staged: blobs that need a name only.
  ///   - resolve: where a piece's path leads on this machine.
  func run(
    _ plans: [PiecePlan], staged: StagedBlobs? = nil, resolve: (AbsolutePath) throws -> ResolvedPath
  ) throws -> ApplyReport {
    let store = try store()
    progress.begin(
      "applying", totalBytes: plans.reduce(0) { $0 &+ $1.plan.writtenBytes })
    var report = ApplyReport()
    for piece in plans {
      let place = try resolve(piece.path)
      let executor = Executor(
        fileSystem, store, base: place.directory, isFresh: false, staged: staged,
        progress: progress)
      var done = try executor.run(
        renamed(piece.plan, from: piece.path.lastComponent, to: place.name))
      let above = piece.path.parent.bytes
      done.problems = done.problems.map {
        ApplyProblem(path: (above == [0x2f] ? [] : above) + [0x2f] + $0.path, what: $0.what)
      }
      done.largeFiles = done.largeFiles.map {
        ((above == [0x2f] ? [] : above) + [0x2f] + $0.path, $0.stat)
      }
      report += done
      progress.begin("syncing")
      try fileSystem.syncFileSystem(of: place.directory.raw)
    }
    return report
  }

  /// A piece whose last component is a symbolic link is made where the link leads.
  private func renamed(_ plan: Plan, from old: [UInt8], to new: [UInt8]) -> Plan {
    if old == new { return plan }
    func path(_ path: [UInt8]) -> [UInt8] { new + path.dropFirst(old.count) }
    func steps(_ steps: [Step]) -> [Step] {
      steps.map { step in
        var action = step.action
        if case .link(let target) = action { action = .link(to: path(target)) }
        return Step(action: action, path: path(step.path), entry: step.entry)
      }
    }
    var moved = Plan()
    moved.removals = steps(plan.removals)
    moved.directories = steps(plan.directories)
    moved.files = steps(plan.files)
    moved.links = steps(plan.links)
    moved.attributes = steps(plan.attributes)
    moved.finished = steps(plan.finished)
    moved.skipped = plan.skipped
    return moved
  }
}

extension ApplyReport {
  /// The large files that were written, with the blobs that `pieces` say they hold.
  func attested(_ pieces: [Snapshot.Piece]) -> [[UInt8]: AttestedFile] {
    var attested: [[UInt8]: AttestedFile] = [:]
    for (path, stat) in largeFiles {
      guard let blob = pieces.first(where: { $0.path == path })?.entry.blob else { continue }
      attested[path] = AttestedFile(stat: stat, blob: blob)
    }
    return attested
  }
}

extension Snapshot.Note {
  /// What is at the path is left alone: nobody knows what it should be, or nobody could keep it.
  var isUntouchable: Bool {
    switch kind {
    case .mountPoint, .unreadable: true
    case .changedWhileRead, .vanished, .absent, .noImageFiles: false
    }
  }

  var reason: String {
    kind == .mountPoint
      ? "something is, or was, mounted there" : "it could not be read, now or in the snapshot"
  }
}
