// Apply: making live files what a snapshot says. First a plan, then its steps, then (by the caller)
// the proof. This file: the plan, as data.
//
// 1. Steps are idempotent: a plan that was cut short can be run again from its beginning.
// 2. Steps run in the order of `Plan`'s lists; inside `files` any order is right.
// 3. Paths are relative to the piece's parent directory, so that a piece that is a single file and
//    one that is a tree are the same case.

import Codec
import Platform
import Store

/// One change of the live file system.
public struct Step: Sendable {
  public enum Action: Sendable {
    /// Removes an entry; a directory must be empty by then.
    case remove(FileKind)
    case makeDirectory
    /// Creates or replaces an entry that is no directory.
    case write
    /// Creates an entry whose content is at another path: shares its blocks, or becomes another link
    /// of it where `mayLink` says that all is the same; else as `write`.
    case reuse(from: [UInt8], mayLink: Bool)
    /// Makes the entry another link of the one at `to`.
    case link(to: [UInt8])
    /// Sets owner, mode, attributes and time of what is there.
    case setAttributes
  }
  public let action: Action
  public let path: [UInt8]
  /// What the entry shall be; for `remove`, what it was.
  public let entry: Entry
  /// What is replaced, as the plan's maker saw it.
  public let old: Entry?
  /// What the kernel said of it then, where a capture knows.
  public let seen: FileStat?
  /// Bytes of the entry's content that take room: all but those in huge holes.
  public let contentBytes: UInt64

  /// - Parameter contentBytes: nil for all of the entry's bytes.
  public init(
    action: Action, path: [UInt8], entry: Entry, old: Entry? = nil, seen: FileStat? = nil,
    contentBytes: UInt64? = nil
  ) {
    self.action = action
    self.path = path
    self.entry = entry
    self.old = old
    self.seen = seen
    self.contentBytes = contentBytes ?? entry.sizeBytes
  }
}

/// All changes for one piece.
public struct Plan: Sendable {
  /// Children before their directories.
  public var removals: [Step] = []
  /// Directories before their children.
  public var directories: [Step] = []
  public var files: [Step] = []
  public var links: [Step] = []
  public var attributes: [Step] = []
  /// Directories whose attributes and times are set last, children before parents.
  public var finished: [Step] = []
  /// Entries that are left alone, and why.
  public var skipped: [(path: [UInt8], why: String)] = []
  /// Attributes that the file system cannot hold as the snapshot has them: nothing is done about them.
  public var limits: [ApplyProblem] = []

  public init() {}

  public var isEmpty: Bool { stepCount == 0 }
  public var stepCount: Int {
    removals.count + directories.count + files.count + links.count + attributes.count
      + finished.count
  }
  /// Bytes of file content that will be written.
  public var writtenBytes: UInt64 { writtenBytes(canClone: true, canLink: true) }

  /// Bytes that will be written where files can, or cannot, share blocks or be linked.
  public func writtenBytes(canClone: Bool, canLink: Bool) -> UInt64 {
    files.reduce(0) { sum, step in
      if case .reuse(_, let mayLink) = step.action, canClone || canLink && mayLink { return sum }
      return sum &+ step.contentBytes
    }
  }

  /// Whether a step changes a folder or something in it.
  /// - Parameter folder: relative to the piece; empty for the piece itself.
  public func changes(within folder: [UInt8]) -> Bool {
    [removals, directories, files, links, attributes, finished].contains { steps in
      steps.contains { step in
        let path = step.path.drop { $0 != 0x2f }.dropFirst()
        return folder.isEmpty
          || path.starts(with: folder)
            && (path.count == folder.count || path[path.startIndex + folder.count] == 0x2f)
      }
    }
  }

  /// Bytes of the files that will be removed.
  public var removedBytes: UInt64 { removals.reduce(0) { $0 &+ $1.entry.sizeBytes } }
}

