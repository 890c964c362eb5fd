// Plans the changes that turn the live entries of a component into those of a snapshot, in place.

import Codec
import Platform
import Store

/// Decides which changes to make, without making any.
public struct Planner {
  private let target: any ObjectSource
  private let live: any ObjectSource
  /// Paths that must not change, including everything below them: mount points, and entries that
  /// could not be read, now or for the snapshot.
  private let untouchable: [RelativePath: Reason]

  /// The reason for leaving a path alone.
  public struct Reason: Sendable {
    let text: String
    /// Whether the reason applies now. The path is then left alone even if the capture saw no entry.
    let isLive: Bool
    /// Creates a reason.
    public init(_ text: String, isLive: Bool) {
      self.text = text
      self.isLive = isLive
    }
  }
  private let observed: (any ObservedTree)?
  private let limits: AttributeLimits?
  private var plan = Plan()
  private var leaders: [UInt64: Leader] = [:]
  /// Directories without differences. They may still contain the first name of an inode.
  private var unvisited: [(path: RelativePath, ids: Tree.IDs)] = []

  private struct Leader {
    let path: RelativePath
    /// Whether it will be a new inode, so that its other links must be created again.
    let isNew: Bool
  }

  /// Creates a planner.
  /// - Parameters:
  ///   - target: contains the trees of the target.
  ///   - live: contains the trees of the live image.
  ///   - untouchable: paths that must not change, with the reasons.
  ///   - observed: the live entries as a capture saw them.
  ///   - limits: the limits of the file system; nil to plan as if it had none.
  public init(
    target: any ObjectSource, live: any ObjectSource, untouchable: [RelativePath: Reason] = [:],
    observed: (any ObservedTree)? = nil, limits: AttributeLimits? = nil
  ) {
    self.target = target
    self.live = live
    self.untouchable = untouchable
    self.observed = observed
    self.limits = limits
  }

  private func step(
    _ action: Step.Action, _ path: RelativePath, _ entry: Entry, old: Entry?,
    contentBytes: UInt64? = nil
  ) throws -> Step {
    Step(
      action: action, path: path, entry: entry, old: old,
      seen: old == nil ? nil : try observed?.stat(at: path), contentBytes: contentBytes)
  }

  /// Returns the fields that differ, without those that the file system cannot store. The latter are noted.
  private mutating func fields(
    _ path: RelativePath, _ current: Entry, _ desired: Entry
  ) throws -> ChangedFields {
    let fields = current.changes(to: desired)
    guard !fields.isEmpty, let limits else { return fields }
    let (left, reasons) = try limits.reachable(fields, from: current, live, to: desired)
    // An entry that changes anyway gets as close as possible.
    if left.subtracting(.links).isEmpty {
      plan.limits += reasons.map { (path, $0) }
    }
    return left
  }

  /// Returns the plan that changes `current` to `desired`; nil means no entry.
  /// - Throws: `StoreError` if a tree cannot be read; `SystemError`.
  public mutating func plan(current: Entry?, desired: Entry?) throws -> Plan {
    plan = Plan()
    leaders = [:]
    unvisited = []
    try visit(.top, current, desired)
    return plan
  }

  /// Plans the changes of one entry and everything below it.
  /// - Returns: whether names or inodes in the parent directory change.
  @discardableResult
  private mutating func visit(
    _ path: RelativePath, _ current: Entry?, _ desired: Entry?
  ) throws -> Bool {
    // An existing entry that cannot be read is in no snapshot, so it must not change.
    let reason = untouchable[path]
    let skipReason =
      reason?.text
      ?? (current?.content.isMissing == true
        ? "it cannot be read, so no snapshot contains it" : nil)
    if let skipReason,
      current != nil || reason?.isLive == true || desired?.content.isMissing == true
    {
      plan.skipped.append((path, skipReason))
      return false
    }
    guard let desired else {
      guard let current else { return false }
      return try remove(path, current)
    }
    if desired.content.isMissing {
      plan.skipped.append((path, "it could not be read for the snapshot; the current entry stays"))
      return false
    }
    if desired.kind == .directory { return try visitDirectory(path, current, desired) }
    return try visitFile(path, current, desired)
  }

