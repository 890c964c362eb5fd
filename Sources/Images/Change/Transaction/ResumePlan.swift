// The plan of a resumed change. It is computed from the live state, and never from what the interrupted run
// had planned.

import Platform
import Store

/// The plan of a resumed change.
struct ResumePlan {
  let current: LiveCapture
  /// The snapshots with their paths on this machine: the target of the change, and the state to reach.
  let target: CommittedSnapshot
  let goal: CommittedSnapshot
  let plans: [ComponentPlan]
  let notes: [Snapshot.Note]
  let attributes: [AttributeChange]
  let outcome: ApplyOutcome
}

/// Plans resumed changes.
struct ResumePlanner: Collaborator {
  let context: Context

  /// Captures the live image, and plans the change to the target or to the state before.
  /// - Parameter storing: whether the captured objects are stored, for a snapshot of unsaved changes.
  func resumePlan(
    _ image: ImageName, _ journal: Journal, _ target: CommittedSnapshot,
    _ destination: CommittedSnapshot, storing: Bool
  ) throws -> ResumePlan {
    let store = try context.store()
    let permissions = JournalOption.permissions(journal)
    try MountedDirectories(context).requireMounted(
      try MountedDirectories(context).mountNotes(of: image) + destination.snapshot.notes,
      image: image.text)
    let current = try LiveStateCapturer(context).captureLiveState(
      of: image, destination, storing: storing, resuming: journal)
    let goal = destination.keepingExcludes(
      of: current.live,
      restoresDefinition: journal.operation == .importing || permissions.restoresExcludes)
    try current.flush()
    let notes = try AbsentPaths(context).effectiveNotes(goal.snapshot, of: image)
    let foreign = Set(journal.values(JournalOption.foreign))
    let own = current.live.capture.components.filter {
      // A rollback restores them, if the state before names them.
      !foreign.contains(printable($0.path)) || goal.snapshot.component(at: $0.path) != nil
    }
    var plans = try ComponentPlanner(context).planComponents(
      from: PlanSide(own, current.source, notes: current.live.notes),
      to: PlanSide(goal.snapshot.components, store, notes: notes), captured: current.live.capture,
      limits: LiveLimits(context))
    plans = try ChangeScope(context).keepOutside(
      plans, [current.live.definition, goal.snapshot.definition],
      current.live.capture.components + goal.snapshot.components, permissions)
    plans = try DirectoryMoves(context).keepForeignDirectories(
      plans, current.live, goal.snapshot, notes, permissions, isResumed: true)
    func inputs(_ method: ApplyStrategy) -> StrategyInputs {
      StrategyInputs(
        method: method, notes: current.live.notes + notes,
        isServed: LiveStateCapturer(context).isServed(current, target),
        entryCount: goal.snapshot.entryCount, live: current.source, target: store)
    }
    // The change must be resumable even if the requested strategy is no longer possible.
    let methods =
      try (try? StrategyChooser(context).chooseMethods(&plans, inputs(journal.method)))
      ?? StrategyChooser(context).chooseMethods(&plans, inputs(.automatic))
    let attributes = current.attributeChanges(to: goal)
    var outcome = ComponentPlanner(context).describe(plans, methods, attributes)
    if let remark = outcome.dropExpectedSkips(current.live.notes) { context.reporter.warn(remark) }
    return ResumePlan(
      current: current, target: target, goal: goal, plans: plans, notes: notes,
      attributes: attributes, outcome: outcome)
  }

  /// Returns the snapshots of a resumed change with their paths on this machine, and all paths that the
  /// change may modify.
  func relocate(
    _ image: ImageName, _ journal: Journal, target: CommittedSnapshot, goal: CommittedSnapshot
  ) throws -> (target: CommittedSnapshot, goal: CommittedSnapshot, paths: [AbsolutePath]) {
    // A change that moves the image to another directory has the path in its target.
    let defined =
      JournalOption.permissions(journal).restoresLocation
      ? nil : try context.tables().definition(of: image.text)
    let target = target.relocated(to: defined)
    let goal = goal.relocated(to: defined).excluding(JournalOption.excludes(journal))
    let paths =
      try ChangeScope(context).changedPaths(of: image, target.snapshot)
      + ChangeScope(context).changedPaths(of: image, goal.snapshot)
    return (target, goal, paths)
  }
}
