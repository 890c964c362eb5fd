// Plans a whole tree that is staged next to the live one and then replaces it in one step.
//
// 1. Everything is created under a new name; the live tree is only read.
// 2. A file whose content does not change is not written. It shares the blocks of the live file or, if owner,
//    mode, times, attributes and links are also equal, its inode. After the old tree's removal only the new
//    tree uses that inode. Until then nothing changes it through the new names.

import Platform
import Store

/// Plans a tree next to another one.
public struct StagingPlanner {
  private let target: any ObjectSource
  private let live: any ObjectSource
  private let mayLink: Bool
  private var plan = Plan()
  /// The first member of each link group in the new tree.
  private var leaders: [UInt64: RelativePath] = [:]

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

  /// Returns the plan that creates the directory `desired`.
  /// - Parameters:
  ///   - current: the live tree; nil if there is none.
  ///   - desired: the target tree.
  /// - Throws: `StoreError` if a tree cannot be read.
  public mutating func plan(current: Entry?, desired: Entry) throws -> Plan {
    plan = Plan()
    leaders = [:]
    try visit(.top, current, desired)
    return plan
  }

  private mutating func visit(
    _ path: RelativePath, _ current: Entry?, _ desired: Entry
  ) throws {
    guard desired.kind == .directory else {
      try visitFile(path, current, desired)
      return
    }
    plan.directories.append(Step(action: .makeDirectory, path: path, entry: desired))
    let old = try current?.ids.map { try live.entries($0) } ?? []
    let new = try desired.ids.map { try target.entries($0) } ?? []
    try TreeDiff.pairs(old, new) { a, b in
      guard let b else { return }
      try visit(path.appending(b.name), a, b)
    }
    // Children come before their parents.
    plan.finished.append(Step(action: .setAttributes, path: path, entry: desired))
  }

  private mutating func visitFile(
    _ path: RelativePath, _ current: Entry?, _ desired: Entry
  ) throws {
    if desired.linkGroup != 0 {
      if let leader = leaders[desired.linkGroup] {
        plan.links.append(Step(action: .link(to: leader), path: path, entry: desired))
        return
      }
      leaders[desired.linkGroup] = path
    }
    func add(_ action: Step.Action, old: Entry? = nil) throws {
      plan.files.append(
        Step(
          action: action, path: path, entry: desired, old: old,
          contentBytes: try target.contentBytes(of: desired)))
    }
    guard let current, current.kind == desired.kind, current.content == desired.content,
      current.holes == desired.holes, desired.kind != .file || desired.sizeBytes > 0,
      // Files with and without copy on write cannot share blocks.
      !current.flags.symmetricDifference(desired.flags).contains(.noCopyOnWrite)
    else { return try add(.write) }
    let isSame = current.changes(to: desired).isEmpty
    guard isSame && mayLink || desired.kind == .file else { return try add(.write) }
    try add(.reuse(from: path, mayLink: isSame && mayLink), old: current)
  }
}
