// Apply changes live files to match a snapshot: it makes a plan, runs its steps, and the caller
// then verifies the result. This file contains the plan as data.
//
// 1. Steps are idempotent: an interrupted plan can run again from its start.
// 2. Steps run in the order of `Plan`'s lists. The steps of `files` can run in any order.
// 3. Paths are relative to the component. The path of the component itself is the top, for single
//    files and for trees.

import Platform
import Store

/// One change of the live file system.
public struct Step: Sendable {
  /// The kind of change.
  public enum Action: Sendable {
    /// Removes an entry. A directory must be empty by then.
    case remove(FileKind)
    /// Creates a directory.
    case makeDirectory
    /// Creates or replaces an entry that is not a directory.
    case write
    /// Creates an entry whose content exists at another path: shares its blocks, or links it if
    /// `mayLink` states that all attributes are equal. Otherwise like `write`.
    case reuse(from: RelativePath, mayLink: Bool)
    /// Makes the entry a hard link to the one at `to`.
    case link(to: RelativePath)
    /// Sets owner, mode, attributes and time of an existing entry.
    case setAttributes
  }
  /// The kind of change.
  public let action: Action
  /// The entry's path in the component.
  public let path: RelativePath
  /// The target entry; for `remove`, the removed one.
  public let entry: Entry
  /// The entry that is replaced, as the plan saw it.
  public let old: Entry?
  /// The replaced entry's attributes in the capture, if known.
  public let seen: FileStat?
  /// The bytes of the entry's content that occupy space: all but those in huge holes.
  public let contentBytes: UInt64

  /// Creates a step.
  /// - Parameter contentBytes: nil for all of the entry's bytes.
  public init(
    action: Action, path: RelativePath, entry: Entry, old: Entry? = nil, seen: FileStat? = nil,
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

/// All changes of one component.
public struct Plan: Sendable {
  /// Removals, children before their directories.
  public var removals: [Step] = []
  /// Directories to create, parents before their children.
  public var directories: [Step] = []
  /// Entries to write, in any order.
  public var files: [Step] = []
  /// Hard links to create, after all files.
  public var links: [Step] = []
  /// Files whose attributes change, but not their content.
  public var attributes: [Step] = []
  /// Directories whose attributes and times are set last, children before parents.
  public var finished: [Step] = []
  /// Entries that are left alone, with the reasons.
  public var skipped: [(path: RelativePath, reason: String)] = []
  /// Attributes that the file system cannot store as in the snapshot. No step changes them.
  public var limits: [(path: RelativePath, reason: String)] = []

  /// Creates an empty plan.
  public init() {}

  /// Whether the plan has no steps.
  public var isEmpty: Bool { stepCount == 0 }
  /// The number of steps.
  public var stepCount: Int {
    removals.count + directories.count + files.count + links.count + attributes.count
      + finished.count
  }
  /// The number of content bytes to write.
  public var writtenBytes: UInt64 { writtenBytes(canClone: true, canLink: true) }

  /// Returns the number of content bytes to write, depending on whether files can share blocks or be linked.
  public func writtenBytes(canClone: Bool, canLink: Bool) -> UInt64 {
    files.reduce(0) { sum, step in
      if case .reuse(_, let mayLink) = step.action, canClone || canLink && mayLink { return sum }
      return sum &+ step.contentBytes
    }
  }

  /// Returns whether a step changes a directory or an entry in it.
  public func changes(within directory: RelativePath) -> Bool {
    [removals, directories, files, links, attributes, finished].contains { steps in
      steps.contains { $0.path.isInside(directory) }
    }
  }

  /// The total size of the removed files.
  public var removedBytes: UInt64 { removals.reduce(0) { $0 &+ $1.entry.sizeBytes } }
}
