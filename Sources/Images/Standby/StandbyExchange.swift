// The use of a standby tree by a revert: one exchange with the live tree, instead of a plan of single steps.
//
// 1. A tree is used only if a walk, with its record as the stat cache, shows the root tree of the target:
//    device, inode, size, mtime and ctime of each entry are those of the verification. ctime cannot be set.
// 2. If the tree is not what its record says, or something prevents the exchange, the revert does without it,
//    and says so.
// 3. The tree that was live takes the place of the standby tree. It gets a record only after it was compared
//    with its capture (SwappedTreeCheck), after a snapshot with its state exists, and after it is on disk.

import Apply
import Ingest
import Platform
import Store

/// The exchange of a live tree with a standby tree.
struct StandbyExchange {
  let tree: StandbyTree
  /// The capture of the live tree, before the exchange.
  let old: CaptureResult
  /// The capture of the standby tree, as it will be after the exchange.
  let new: CaptureResult
  /// Plans the change of the live tree entry by entry, if the exchange turns out to be impossible.
  let planInPlace: () throws -> Plan

  /// The name of the tree, relative to the directory of the live tree.
  var relativeName: [UInt8] {
    tree.ownPath.parent.lastComponent + [0x2f] + tree.location.name
  }
}

/// Chooses standby trees for reverts.
struct StandbySelector: Collaborator {
  let context: Context

  /// Returns the plan of the exchange for a revert; nil if the revert must do without one.
  /// - Parameters:
  ///   - current: the captured live image.
  ///   - target: the snapshot to reach, with its paths on this machine.
  ///   - inputs: the inputs of the choice of a strategy.
  func plan(
    _ image: ImageName, from current: LiveCapture, to target: CommittedSnapshot,
    _ inputs: StrategyInputs, _ limits: LiveLimits
  ) throws -> (component: ComponentPlan, strategy: TreeStrategy)? {
    guard inputs.method != .inPlace, let desired = target.snapshot.components.rootTree,
      let path = AbsolutePath(desired.path),
      let live = current.live.capture.components.component(at: desired.path),
      live.role == .rootTree, live.entry.kind == .directory, live.entry != desired.entry,
      let tree = try tree(of: image, at: path, desired)
    else { return nil }
    let observed = current.live.capture.component(at: desired.path)
    var component = ComponentPlan(
      path: path, current: live.entry, desired: desired.entry, plan: Plan(), observed: observed)
    if let obstacle = try StrategyChooser(context).obstacle(toExchanging: component, inputs) {
      context.reporter.inform("the standby tree of \(target.name) is not used: \(obstacle)")
      return nil
    }
    let captured = try StandbyCapture(context).capture(
      tree.location, as: path, cache: tree.record)
    guard captured.component == desired else {
      context.reporter.warn(
        "the standby tree of \(target.name) is not used: it has changed since it was verified. "
          + "'imgstore standby \(target.name)' makes it again")
      return nil
    }
    component.standby = StandbyExchange(
      tree: tree, old: current.live.capture, new: captured.result,
      planInPlace: {
        try ComponentPlanner(context).planComponents(
          from: PlanSide([live], current.source, notes: current.live.notes),
          to: PlanSide([desired], inputs.target, notes: inputs.notes),
          captured: current.live.capture, limits: limits
        ).first?.plan ?? Plan()
      })
    return (
      component,
      TreeStrategy(
        path: path.bytes, isSwap: true, reason: "a standby tree has the state of \(target.name)",
        isStandby: true)
    )
  }

  private func tree(
    of image: ImageName, at path: AbsolutePath, _ desired: Snapshot.Component
  ) throws -> StandbyTree? {
    do {
      return try StandbyDirectory.open(context, image, at: path)?.trees()
        .first { $0.isRecorded(as: desired) }
    } catch let error as ImageError where error.errorCode == .accessDenied {
      context.reporter.warn(error.message)
      return nil
    }
  }
}

extension StandbyExchange {
  /// Records that the old tree, now in the place of the standby tree, has the state of a snapshot. Without
  /// such a snapshot the tree is removed.
  /// - Parameter before: the snapshot of the state before the change; nil if the user declined it.
  func keepOldTree(_ context: Context, as before: CommittedSnapshot?) throws {
    let path = tree.path.bytes
    let component = old.components.component(at: path)
    if let before, before.snapshot.component(at: path)?.entry == component?.entry {
      // Without a record the tree is garbage, and only its speed is lost.
      try? old.saveCache(
        of: path, base: before.id, context.fileSystem, at: tree.location.directory,
        tree.recordName)
      return
    }
    let directory = try StandbyDirectory.open(context, tree.image, at: tree.path)
    try directory?.remove(tree)
    try directory?.tidy()
  }
}