extension Plan {
  /// The same plan under another name.
  /// - Parameters:
  ///   - name: what the piece is called.
  ///   - source: what the tree is called whose data is reused.
  public func renamed(to name: [UInt8], reusing source: [UInt8] = []) -> Plan {
    func path(_ path: [UInt8], _ name: [UInt8]) -> [UInt8] {
      name + path.drop { $0 != 0x2f }
    }
    func steps(_ steps: [Step]) -> [Step] {
      steps.map { step in
        let action: Step.Action =
          switch step.action {
          case .link(let target): .link(to: path(target, name))
          case .reuse(let from, let mayLink): .reuse(from: path(from, source), mayLink: mayLink)
          default: step.action
          }
        return Step(
          action: action, path: path(step.path, name), entry: step.entry, old: step.old,
          seen: step.seen, contentBytes: step.contentBytes)
      }
    }
    var plan = Plan()
    plan.removals = steps(removals)
    plan.directories = steps(directories)
    plan.files = steps(files)
    plan.links = steps(links)
    plan.attributes = steps(attributes)
    plan.finished = steps(finished)
    plan.skipped = skipped
    plan.limits = limits
    return plan
  }
}

/// Decides what to do; touches nothing.
public struct Planner {
  private let target: any ObjectSource
  private let live: any ObjectSource
  /// Paths that are not ours to change, with all below them: mount points, and what could not be
  /// read, now or in the snapshot.
  private let untouchable: [[UInt8]: Reason]

  /// Why a path is left alone.
  public struct Reason: Sendable {
    let text: String
    /// It is so now: then the path is left alone even where the capture saw nothing.
    let isLive: Bool
    public init(_ text: String, isLive: Bool) {
      self.text = text
      self.isLive = isLive
    }
  }
  private let observed: (any ObservedTree)?
  private let limits: AttributeLimits?
  private var plan = Plan()
  private var leaders: [UInt64: Leader] = [:]
  /// Directories in which nothing differs. They may hold the first name of an inode all the same.
  private var unvisited: [(path: [UInt8], ids: Tree.IDs)] = []

  private struct Leader {
    let path: [UInt8]
    /// It will be a new inode, so its other links must be made again.
    let isNew: Bool
  }

  /// - Parameters:
  ///   - untouchable: relative paths, as in the plan, and why.
  ///   - observed: what a capture saw of the live entries.
  ///   - limits: what the file system makes of attributes; nil to plan as if it held all.
  public init(
    target: any ObjectSource, live: any ObjectSource, untouchable: [[UInt8]: Reason] = [:],
    observed: (any ObservedTree)? = nil, limits: AttributeLimits? = nil
  ) {
    self.target = target
    self.live = live
    self.untouchable = untouchable
    self.observed = observed
    self.limits = limits
  }

  private func step(
    _ action: Step.Action, _ path: [UInt8], _ entry: Entry, old: Entry?,
    contentBytes: UInt64? = nil
  ) -> Step {
    Step(
      action: action, path: path, entry: entry, old: old,
      seen: old == nil ? nil : observed?.stat(at: path), contentBytes: contentBytes)
  }

  /// What differs, without what the file system cannot hold: that is noted.
  private mutating func fields(
    _ path: [UInt8], _ current: Entry, _ wanted: Entry
  ) throws -> ChangedFields {
    let fields = current.changes(to: wanted)
    guard !fields.isEmpty, let limits else { return fields }
    let (left, reasons) = try limits.reachable(fields, from: current, live, to: wanted)
    // An entry that is changed anyway gets as close as it can.
    if left.subtracting(.links).isEmpty {
      plan.limits += reasons.map { ApplyProblem(path: path, what: $0, isAttribute: true) }
    }
    return left
  }

  /// The plan that turns `current` (nil: nothing there) into `wanted` (nil: nothing).
  public mutating func plan(
    name: [UInt8], current: Entry?, wanted: Entry?
  ) throws -> Plan {
    plan = Plan()
    leaders = [:]
    unvisited = []
    try visit(name, current, wanted)
    return plan
  }