  private mutating func visitDirectory(
    _ path: RelativePath, _ current: Entry?, _ desired: Entry
  ) throws -> Bool {
    var parentChanges = false
    var existing = current
    if let old = current, old.kind != .directory {
      guard try remove(path, old) else { return false }
      existing = nil
    }
    if existing == nil {
      plan.directories.append(Step(action: .makeDirectory, path: path, entry: desired))
      parentChanges = true
    }
    var changesInside = existing == nil
    if let old = existing?.ids, let new = desired.ids, old == new {
      unvisited.append((path, new))
    } else {
      let oldEntries = try existing?.ids.map { try live.entries($0) } ?? []
      let newEntries = try desired.ids.map { try target.entries($0) } ?? []
      try TreeDiff.pairs(oldEntries, newEntries) { a, b in
        // Most entries are equal: skip files without even creating a path, unless some path must be
        // reported as left alone.
        if untouchable.isEmpty, let a, let b, a.linkGroup == 0, !a.content.isMissing, a == b {
          if let ids = b.ids { unvisited.append((path.appending(b.name), ids)) }
          return
        }
        let name = b?.name ?? a?.name ?? []
        if try visit(path.appending(name), a, b) { changesInside = true }
      }
    }
    if try changesInside || existing.map({ try !fields(path, $0, desired).isEmpty }) ?? true {
      plan.finished.append(try step(.setAttributes, path, desired, old: existing))
    }
    return parentChanges
  }

  private mutating func visitFile(
    _ path: RelativePath, _ current: Entry?, _ desired: Entry
  ) throws -> Bool {
    var existing = current
    if let old = current, old.kind == .directory {
      guard try remove(path, old) else { return false }
      existing = nil
    }
    let fields = try existing.map { try self.fields(path, $0, desired) }
    if desired.linkGroup != 0, leaders[desired.linkGroup] == nil,
      fields?.contains(.links) ?? true
    {
      try findUnvisitedLeaders()
    }
    if desired.linkGroup != 0, let leader = leaders[desired.linkGroup] {
      guard leader.isNew || existing?.linkGroup != desired.linkGroup else { return false }
      plan.links.append(
        try step(.link(to: leader.path), path, desired, old: existing))
      return true
    }
    var mustWrite = existing == nil
    var keepsContent = false
    if let fields, let existing {
      mustWrite =
        fields.contains(.content) || fields.contains(.holes)
        // An inode must not be reused if it is shared with entries outside its group.
        || (fields.contains(.links) && existing.linkGroup != 0)
        // Only files can be opened without side effects and thus pinned while they are changed.
        || (desired.kind != .file && !fields.subtracting(.links).isEmpty)
        || changesCopyOnWrite(existing, desired, fields)
      if !mustWrite, try needsFreshInode(path, existing, desired, fields) {
        mustWrite = true
        keepsContent = true
      }
    }
    if desired.linkGroup != 0 {
      leaders[desired.linkGroup] = Leader(path: path, isNew: mustWrite)
    }
    if mustWrite {
      plan.files.append(
        try step(
          keepsContent ? .reuse(from: path, mayLink: false) : .write, path, desired, old: existing,
          contentBytes: try target.contentBytes(of: desired)))
      return true
    }
    if let fields, !fields.subtracting(.links).isEmpty {
      plan.attributes.append(try step(.setAttributes, path, desired, old: existing))
    }
    return false
  }

