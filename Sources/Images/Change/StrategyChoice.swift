// Swap, or in place? For each tree that a change touches: what can be done, what is wise, and why.
//
// 1. A swap is atomic: the path shows the old tree or the new one, never a mixture. It needs a tree
//    that nobody holds on to, and room for what is new.
// 2. In place writes the least. It is chosen where somebody would keep the old tree, where a swap
//    would write data that only changes its attributes, and where few of many entries change.

import Apply
import Ingest
import Platform
import Store

/// How one tree is changed, and why so.
public struct TreeStrategy: Sendable {
  /// The tree's path on the management node.
  public let path: [UInt8]
  public let isSwap: Bool
  public let why: String
}

extension Workspace {
  /// In a tree of this many entries a swap takes a moment, whatever changes.
  private static let smallTree = 2000
  /// A swap is made where at least one in so many entries changes.
  private static let worthwhileShare: UInt64 = 10

  /// What a choice depends on beside the plan.
  struct StrategyContext {
    let method: ApplyStrategy
    /// What cannot be seen, now or in the target.
    let notes: [Snapshot.Note]
    /// Nodes have their root in the tree.
    let isServed: Bool
    /// Entries of the target, about.
    let entryCount: UInt64
    let live: any ObjectSource
    let target: any ObjectSource
  }

  /// Gives each plan of a tree that will be swapped its staging plan.
  /// - Returns: what was chosen, and why.
  /// - Throws: `ImageError` where a swap is asked for and cannot be made.
  func chooseMethods(
    _ plans: inout [ComponentPlan], _ grounds: StrategyContext
  ) throws -> [TreeStrategy] {
    var chosen: [TreeStrategy] = []
    for i in plans.indices where plans[i].isTree && !plans[i].plan.isEmpty {
      let (staging, why) = try choose(plans[i], grounds)
      plans[i].staging = staging
      chosen.append(TreeStrategy(path: plans[i].path.bytes, isSwap: staging != nil, why: why))
    }
    return chosen
  }

  /// - Returns: the staging plan of a swap, or nil for in place; and why.
  private func choose(
    _ piece: ComponentPlan, _ grounds: StrategyContext
  ) throws -> (staging: Plan?, why: String) {
    if grounds.method == .inPlace { return (nil, "as asked for") }
    let isAsked = grounds.method == .swap
    func refused(_ obstacle: String) throws -> (staging: Plan?, why: String) {
      guard isAsked else { return (nil, obstacle) }
      throw ImageError(
        "tree \(piece.path.text)", "cannot be swapped: \(obstacle)",
        advice: "Nothing was changed; --in-place makes the changes in the tree itself")
    }
    if let left = leftAlone(piece, grounds.notes) { return try refused(left) }
    guard piece.current != nil else {
      return (try stagingPlan(piece, grounds), "nothing is there yet")
    }
    if !isAsked, let why = exceedsSwapBudget(piece.plan, grounds.entryCount) { return (nil, why) }
    if !isAsked, let (path, flags) = piece.observed?.firstProtected {
      return (nil, "\(printable(path)) has the flag \(flags.letters)")
    }
    let place = try locate(piece.path)
    if let tree = try fileSystem.statIfPresent(at: place.directory.raw, place.name),
      try fileSystem.isInside(try store().layout.root, FileIdentity(tree))
    {
      return try refused("the store lies in it")
    }
    let use = TreeBusyCheck(
      TreeBusyCheck.Question(
        path: realPath(place), managementPath: piece.path,
        stagingRoot: rootPath == [0x2f] ? nil : rootPath, isServed: grounds.isServed,
        tree: piece.observed, store: try realStorePath()))
    if let mount = use.mounts.first { return try refused("something is mounted on \(mount)") }
    if let obstacle = use.obstacles.first { return try refused(obstacle) }
    if !isAsked, let reason = use.reasons.first {
      return (nil, reason + (use.reasons.count > 1 ? " …" : ""))
    }
    if !isAsked, let why = exceedsCopyBudget(piece.plan, in: place.directory) { return (nil, why) }
    let staging = try stagingPlan(piece, grounds)
    if isAsked {
      for reason in use.reasons { tell("\(piece.path.text): \(reason)") }
      if let why = try lacksRoom(staging, in: place.directory) { return try refused(why) }
      return (staging, "as asked for")
    }
    if let why = try costsTooMuch(staging, piece.plan, in: place.directory) { return (nil, why) }
    return (staging, "no process uses the tree, and the disk has room for a second one")
  }