  /// - Returns: whether the parent directory's names or inodes change.
  @discardableResult
  private mutating func visit(
    _ path: [UInt8], _ current: Entry?, _ wanted: Entry?
  ) throws -> Bool {
    // What is there now and cannot be read, nobody has kept: it is not changed either.
    let reason = untouchable[path]
    let why =
      reason?.text
      ?? (current?.content.isMissing == true
        ? "it cannot be read, so no snapshot has kept it" : nil)
    if let why, current != nil || reason?.isLive == true || wanted?.content.isMissing == true {
      plan.skipped.append((path, why))
      return false
    }
    guard let wanted else {
      guard let current else { return false }
      return try remove(path, current)
    }
    if wanted.content.isMissing {
      plan.skipped.append((path, "the snapshot could not read it; what is there stays"))
      return false
    }
    if wanted.kind == .directory { return try visitDirectory(path, current, wanted) }
    return try visitFile(path, current, wanted)
  }

  private mutating func visitDirectory(
    _ path: [UInt8], _ current: Entry?, _ wanted: Entry
  ) throws -> Bool {
    var parentChanges = false
    var existing = current
    if let old = current, old.kind != .directory {
      guard try remove(path, old) else { return false }
      existing = nil
    }
    if existing == nil {
      plan.directories.append(Step(action: .makeDirectory, path: path, entry: wanted))
      parentChanges = true
    }
    var changesInside = existing == nil
    if let old = existing?.ids, let new = wanted.ids, old == new {
      unvisited.append((path, new))
    } else {
      let oldEntries = try existing?.ids.map { try live.entries($0) } ?? []
      let newEntries = try wanted.ids.map { try target.entries($0) } ?? []
      try TreeDiff.pairs(oldEntries, newEntries) { a, b in
        // Most are alike: of files not even a path is made, unless some path is to be listed as left alone.
        if untouchable.isEmpty, let a, let b, a.linkGroup == 0, !a.content.isMissing, a == b {
          if let ids = b.ids { unvisited.append((path + [0x2f] + b.name, ids)) }
          return
        }
        let name = b?.name ?? a?.name ?? []
        if try visit(path + [0x2f] + name, a, b) { changesInside = true }
      }
    }
    if try changesInside || existing.map({ try !fields(path, $0, wanted).isEmpty }) ?? true {
      plan.finished.append(step(.setAttributes, path, wanted, old: existing))
    }
    return parentChanges
  }

  private mutating func visitFile(
    _ path: [UInt8], _ current: Entry?, _ wanted: Entry
  ) throws -> Bool {
    var existing = current
    if let old = current, old.kind == .directory {
      guard try remove(path, old) else { return false }
      existing = nil
    }
    let fields = try existing.map { try self.fields(path, $0, wanted) }
    if wanted.linkGroup != 0, leaders[wanted.linkGroup] == nil,
      fields?.contains(.links) ?? true
    {
      try findUnvisitedLeaders()
    }
    if wanted.linkGroup != 0, let leader = leaders[wanted.linkGroup] {
      guard leader.isNew || existing?.linkGroup != wanted.linkGroup else { return false }
      plan.links.append(
        step(.link(to: leader.path), path, wanted, old: existing))
      return true
    }
    var mustWrite = existing == nil
    var keepsContent = false
    if let fields, let existing {
      mustWrite =
        fields.contains(.content) || fields.contains(.holes)
        // An inode that is shared with entries it must not be shared with is not reused.
        || (fields.contains(.links) && existing.linkGroup != 0)
        // Only files can be opened without effect, and so be held on to while they are changed.
        || (wanted.kind != .file && !fields.subtracting(.links).isEmpty)
      if !mustWrite, try needsFreshInode(path, existing, wanted, fields) {
        mustWrite = true
        keepsContent = true
      }
    }
    if wanted.linkGroup != 0 {
      leaders[wanted.linkGroup] = Leader(path: path, isNew: mustWrite)
    }
    if mustWrite {
      plan.files.append(
        step(
          keepsContent ? .reuse(from: path, mayLink: false) : .write, path, wanted, old: existing,
          contentBytes: try target.contentBytes(of: wanted)))
      return true
    }
    if let fields, !fields.subtracting(.links).isEmpty {
      plan.attributes.append(step(.setAttributes, path, wanted, old: existing))
    }
    return false
  }

