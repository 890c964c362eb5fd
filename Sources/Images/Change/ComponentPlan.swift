// Plans how the live image becomes a snapshot: components first, table rows last. Used by revert and import.

import Apply
import Ingest
import Platform
import Store

/// A live tree of another image whose blocks a new tree may share.
struct CloneSource {
  let path: AbsolutePath
  /// The tree as the store knows it.
  let entry: Entry
  let source: any ObjectSource
}

/// A plan for one component, and the path to run it at.
struct ComponentPlan {
  let path: AbsolutePath
  let current: Entry?
  let desired: Entry?
  var plan: Plan
  /// The plan of the whole tree, if it is built next to the live one.
  var staging: Plan?
  /// The live tree of another image whose blocks the new one may share.
  var cloneSource: CloneSource?
  /// The live entries with the attributes that the kernel reported; nil if they were not captured.
  var observed: CapturedComponent?
  /// The exchange of the whole tree with a standby tree. The plan is empty then, except in a dry run.
  var standby: StandbyExchange?

  /// Whether nothing of the component will change.
  var isEmpty: Bool { plan.isEmpty && standby == nil }

  var isTree: Bool {
    (current ?? desired)?.kind == .directory && (desired ?? current)?.kind == .directory
  }
}

/// The effects of a change, done or planned.
public struct ApplyOutcome: Sendable {
  public var plannedSteps = 0
  /// The bytes of file content to write.
  public var plannedBytes: UInt64 = 0
  /// The bytes of the files to remove.
  public var removedBytes: UInt64 = 0
  /// The planned strategy of each tree.
  var chosenMethods: [TreeStrategy] = []
  /// The actual strategy of each tree. A tree that could not be swapped was changed in place.
  public var methods: [TreeStrategy] {
    chosenMethods.map { method in
      report.fallbacks.first { $0.path == method.path }.map {
        TreeStrategy(path: method.path, isSwap: false, reason: $0.what)
      } ?? method
    }
  }
  public var removals: [[UInt8]] = []
  public var writes: [[UInt8]] = []
  public var attributePaths: [[UInt8]] = []
  public var attributes: [AttributeChange] = []
  public var skipped: [(path: [UInt8], reason: String)] = []
  /// Attributes that the file system cannot hold as the snapshot has them.
  public var limits: [ApplyProblem] = []
  /// Further remarks, such as on other images that the change affects.
  public var remarks: [String] = []
  public var report = ApplyReport()

  /// Removes excluded paths and mount points from `skipped`: leaving them alone is not a problem.
  /// - Returns: a remark on the mount points; nil if there are none.
  mutating func dropExpectedSkips(_ notes: [Snapshot.Note]) -> String? {
    let expected = Set(notes.filter { $0.kind == .excluded }.map(\.path))
    let mounted = Set(notes.filter { $0.kind == .mountPoint }.map(\.path))
    let unchanged = skipped.filter { mounted.contains($0.path) }.map { printable($0.path) }
    skipped.removeAll { expected.contains($0.path) || mounted.contains($0.path) }
    if unchanged.isEmpty { return nil }
    return "the content of mounted file systems was not changed: "
      + unchanged.prefix(3).joined(separator: ", ") + (unchanged.count > 3 ? " …" : "")
  }
}

/// The components of one side of a change.
struct PlanSide {
  let components: [Snapshot.Component]
  /// Holds the objects of the trees.
  let source: any ObjectSource
  /// The notes of the capture, or of the target. A change leaves the paths of some of them alone.
  let notes: [Snapshot.Note]

  init(
    _ components: [Snapshot.Component], _ source: any ObjectSource, notes: [Snapshot.Note] = []
  ) {
    self.components = components
    self.source = source
    self.notes = notes
  }
}

/// Plans the components of a change.
struct ComponentPlanner: Collaborator {
  let context: Context

  /// Checks that the safety snapshot holds the state that the plans are based on. Otherwise the change could
  /// overwrite entries that changed in between or could not be read.
  /// - Throws: `ImageError` if it does not; nothing has been changed.
  func requireKept(
    _ live: [Snapshot.Component], _ notes: [Snapshot.Note], in kept: CommittedSnapshot
  ) throws {
    let changed = live.first { kept.snapshot.component(at: $0.path)?.entry != $0.entry }?.path
    let unread = kept.snapshot.notes.first { $0.isUntouchable && !notes.contains($0) }?.path
    guard let path = changed ?? unread else { return }
    throw ImageError(
      .imageChanged,
      printable(path), "changed, or could not be read, while \(kept.name) was taken",
      hint: "Nothing was changed; run the command again when no process writes to the image")
  }

