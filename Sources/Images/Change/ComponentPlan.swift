// Making live what a snapshot says: pieces first, table rows last. Shared by revert and import.

import Apply
import Ingest
import Platform
import Store
import XCAT

/// A live tree of another image.
struct CloneSource {
  let path: AbsolutePath
  /// What it is, as far as the store knows.
  let entry: Entry
  let source: any ObjectSource
}

/// A plan for one piece, and where to run it.
struct ComponentPlan {
  let path: AbsolutePath
  let current: Entry?
  let wanted: Entry?
  var plan: Plan
  /// The plan of the whole tree, where it is built beside the live one.
  var staging: Plan?
  /// A live tree whose blocks a new one may share.
  var donor: CloneSource?
  /// The live entries as the kernel described them; nil where they were not captured.
  var observed: CapturedComponent?

  var isTree: Bool {
    (current ?? wanted)?.kind == .directory && (wanted ?? current)?.kind == .directory
  }
}

/// What applying did, or would do.
public struct ApplyOutcome: Sendable {
  public var plannedSteps = 0
  /// Bytes of file content that are to be written.
  public var plannedBytes: UInt64 = 0
  /// Bytes of the files that are to be removed.
  public var removedBytes: UInt64 = 0
  /// How each tree was to be changed.
  var chosenMethods: [TreeStrategy] = []
  /// How each tree is, or was, changed: in place after all where it could not be built beside.
  public var methods: [TreeStrategy] {
    chosenMethods.map { method in
      report.fallbacks.first { $0.path == method.path }.map {
        TreeStrategy(path: method.path, isSwap: false, why: $0.what)
      } ?? method
    }
  }
  public var removals: [[UInt8]] = []
  public var writes: [[UInt8]] = []
  public var attributePaths: [[UInt8]] = []
  public var attributes: [AttributeChange] = []
  public var skipped: [(path: [UInt8], why: String)] = []
  /// Attributes that the file system cannot hold as the snapshot has them.
  public var limits: [ApplyProblem] = []
  /// What else is worth knowing: other images that the change reaches.
  public var remarks: [String] = []
  public var report = ApplyReport()

  /// Leaves out what patterns exclude: that it was left alone is no problem.
  mutating func forgetExcluded(_ notes: [Snapshot.Note]) {
    let excluded = Set(notes.filter { $0.kind == .excluded }.map(\.path))
    if !excluded.isEmpty { skipped.removeAll { excluded.contains($0.path) } }
  }
}

extension Workspace {
  /// What the plans were made from is what has been kept: nothing that changed, or could not be read,
  /// in between is overwritten.
  /// - Throws: `ImageError`; nothing has been changed then.
  func requireKept(
    _ live: [Snapshot.Component], _ notes: [Snapshot.Note], in kept: CommittedSnapshot
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
  ///   - captured: the capture that `live` is of, for comparison when entries are replaced.
  ///   - limits: what the file systems make of attributes; nil to plan as if they held all.
  func planPieces(
    from live: [Snapshot.Component], _ liveSource: any ObjectSource,
    to target: [Snapshot.Component],
    _ targetSource: any ObjectSource, liveNotes: [Snapshot.Note], targetNotes: [Snapshot.Note],
    captured: CaptureResult? = nil, limits: LiveLimits? = nil
  ) throws -> [ComponentPlan] {
    let store = try store()
    let paths = Set(live.map(\.path)).union(target.map(\.path)).sorted(by: precedes)
    let absent = Set(targetNotes.filter(\.isAbsentFile).map(\.path))
    var plans: [ComponentPlan] = []
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
      let observed = captured?.piece(at: path)
      let isEqual = current?.entry == wanted?.entry
      var planner = Planner(
        target: targetSource, live: liveSource, untouchable: untouchable, observed: observed,
        limits: isEqual ? nil : limits?.of(absolute))
      let plan = try store.withReadTransaction {
        try planner.plan(
          name: absolute.lastComponent, current: current?.entry, wanted: wanted?.entry)
      }
      if !plan.isEmpty || !plan.skipped.isEmpty || !plan.limits.isEmpty {
        plans.append(
          ComponentPlan(
            path: absolute, current: current?.entry, wanted: wanted?.entry, plan: plan,
            observed: observed))
      }
    }
    try requireOutsideStore(plans.filter { !$0.plan.isEmpty }.map(\.path))
    return plans
  }

  /// What the plans would do.
  func describe(
    _ plans: [ComponentPlan], _ methods: [TreeStrategy], _ attributes: [AttributeChange]
  ) -> ApplyOutcome {
    var outcome = ApplyOutcome()
    outcome.chosenMethods = methods
    outcome.attributes = attributes
    for piece in plans {
      let above = piece.path.parent.bytes
      func full(_ path: [UInt8]) -> [UInt8] { (above == [0x2f] ? [] : above) + [0x2f] + path }
      outcome.plannedSteps += piece.plan.stepCount
      outcome.plannedBytes &+= piece.plan.writtenBytes
      outcome.removedBytes &+= piece.plan.removedBytes
      outcome.removals += piece.plan.removals.map { full($0.path) }
      outcome.writes += (piece.plan.directories + piece.plan.files + piece.plan.links)
        .map { full($0.path) }
      // A directory that is written anyway is not told twice.
      let written = Set(piece.plan.directories.map(\.path))
      outcome.attributePaths += (piece.plan.attributes + piece.plan.finished)
        .filter { !written.contains($0.path) }.map { full($0.path) }
      outcome.skipped += piece.plan.skipped.map { (full($0.path), $0.why) }
      outcome.limits += piece.plan.limits.map {
        ApplyProblem(path: full($0.path), what: $0.what, isAttribute: true)
      }
    }
    return outcome
  }
}

extension ApplyReport {
  /// What was written, by path.
  var verifiedFiles: [[UInt8]: VerifiedFile] {
    Dictionary(
      attestedFiles.map { ($0.path, VerifiedFile(stat: $0.stat, blob: $0.blob)) },
      uniquingKeysWith: { _, last in last })
  }
}

extension Snapshot.Note {
  /// What is at the path is left alone: nobody knows what it should be, or nobody could keep it.
  var isUntouchable: Bool {
    kind == .unreadable || isExclusion
  }

  var reason: String {
    switch kind {
    case .mountPoint: "something is, or was, mounted there"
    case .excluded: "the pattern '\(printable(detail.utf8))' excludes it"
    case .ownFiles: "it is, or was, imgstore's own"
    case .subvolumeSnapshot: "it is, or was, a read-only btrfs snapshot"
    case .changedWhileRead: "it kept changing while the snapshot read it"
    case .vanished: "it disappeared before the snapshot could read it"
    case .attributesLost: "the archive that it came from says more of it: \(detail)"
    default: "it could not be read, now or in the snapshot"
    }
  }
}

extension CapturedComponent: ObservedTree {
  public func stat(at path: [UInt8]) -> FileStat? {
    // A plan's paths begin with the piece's name.
    stat(at: path[(path.firstIndex(of: 0x2f).map { $0 + 1 } ?? path.count)...])
  }
}
