// Plans a whole tree that is staged next to the live one and then replaces it in one step.
//
// 1. Everything is created under a new name; the live tree is only read.
// 2. A file whose content does not change is not written. It shares the blocks of the live file or,
//    if owner, mode, times, attributes and links are also equal, its inode. After the old tree's
//    removal only the new tree uses that inode. Until then nothing changes it through the new
//    names.

import Codec
import Platform
import Store

/// Plans a tree next to another one.
public struct StagingPlanner {
  private let target: any ObjectSource
  private let live: any ObjectSource
  private let mayLink: Bool
  private var plan = Plan()
  /// The first member of each link group in the new tree.
  private var leaders: [UInt64: [UInt8]] = [:]

  /// Creates a planner.
  /// - Parameters:
  ///   - target: contains the trees of the target.
  ///   - live: contains the trees of the live image.
  ///   - mayLink: whether the new tree replaces the live one and may therefore use its inodes.
  public init(target: any ObjectSource, live: any ObjectSource, mayLink: Bool = true) {
    self.mayLink = mayLink
    self.target = target
    self.live = live
  }

  /// Returns the plan that creates the directory `wanted` under `name`.
  /// - Parameters:
  ///   - name: the new tree's name.
  ///   - liveName: the live tree's name in the same directory.
  ///   - current: the live tree; nil if there is none.
  ///   - wanted: the target tree.
  /// - Throws: `StoreError` if a tree cannot be read.
  public mutating func plan(
    name: [UInt8], liveName: [UInt8], current: Entry?, wanted: Entry
  ) throws -> Plan {
    plan = Plan()
    leaders = [:]
    try visit(name, liveName, current, wanted)
    return plan
  }

  private mutating func visit(
    _ path: [UInt8], _ livePath: [UInt8], _ current: Entry?, _ wanted: Entry
  ) throws {
    guard wanted.kind == .directory else {
      try visitFile(path, livePath, current, wanted)
      return
    }
    plan.directories.append(Step(action: .makeDirectory, path: path, entry: wanted))
    let old = try current?.ids.map { try live.entries($0) } ?? []
    let new = try wanted.ids.map { try target.entries($0) } ?? []
    try TreeDiff.pairs(old, new) { a, b in
      guard let b else { return }
      try visit(path + [0x2f] + b.name, livePath + [0x2f] + b.name, a, b)
    }
    // Children come before their parents.
    plan.finished.append(Step(action: .setAttributes, path: path, entry: wanted))
  }

  private mutating func visitFile(
    _ path: [UInt8], _ livePath: [UInt8], _ current: Entry?, _ wanted: Entry
  ) throws {
    if wanted.linkGroup != 0 {
      if let leader = leaders[wanted.linkGroup] {
        plan.links.append(Step(action: .link(to: leader), path: path, entry: wanted))
        return
      }
      leaders[wanted.linkGroup] = path
    }
    guard let current, current.kind == wanted.kind, current.content == wanted.content,
      current.holes == wanted.holes, wanted.kind != .file || wanted.sizeBytes > 0
    else {
      plan.files.append(
        Step(
          action: .write, path: path, entry: wanted,
          contentBytes: try target.contentBytes(of: wanted)))
      return
    }
    let isSame = current.changes(to: wanted).isEmpty
    guard isSame && mayLink || wanted.kind == .file else {
      plan.files.append(
        Step(
          action: .write, path: path, entry: wanted,
          contentBytes: try target.contentBytes(of: wanted)))
      return
    }
    plan.files.append(
      Step(
        action: .reuse(from: livePath, mayLink: isSame && mayLink), path: path, entry: wanted,
        old: current, contentBytes: try target.contentBytes(of: wanted)))
  }
}