  /// Plans the components.
  ///
  /// - Parameters:
  ///   - live: the live side. Its components in the image's own directory are removed if the target lacks
  ///     them.
  ///   - captured: the capture of the live side, for comparison when entries are replaced.
  ///   - limits: the attribute limits of the file systems; nil to plan as if there were none.
  func planComponents(
    from live: PlanSide, to target: PlanSide, captured: CaptureResult? = nil,
    limits: LiveLimits? = nil
  ) throws -> [ComponentPlan] {
    let store = try context.store()
    let paths = Set((live.components + target.components).map(\.path)).sorted(by: precedes)
    let absent = Set(target.notes.filter { $0.code == .createdFile }.map(\.path))
    var plans: [ComponentPlan] = []
    for path in paths {
      guard let absolute = AbsolutePath(path) else { continue }
      let current = live.components.component(at: path)
      let desired = target.components.component(at: path)
      // Several images may share a list, so it is not removed merely because this one named it once. It is
      // removed if the target notes its absence.
      if desired == nil, let current, !current.role.isOwned,
        !absent.contains(path)
      {
        continue
      }
      var untouchable: [RelativePath: Planner.Reason] = [:]
      for (notes, isLive) in [(target.notes, false), (live.notes, true)] {
        for note in notes where note.isUntouchable {
          guard let address = ImagePath(note.path, in: path) else { continue }
          untouchable[address.path] = Planner.Reason(note.reason, isLive: isLive)
        }
      }
      let observed = captured?.component(at: path)
      let isEqual = current?.entry == desired?.entry
      var planner = Planner(
        target: target.source, live: live.source, untouchable: untouchable, observed: observed,
        limits: isEqual ? nil : limits?.of(absolute))
      let plan = try store.withReadTransaction {
        try planner.plan(current: current?.entry, desired: desired?.entry)
      }
      if !plan.isEmpty || !plan.skipped.isEmpty || !plan.limits.isEmpty {
        plans.append(
          ComponentPlan(
            path: absolute, current: current?.entry, desired: desired?.entry, plan: plan,
            observed: observed))
      }
    }
    try StoreProtection(context).requireOutsideStore(plans.filter { !$0.isEmpty }.map(\.path))
    return plans
  }

  /// Returns the effects of the plans.
  func describe(
    _ plans: [ComponentPlan], _ methods: [TreeStrategy], _ attributes: [AttributeChange]
  ) -> ApplyOutcome {
    var outcome = ApplyOutcome()
    outcome.chosenMethods = methods
    outcome.attributes = attributes
    for component in plans {
      func full(_ path: RelativePath) -> [UInt8] {
        ImagePath(component: component.path.bytes, path: path).bytes
      }
      outcome.plannedSteps += component.plan.stepCount
      outcome.plannedBytes &+= component.plan.writtenBytes
      outcome.removedBytes &+= component.plan.removedBytes
      outcome.removals += component.plan.removals.map { full($0.path) }
      outcome.writes += (component.plan.directories + component.plan.files + component.plan.links)
        .map { full($0.path) }
      // A directory that is written anyway is not listed twice.
      let written = Set(component.plan.directories.map(\.path))
      outcome.attributePaths += (component.plan.attributes + component.plan.finished)
        .filter { !written.contains($0.path) }.map { full($0.path) }
      outcome.skipped += component.plan.skipped.map { (full($0.path), $0.reason) }
      outcome.limits += component.plan.limits.map {
        ApplyProblem(path: full($0.path), what: $0.reason, isAttribute: true)
      }
    }
    return outcome
  }
}

extension ApplyReport {
  /// The written files, which need not be read again.
  var verifiedFiles: VerifiedFiles {
    VerifiedFiles(
      writtenFileStates.lazy.map {
        ($0.path, VerifiedFile(stat: $0.stat, flags: $0.flags, blob: $0.blob))
      })
  }
}

extension Snapshot.Note {
  /// Whether a change leaves the path alone, because its target state or its live content is unknown.
  var isUntouchable: Bool {
    kind == .unreadable || isExclusion
  }

  var reason: String {
    switch kind {
    case .mountPoint: "a file system is, or was, mounted there"
    case .excluded: "the pattern '\(printable(detail.utf8))' excludes it"
    case .ownFiles: "it belongs, or belonged, to imgstore"
    case .subvolumeSnapshot: "it is, or was, a read-only btrfs snapshot"
    case .changedWhileRead: "it kept changing while the snapshot read it"
    case .vanished: "it disappeared before the snapshot could read it"
    case .attributesLost: "the archive had attributes that cannot be stored: \(detail)"
    default: "it could not be read, now or in the snapshot"
    }
  }
}

extension CapturedComponent: ObservedTree {}
