// Chooses between a swap and an in-place change for each tree, with a reason.
//
// 1. A swap is atomic: the path shows the old tree or the new one, never a mixture. It needs a tree that
//    nobody uses, and disk space for the new one.
// 2. An in-place change writes the least. It is chosen if the tree is in use, if a swap would copy files
//    whose attributes alone change, and if few of many entries change.

import Apply
import Platform
import Store

/// The method of applying a snapshot to a tree.
public enum ApplyStrategy: UInt8, Sendable, CaseIterable {
  /// Chosen from the tree and its users.
  case automatic = 0
  /// A new tree is staged next to the live one and exchanged with it in one step.
  case swap = 1
  /// The live tree is changed entry by entry, with as few changes as possible.
  case inPlace = 2
}

/// The strategy for one tree, with the reason.
public struct TreeStrategy: Sendable {
  /// The tree's path on the management node.
  public let path: [UInt8]
  public let isSwap: Bool
  public let reason: String
  /// Whether the tree is exchanged with a standby tree.
  public var isStandby = false
}

/// The inputs of a choice, besides the plan.
struct StrategyInputs {
  let method: ApplyStrategy
  /// Notes on entries that cannot be read, now or in the target.
  let notes: [Snapshot.Note]
  /// Whether nodes have their root in the tree.
  let isServed: Bool
  /// The approximate number of entries in the target.
  let entryCount: UInt64
  let live: any ObjectSource
  let target: any ObjectSource
}

/// Chooses between a swap and a change in place.
struct StrategyChooser: Collaborator {
  let context: Context

  /// The number of entries up to which a swap is fast, however few of them change.
  private static let smallTree = 2000
  /// In larger trees, a swap needs at least one changed entry in this many.
  private static let worthwhileShare: UInt64 = 10

  /// Sets the staging plan of each tree that will be swapped.
  /// - Returns: the chosen strategies, with reasons.
  /// - Throws: `ImageError` if a swap is requested and impossible.
  func chooseMethods(
    _ plans: inout [ComponentPlan], _ inputs: StrategyInputs
  ) throws -> [TreeStrategy] {
    var chosen: [TreeStrategy] = []
    for i in plans.indices
    where plans[i].isTree && !plans[i].plan.isEmpty && plans[i].standby == nil {
      let (staging, reason) = try choose(plans[i], inputs)
      plans[i].staging = staging
      chosen.append(TreeStrategy(path: plans[i].path.bytes, isSwap: staging != nil, reason: reason))
    }
    return chosen
  }

  /// - Returns: the staging plan of a swap, or nil for an in-place change; and the reason.
  private func choose(
    _ component: ComponentPlan, _ inputs: StrategyInputs
  ) throws -> (staging: Plan?, reason: String) {
    if inputs.method == .inPlace { return (nil, "as requested") }
    let isAsked = inputs.method == .swap
    func refused(_ obstacle: String) throws -> (staging: Plan?, reason: String) {
      guard isAsked else { return (nil, obstacle) }
      throw ImageError(
        .imageInUse,
        "tree \(component.path.text)", "cannot be swapped: \(obstacle)",
        hint: "Nothing was changed; --in-place makes the changes in the tree itself")
    }
    if let reason = untouchableContent(component, inputs.notes) { return try refused(reason) }
    guard component.current != nil else {
      return (try stagingPlan(component, inputs), "the path does not exist yet")
    }
    if !isAsked, let reason = exceedsSwapBudget(component.plan, inputs.entryCount) {
      return (nil, reason)
    }
    if !isAsked, let (path, flags) = try component.observed?.firstProtected() {
      return (nil, "\(path.text) has the flag \(flags.letters)")
    }
    let location = try LivePaths(context).locate(component.path)
    if try hasStore(at: location) { return try refused("the store is in it") }
    let use = try treeUse(component, at: location, inputs)
    if let mount = use.mounts.first { return try refused("a file system is mounted on \(mount)") }
    if let obstacle = use.obstacles.first { return try refused(obstacle) }
    if !isAsked, let reason = use.reasons.first {
      return (nil, reason + (use.reasons.count > 1 ? " …" : ""))
    }
    if !isAsked, let reason = exceedsCopyBudget(component.plan, in: location.directory) {
      return (nil, reason)
    }
    let staging = try stagingPlan(component, inputs)
    if isAsked {
      for reason in use.reasons { context.reporter.warn("\(component.path.text): \(reason)") }
      if let reason = try lacksSpace(staging, in: location.directory) { return try refused(reason) }
      return (staging, "as requested")
    }
    if let reason = try exceedsWriteBudget(staging, component.plan, in: location.directory) {
      return (nil, reason)
    }
    return (staging, "no process uses the tree, and the disk has room for a second one")
  }

  /// Returns why a tree must not be exchanged with a standby tree; nil if it may be.
  func obstacle(
    toExchanging component: ComponentPlan, _ inputs: StrategyInputs
  ) throws -> String? {
    if let reason = untouchableContent(component, inputs.notes) { return reason }
    let location = try LivePaths(context).locate(component.path)
    if try hasStore(at: location) { return "the store is in it" }
    if let flags = component.observed?.stat.flags.intersection(.protecting), !flags.isEmpty {
      return "the tree has the flag \(flags.letters)"
    }
    let use = try treeUse(component, at: location, inputs)
    return use.mounts.first.map { "a file system is mounted on \($0)" } ?? use.obstacles.first
      ?? (inputs.method == .swap ? nil : use.reasons.first)
  }

