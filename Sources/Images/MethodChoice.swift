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
public struct TreeMethod: Sendable {
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

  /// Gives each plan of a tree that will be swapped its staging plan.
  /// - Parameters:
  ///   - notes: what cannot be seen, now or in the target.
  ///   - isServed: nodes have their root in the tree.
  ///   - entryCount: entries of the target, about.
  /// - Returns: what was chosen, and why.
  func chooseMethods(
    _ plans: inout [PiecePlan], _ method: ApplyMethod, notes: [Snapshot.Note], isServed: Bool,
    entryCount: UInt64, live: any ObjectSource, target: any ObjectSource
  ) throws -> [TreeMethod] {
    var chosen: [TreeMethod] = []
    for i in plans.indices where plans[i].isTree && !plans[i].plan.isEmpty {
      let path = plans[i].path.bytes
      func inPlace(_ why: String) {
        chosen.append(TreeMethod(path: path, isSwap: false, why: why))
      }
      if method == .inPlace {
        inPlace("as asked for")
        continue
      }
      func refuse(_ obstacle: String) throws {
        guard method == .automatic else {
          throw ImageError(
            "tree \(plans[i].path.text)", "cannot be swapped: \(obstacle)",
            advice: "Nothing was changed; --in-place makes the changes in the tree itself")
        }
        inPlace(obstacle)
      }
      let inside = path + [0x2f]
      if let note = notes.first(where: { $0.isUntouchable && $0.path.starts(with: inside) }) {
        try refuse("\(printable(note.path)) must be left alone: \(note.reason)")
        continue
      }
      if let left = plans[i].plan.skipped.first {
        try refuse("\(printable(left.path)) must be left alone: \(left.why)")
        continue
      }
      guard plans[i].current != nil else {
        plans[i].staging = try stagingPlan(plans[i], live, target)
        chosen.append(TreeMethod(path: path, isSwap: true, why: "nothing is there yet"))
        continue
      }
      let place = try resolver.resolve(plans[i].path)
      let parent = place.directory
      let use = TreeUse(
        of: realPath(place), managementPath: plans[i].path,
        stagingRoot: rootPath == [0x2f] ? nil : rootPath, isServed: isServed)
      if let mount = use.mounts.first {
        try refuse("something is mounted on \(mount)")
        continue
      }
      if method == .automatic {
        if let reason = use.reasons.first {
          inPlace(reason + (use.reasons.count > 1 ? " …" : ""))
          continue
        }
        let changes = UInt64(plans[i].plan.stepCount)
        if entryCount > Workspace.smallTree, changes * Workspace.worthwhileShare < entryCount {
          inPlace("\(changes) changes in about \(entryCount) entries are few")
          continue
        }
      }
      let staging = try stagingPlan(plans[i], live, target)
      let needed = staging.writtenBytes(
        canClone: fileSystem.canClone(in: parent.raw), canLink: true)
      let least = plans[i].plan.writtenBytes
      let (free, nodes) = (
        try fileSystem.freeBytes(parent.raw), try fileSystem.freeNodes(parent.raw)
      )
      let hasRoom = free >= needed &+ needed / 20 &+ 1 << 20 && nodes >= staging.stepCount
      if method == .automatic {
        guard hasRoom else {
          inPlace("there is not room enough for a second tree")
          continue
        }
        guard needed <= least &+ least / 20 &+ 1 << 20 else {
          inPlace("beside, \(needed) bytes would be written for \(least) that differ")
          continue
        }
      } else {
        for reason in use.reasons { tell("\(plans[i].path.text): \(reason)") }
      }
      plans[i].staging = staging
      chosen.append(
        TreeMethod(
          path: path, isSwap: true,
          why: method == .swap ? "as asked for" : "nobody uses the tree, and there is room"))
    }
    return chosen
  }

  private func stagingPlan(
    _ piece: PiecePlan, _ live: any ObjectSource, _ target: any ObjectSource
  ) throws -> Plan {
    guard let wanted = piece.wanted else { return Plan() }
    var planner = StagingPlanner(target: target, live: live)
    return try planner.plan(
      name: piece.path.lastComponent, liveName: piece.path.lastComponent, current: piece.current,
      wanted: wanted)
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