  private func leftAlone(_ piece: ComponentPlan, _ notes: [Snapshot.Note]) -> String? {
    let inside = piece.path.bytes + [0x2f]
    if let note = notes.first(where: { $0.kind == .subvolume && $0.path.starts(with: inside) }) {
      return "\(printable(note.path)) is a btrfs subvolume"
    }
    if let note = notes.first(where: { $0.isUntouchable && $0.path.starts(with: inside) }) {
      return "it holds \(printable(note.path)), which a revert leaves alone: \(note.reason)"
    }
    return piece.plan.skipped.first.map {
      "it holds \(printable($0.path)), which a revert leaves alone: \($0.why)"
    }
  }

  private func exceedsSwapBudget(_ plan: Plan, _ entryCount: UInt64) -> String? {
    let changes = UInt64(plan.stepCount)
    guard entryCount > Workspace.smallTree, changes * Workspace.worthwhileShare < entryCount else {
      return nil
    }
    return "only \(changes) of about \(entryCount) entries change"
  }

  /// Where blocks cannot be shared, a file of which only attributes change has to be copied: often
  /// that decides, without a look at all that stays.
  private func exceedsCopyBudget(_ plan: Plan, in parent: Descriptor) -> String? {
    let copiedBytes = plan.attributes.reduce(UInt64(0)) { sum, step in
      step.entry.kind == .file && step.entry.linkGroup == 0 ? sum &+ step.entry.sizeBytes : sum
    }
    guard copiedBytes > Workspace.allowedOverhead(over: plan.writtenBytes),
      !fileSystem.canClone(in: parent.raw)
    else { return nil }
    return "a second tree would copy \(copiedBytes) bytes of files whose attributes alone change"
  }

  /// Bytes that a swap may write beyond what differs.
  private static func allowedOverhead(over least: UInt64) -> UInt64 { least / 20 &+ (1 << 20) }

  private func costsTooMuch(
    _ staging: Plan, _ plan: Plan, in parent: Descriptor
  ) throws -> String? {
    let canClone = fileSystem.canClone(in: parent.raw)
    let needed = staging.writtenBytes(canClone: canClone, canLink: true)
    let least = plan.writtenBytes(canClone: canClone, canLink: false)
    if let why = try lacksRoom(staging, in: parent) { return why }
    guard needed <= least &+ Workspace.allowedOverhead(over: least) else {
      return "a second tree would write \(needed) bytes, where \(least) differ"
    }
    return nil
  }

  private func lacksRoom(_ staging: Plan, in parent: Descriptor) throws -> String? {
    let needed = staging.writtenBytes(
      canClone: fileSystem.canClone(in: parent.raw), canLink: true)
    let slack: UInt64 = 1 << 20
    guard try fileSystem.freeBytes(parent.raw) >= needed &+ needed / 20 &+ slack,
      try fileSystem.freeNodes(parent.raw) >= staging.stepCount
    else { return "the disk has no room for a second tree" }
    return nil
  }

  /// The store's folder, as the kernel calls it.
  private func realStorePath() throws -> [UInt8] {
    let path = try store().layout.path
    let folder = try fileSystem.openDirectory(
      at: fileSystem.workingDirectory, path, followLink: true)
    return
      (try? KernelFileSystem.shared.readLink(
        at: fileSystem.workingDirectory, Array("/proc/self/fd/\(folder.raw)".utf8))) ?? path
  }

  private func stagingPlan(
    _ piece: ComponentPlan, _ grounds: StrategyContext
  ) throws -> Plan {
    guard let wanted = piece.wanted else { return Plan() }
    return try store().withReadTransaction {
      if let donor = piece.donor {
        // Two images share blocks, never inodes.
        var planner = StagingPlanner(
          target: grounds.target, live: donor.source, mayLink: false)
        return try planner.plan(
          name: piece.path.lastComponent, liveName: donor.path.lastComponent,
          current: donor.entry, wanted: wanted)
      }
      var planner = StagingPlanner(target: grounds.target, live: grounds.live)
      return try planner.plan(
        name: piece.path.lastComponent, liveName: piece.path.lastComponent,
        current: piece.current, wanted: wanted)
    }
  }

  /// What a tree is called while it is built, and the old one while it is removed.
  func stagingName(_ token: String, _ index: Int) -> [UInt8] {
    Journal.prefix(token) + Array("-tree\(index)".utf8)
  }

  /// Where a place is on this machine, as the kernel calls it.
  func realPath(_ place: ResolvedPath) -> [UInt8] {
    let folder =
      (try? KernelFileSystem.shared.readLink(
        at: fileSystem.workingDirectory, Array("/proc/self/fd/\(place.directory.raw)".utf8))) ?? []
    return (folder == [0x2f] ? [] : folder) + [0x2f] + place.name
  }
}