  /// Makes names in unvisited directories leaders of their link groups.
  private mutating func findUnvisitedLeaders() throws {
    var waiting = unvisited
    unvisited = []
    while let (path, ids) = waiting.popLast() {
      for entry in try target.entries(ids) {
        let below = path.appending(entry.name)
        if let ids = entry.ids {
          waiting.append((below, ids))
        } else if entry.linkGroup != 0, leaders[entry.linkGroup] == nil {
          leaders[entry.linkGroup] = Leader(path: below, isNew: false)
        }
      }
    }
  }

  /// Returns whether a file changes the flag that only an empty file can change. Files with and without it
  /// cannot share blocks, so its content is written.
  private func changesCopyOnWrite(
    _ existing: Entry, _ desired: Entry, _ fields: ChangedFields
  ) -> Bool {
    guard fields.contains(.flags), desired.kind == .file else { return false }
    return existing.flags.symmetricDifference(desired.flags).contains(.noCopyOnWrite)
      && limits?.canChangeCopyOnWrite != false
  }

  /// Returns whether an attribute change needs a new inode, because it could affect, or give
  /// privileges to, an entry outside the tree. This is so if the inode has names elsewhere. It is
  /// also so if the change sets another owner, setuid, setgid or capabilities, which must not reach
  /// an inode that another process put there.
  private func needsFreshInode(
    _ path: RelativePath, _ existing: Entry, _ desired: Entry, _ fields: ChangedFields
  ) throws -> Bool {
    let attributes = fields.subtracting(.links)
    if attributes.isEmpty { return false }
    if attributes.contains(.owner) { return true }
    if attributes.contains(.mode), desired.mode & 0o6000 != 0 { return true }
    if attributes.contains(.xattrs), let id = desired.xattrs {
      let set = try decodeXattrs(target.object(.xattrs, id), id)
      if set.attributes.contains(where: { $0.name == AttributeWriter.capability }) { return true }
    }
    guard let observed, let seen = try observed.stat(at: path) else { return false }
    return Int(clamping: seen.links) > max(1, try observed.nameCount(of: seen))
  }

  /// Plans the removal of an entry and all entries below it. A directory stays while an entry in it stays.
  /// - Returns: whether the entry will be removed.
  private mutating func remove(_ path: RelativePath, _ entry: Entry) throws -> Bool {
    if untouchable[path] != nil || entry.content.isMissing {
      plan.skipped.append(
        (path, untouchable[path]?.text ?? "it cannot be read, so no snapshot contains it"))
      return false
    }
    var mustStay = false
    if let ids = entry.ids {
      for child in try live.entries(ids) {
        if try !remove(path.appending(child.name), child) { mustStay = true }
      }
      // An entry that is in no tree, such as the store, still keeps its directory from being removed.
      if let inside = untouchable.first(where: {
        $0.value.isLive && $0.key != path && $0.key.isInside(path)
      }) {
        if !mustStay { plan.skipped.append((inside.key, inside.value.text)) }
        mustStay = true
      }
    }
    if mustStay { return false }
    plan.removals.append(try step(.remove(entry.kind), path, entry, old: entry))
    return true
  }
}

extension ObjectSource {
  func entries(_ ids: Tree.IDs) throws -> [Entry] { try Tree.entries(ids, from: self) }

  /// Returns the number of bytes of a file outside holes, or nil if it is about the file's size.
  func contentBytes(of entry: Entry) throws -> UInt64? {
    guard entry.mayHaveSparseID, let id = entry.holes else { return nil }
    let holes = try HoleMap.decode(try object(.holes, id))
    return holes.data(sizeBytes: entry.sizeBytes).reduce(0) { $0 + UInt64($1.count) }
  }
}

/// Returns the attributes of a set that can be set and compared.
func decodeXattrs(_ bytes: [UInt8], _ id: Digest) throws(StoreError) -> XattrSet {
  do throws(CodecError) { return try XattrSet.decode(bytes).withoutDerived } catch {
    throw StoreError(.damaged, "attribute set \(id)", "is damaged: \(error)")
  }
}