  /// Makes the names of inodes in directories that were not visited leaders of their groups.
  private mutating func findUnvisitedLeaders() throws {
    var waiting = unvisited
    unvisited = []
    while let (path, ids) = waiting.popLast() {
      for entry in try target.entries(ids) {
        let below = path + [0x2f] + entry.name
        if let ids = entry.ids {
          waiting.append((below, ids))
        } else if entry.linkGroup != 0, leaders[entry.linkGroup] == nil {
          leaders[entry.linkGroup] = Leader(path: below, isNew: false)
        }
      }
    }
  }

  /// Whether a change of a file's attributes would reach, or hand privilege to, somebody outside of the
  /// tree: the inode has names elsewhere, or the change gives it another owner, setuid, setgid or
  /// capabilities, which must not meet an inode that was put there meanwhile.
  private func needsFreshInode(
    _ path: [UInt8], _ existing: Entry, _ wanted: Entry, _ fields: ChangedFields
  ) throws -> Bool {
    let attributes = fields.subtracting(.links)
    if attributes.isEmpty { return false }
    if attributes.contains(.owner) { return true }
    if attributes.contains(.mode), wanted.mode & 0o6000 != 0 { return true }
    if attributes.contains(.xattrs), let id = wanted.xattrs {
      let set = try decodeXattrs(target.object(.xattrs, id), id)
      if set.attributes.contains(where: { $0.name == AttributeWriter.capability }) { return true }
    }
    guard let observed, let seen = observed.stat(at: path) else { return false }
    return Int(clamping: seen.links) > max(1, observed.nameCount(of: seen))
  }

  /// Plans the removal of an entry and all below it. A directory stays while something in it does.
  /// - Returns: whether the entry goes.
  private mutating func remove(_ path: [UInt8], _ entry: Entry) throws -> Bool {
    if untouchable[path] != nil || entry.content.isMissing {
      plan.skipped.append(
        (path, untouchable[path]?.text ?? "it cannot be read, so no snapshot has kept it"))
      return false
    }
    var stays = false
    if let ids = entry.ids {
      for child in try live.entries(ids) {
        if try !remove(path + [0x2f] + child.name, child) { stays = true }
      }
      // What no tree holds, as the store, is no entry of the directory and is in it all the same.
      if let inside = untouchable.first(where: {
        $0.value.isLive && $0.key.count > path.count && $0.key.starts(with: path + [0x2f])
      }) {
        if !stays { plan.skipped.append((inside.key, inside.value.text)) }
        stays = true
      }
    }
    if stays { return false }
    plan.removals.append(step(.remove(entry.kind), path, entry, old: entry))
    return true
  }
}

extension ObjectSource {
  func entries(_ ids: Tree.IDs) throws -> [Entry] { try Tree.entries(ids, from: self) }

  /// Bytes of a file that are not in holes; nil where that is about its size.
  func contentBytes(of entry: Entry) throws -> UInt64? {
    guard entry.mayHaveSparseID, let id = entry.holes else { return nil }
    let holes = try HoleMap.decode(try object(.holes, id))
    return holes.data(sizeBytes: entry.sizeBytes).reduce(0) { $0 + UInt64($1.count) }
  }
}

func decodeXattrs(_ bytes: [UInt8], _ id: Digest) throws(StoreError) -> XattrSet {
  do throws(CodecError) { return try XattrSet.decode(bytes) } catch {
    throw StoreError(.damaged, "attribute set \(id)", "\(error)")
  }
}
