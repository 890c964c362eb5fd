// Plans a revert: captures the live image, and computes the steps that lead to the snapshot.

import Platform
import Store

/// The plan of a revert.
struct RevertPlan {
  let current: LiveCapture
  let target: CommittedSnapshot
  /// The state to reach, if it is not that of a snapshot.
  let combined: CombinedState?
  let plans: [ComponentPlan]
  let notes: [Snapshot.Note]
  let outcome: ApplyOutcome
  /// Whether there is nothing to change, and nothing to record.
  let isDone: Bool
}

/// Plans reverts.
struct RevertPlanner {
  private let context: Context
  private let change: ChangeRequest
  private var image: ImageName { change.image }
  /// The snapshot, with its paths on this machine.
  private let source: CommittedSnapshot

  init(_ context: Context, _ change: ChangeRequest) throws {
    self.context = context
    self.change = change
    source =
      change.request.restoresLocation
      ? change.target
      : change.target.relocated(to: try context.tables().definition(of: change.image.text))
  }

  /// Returns the paths that the revert may modify.
  func changedPaths() throws -> [AbsolutePath] {
    try ChangeScope(context).changedPaths(of: image, source.snapshot)
  }

  /// Captures the live image, and plans the revert.
  /// - Throws: `ImageError` if the image cannot be changed to that state.
  func plan() throws -> RevertPlan {
    let request = change.request
    let notes = try AbsentPaths(context).effectiveNotes(source.snapshot, of: image)
    let mounts = MountedDirectories(context)
    try mounts.requireMounted(try mounts.mountNotes(of: image) + notes, image: image.text)
    let limits = try LiveLimits(context, replacesLabels: request.method == .swap)
    let current = try LiveStateCapturer(context).captureLiveState(
      of: image, source, storing: request.keepsSafety && !request.isDryRun)
    try mounts.requireKnownMounts(current.live.notes)
    var goal = try goal(from: current, notes)
    let (plans, methods) = try current.whileFlushing {
      try combineParts(current, &goal)
      return try planComponents(current, goal, limits)
    }
    let attributes = current.attributeChanges(to: goal.target)
    var outcome = ComponentPlanner(context).describe(plans, methods, attributes)
    outcome.remarks = try remarks(plans, current, goal)
    outcome.remarks += [outcome.dropExpectedSkips(current.live.notes)].compactMap(\.self)
    let latest = try context.store().refs.latestReadable(of: image)?.snapshot
    let isRecorded =
      goal.combined != nil || latest?.hasSameState(as: goal.target.snapshot) == true
    return RevertPlan(
      current: current, target: goal.target, combined: goal.combined, plans: plans,
      notes: goal.notes, outcome: outcome,
      isDone: plans.isEmpty && attributes.isEmpty && isRecorded)
  }

  /// The state to reach.
  private struct Goal {
    var target: CommittedSnapshot
    var notes: [Snapshot.Note]
    /// The state, if it is not that of the snapshot.
    var combined: CombinedState?
    var excludedRemark: String?

    mutating func use(_ state: CombinedState) {
      combined = state
      target = CommittedSnapshot(number: target.number, id: target.id, snapshot: state.snapshot)
    }
  }

  /// Returns the state of a revert of the whole image. The excludes of the live image stay in effect.
  private func goal(from current: LiveCapture, _ notes: [Snapshot.Note]) throws -> Goal {
    var goal = Goal(target: source, notes: notes)
    guard change.parts.isEmpty else { return goal }
    goal.target = source.keepingExcludes(
      of: current.live, restoresDefinition: change.request.restoresExcludes)
    if let reduced = try ExcludedTarget(context).withoutExcluded(
      goal.target.snapshot, recorded: source.snapshot, current)
    {
      goal.use(reduced.state)
      goal.excludedRemark = reduced.remark(change.target.name)
    }
    return goal
  }

  /// Replaces the goal of a partial revert: the live state with parts of the snapshot.
  private func combineParts(_ current: LiveCapture, _ goal: inout Goal) throws {
    guard !change.parts.isEmpty else { return }
    var combiner = PartCombiner(current, source, try context.store())
    let state = try combiner.combine(change.parts)
    goal.use(state)
    goal.notes = state.snapshot.notes
  }

  private func planComponents(
    _ current: LiveCapture, _ goal: Goal, _ limits: LiveLimits
  ) throws -> ([ComponentPlan], [TreeStrategy]) {
    let request = change.request
    let target = goal.target.snapshot
    let objects: any ObjectSource = try goal.combined?.view ?? context.store()
    try DirectoryExcludes(context).requireUsableList(of: image, target, objects)
    let inputs = StrategyInputs(
      method: request.method, notes: current.live.notes + goal.notes,
      isServed: LiveStateCapturer(context).isServed(current, goal.target),
      entryCount: target.entryCount, live: current.source, target: objects)
    let standby =
      goal.combined == nil
      ? try StandbySelector(context).plan(image, from: current, to: goal.target, inputs, limits)
      : nil
    // The exchange of a tree needs no other plan. A dry run lists the differences all the same.
    let exchanged = request.isDryRun ? nil : standby?.component.path.bytes
    var plans = try ComponentPlanner(context).planComponents(
      from: PlanSide(
        current.live.capture.components.filter { $0.path != exchanged }, current.source,
        notes: current.live.notes),
      to: PlanSide(
        target.components.filter { $0.path != exchanged }, objects, notes: goal.notes),
      captured: current.live.capture, limits: limits)
    if let standby {
      plans.removeAll { exchanged != nil && $0.path == standby.component.path }
      if let index = plans.firstIndex(where: { $0.path == standby.component.path }) {
        plans[index].standby = standby.component.standby
      } else {
        plans.append(standby.component)
      }
    }
    // The definition of a snapshot from a remote does not decide where files may be written.
    let isOwn = try PulledSnapshotCheck(context).origin(of: change.target) == nil
    plans = try ChangeScope(context).keepOutside(
      plans, [current.live.definition] + (isOwn ? [target.definition] : []),
      current.live.capture.components + (isOwn ? target.components : []), request)
    plans = try DirectoryMoves(context).keepForeignDirectories(
      plans, current.live, target, goal.notes, request)
    let methods = try StrategyChooser(context).chooseMethods(&plans, inputs)
    return (plans, [standby?.strategy].compactMap(\.self) + methods)
  }

  private func remarks(
    _ plans: [ComponentPlan], _ current: LiveCapture, _ goal: Goal
  ) throws -> [String] {
    try ChangeScope(context).remarksOnSharing(plans, of: image)
      + (change.parts.isEmpty ? [] : remarksOnPackedImages(plans, current.live))
      + [goal.excludedRemark].compactMap(\.self)
      + OpenFileRemarks(context).remarksOnOpenFiles(plans)
  }

  /// Returns a warning if nodes load packed images that still contain the files that the change replaces in
  /// the tree.
  private func remarksOnPackedImages(_ plans: [ComponentPlan], _ live: LiveImage) -> [String] {
    let changed = Set(plans.map(\.path.bytes))
    guard let tree = live.capture.components.rootTree, changed.contains(tree.path) else {
      return []
    }
    let packed = live.capture.components.filter {
      $0.role == .packed && !changed.contains($0.path)
    }
    if packed.isEmpty { return [] }
    let names = packed.map { printable($0.path) }.joined(separator: ", ")
    return [
      "nodes load \(names), packed before this change: 'imgstore pack \(image)' packs it again"
    ]
  }
}