  /// Returns whether the store is in a tree. An exchange would move it away.
  private func hasStore(at location: ResolvedPath) throws -> Bool {
    guard
      let tree = try context.fileSystem.statIfPresent(at: location.directory.raw, location.name)
    else { return false }
    return try context.fileSystem.isInside(try context.store().layout.root, FileIdentity(tree))
  }

  private func treeUse(
    _ component: ComponentPlan, at location: ResolvedPath, _ inputs: StrategyInputs
  ) throws -> TreeBusyCheck {
    TreeBusyCheck(
      TreeBusyCheck.Request(
        path: try LivePaths(context).kernelPath(location), managementPath: component.path,
        stagingRoot: context.rootPath == [0x2f] ? nil : context.rootPath,
        isServed: inputs.isServed,
        tree: component.observed, store: try realStorePath()), context.fileSystem)
  }

  private func untouchableContent(_ component: ComponentPlan, _ notes: [Snapshot.Note]) -> String? {
    let top = component.path.bytes
    if let note = notes.first(where: {
      $0.kind == .subvolume && $0.path != top && isInside($0.path, top)
    }) {
      return "\(printable(note.path)) is a btrfs subvolume"
    }
    if let note = notes.first(where: {
      $0.isUntouchable && $0.path != top && isInside($0.path, top)
    }) {
      return "it contains \(printable(note.path)), which a revert does not change: \(note.reason)"
    }
    return component.plan.skipped.first.map {
      let path = ImagePath(component: component.path.lastComponent, path: $0.path).bytes
      return "it contains \(printable(path)), which a revert does not change: \($0.reason)"
    }
  }

  private func exceedsSwapBudget(_ plan: Plan, _ entryCount: UInt64) -> String? {
    let changes = UInt64(plan.stepCount)
    guard entryCount > StrategyChooser.smallTree,
      changes * StrategyChooser.worthwhileShare < entryCount
    else {
      return nil
    }
    return "only \(changes) of about \(entryCount) entries change"
  }

  /// Returns a reason against a swap if it would copy too much. Without shared blocks, a swap copies every
  /// file whose attributes alone change. This check is cheap: it does not read the unchanged entries.
  private func exceedsCopyBudget(_ plan: Plan, in parent: Descriptor) -> String? {
    let copiedBytes = plan.attributes.reduce(UInt64(0)) { sum, step in
      step.entry.kind == .file && step.entry.linkGroup == 0 ? sum &+ step.entry.sizeBytes : sum
    }
    guard copiedBytes > StrategyChooser.allowedOverhead(over: plan.writtenBytes),
      !context.fileSystem.canClone(in: parent.raw)
    else { return nil }
    return "a second tree would copy \(copiedBytes) bytes of files whose attributes alone change"
  }

  /// Returns how many bytes a swap may write in addition to the differences.
  private static func allowedOverhead(over least: UInt64) -> UInt64 { least / 20 &+ (1 << 20) }

  private func exceedsWriteBudget(
    _ staging: Plan, _ plan: Plan, in parent: Descriptor
  ) throws -> String? {
    let canClone = context.fileSystem.canClone(in: parent.raw)
    let needed = staging.writtenBytes(canClone: canClone, canLink: true)
    let least = plan.writtenBytes(canClone: canClone, canLink: false)
    if let reason = try lacksSpace(staging, in: parent) { return reason }
    guard needed <= least &+ StrategyChooser.allowedOverhead(over: least) else {
      return "a second tree would write \(needed) bytes, where \(least) differ"
    }
    return nil
  }

  /// Returns why a file system cannot hold a second tree; nil if it has the space.
  func lacksSpace(_ staging: Plan, in parent: Descriptor) throws -> String? {
    let needed = staging.writtenBytes(
      canClone: context.fileSystem.canClone(in: parent.raw), canLink: true)
    let slack: UInt64 = 1 << 20
    guard try context.fileSystem.freeBytes(parent.raw) >= needed &+ needed / 20 &+ slack,
      try context.fileSystem.freeNodes(parent.raw) >= staging.stepCount
    else { return "the disk has no room for a second tree" }
    return nil
  }

  /// Returns the path of the store's directory as the kernel reports it.
  private func realStorePath() throws -> [UInt8] {
    let path = try context.store().layout.path
    let directory = try context.fileSystem.openDirectory(
      at: context.fileSystem.workingDirectory, path, followLink: true)
    return
      (try? context.fileSystem.readLink(
        at: context.fileSystem.workingDirectory, Array("/proc/self/fd/\(directory.raw)".utf8)))
      ?? path
  }

  private func stagingPlan(
    _ component: ComponentPlan, _ inputs: StrategyInputs
  ) throws -> Plan {
    guard let desired = component.desired else { return Plan() }
    return try context.store().withReadTransaction {
      if let cloneSource = component.cloneSource {
        // Two images may share blocks, never inodes.
        var planner = StagingPlanner(
          target: inputs.target, live: cloneSource.source, mayLink: false)
        return try planner.plan(
          current: cloneSource.entry, desired: desired)
      }
      var planner = StagingPlanner(target: inputs.target, live: inputs.live)
      return try planner.plan(
        current: component.current, desired: desired)
    }
  }

  /// Returns the temporary name of a tree under construction, and of the old tree during its removal.
  func stagingName(_ token: String, _ index: Int) -> [UInt8] {
    TemporaryName.prefix(token) + Array("-tree\(index)".utf8)
  }
}
