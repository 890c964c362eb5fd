// Comparison of two trees. Equal ids mean equal trees, so only the directories that changed are read.

import Platform

/// The fields that differ between two entries of one name.
public struct ChangedFields: OptionSet, Sendable, Hashable {
  public let rawValue: Int
  public init(rawValue: Int) { self.rawValue = rawValue }
  /// A file's bytes, a link's target, a device's number, or the kind itself.
  public static let content = ChangedFields(rawValue: 1)
  public static let mode = ChangedFields(rawValue: 2)
  public static let owner = ChangedFields(rawValue: 4)
  public static let xattrs = ChangedFields(rawValue: 8)
  public static let holes = ChangedFields(rawValue: 16)
  public static let links = ChangedFields(rawValue: 32)
  public static let modified = ChangedFields(rawValue: 64)
  /// The inode's flags (`chattr`).
  public static let flags = ChangedFields(rawValue: 128)

  /// Returns the names of the fields in a fixed order. They are part of the JSON output.
  public var names: [String] {
    let all: [(ChangedFields, String)] = [
      (.content, "content"), (.mode, "mode"), (.owner, "owner"), (.xattrs, "xattrs"),
      (.holes, "holes"), (.links, "links"), (.modified, "mtime"), (.flags, "flags"),
    ]
    return all.filter { contains($0.0) }.map(\.1)
  }
}

extension Entry {
  /// Returns the fields that differ. For directories this covers their own attributes, not their entries.
  public func changes(to other: Entry) -> ChangedFields {
    var fields: ChangedFields = []
    if kind != .directory || other.kind != .directory, content != other.content {
      fields.insert(.content)
    }
    if mode != other.mode { fields.insert(.mode) }
    if uid != other.uid || gid != other.gid { fields.insert(.owner) }
    if xattrs != other.xattrs { fields.insert(.xattrs) }
    if holes != other.holes { fields.insert(.holes) }
    if linkGroup != other.linkGroup { fields.insert(.links) }
    if modified != other.modified { fields.insert(.modified) }
    if flags != other.flags { fields.insert(.flags) }
    return fields
  }

  /// Returns the ids of a readable directory; nil for other entries.
  public var ids: Tree.IDs? {
    guard let tree, let times else { return nil }
    return Tree.IDs(tree: tree, times: times)
  }
}

/// One difference between an old and a new tree.
public struct TreeChange: Sendable {
  /// How an entry differs.
  public enum Kind: Sendable {
    case added(Entry)
    case removed(Entry)
    case changed(from: Entry, to: Entry, ChangedFields)
  }
  /// The address of the entry.
  public let address: ImagePath
  public let kind: Kind

  /// The entry before and after the change.
  public var sides: (old: Entry?, new: Entry?) {
    switch kind {
    case .added(let entry): (nil, entry)
    case .removed(let entry): (entry, nil)
    case .changed(let old, let new, _): (old, new)
    }
  }
  /// The path on the management node.
  public var path: [UInt8] { address.bytes }
}

/// Compares trees.
public enum TreeDiff {
  /// Pairs the entries of two directories by name and calls `body` for each name, in byte order.
  public static func pairs(
    _ old: [Entry], _ new: [Entry], _ body: (_ old: Entry?, _ new: Entry?) throws -> Void
  ) rethrows {
    var i = 0
    var j = 0
    while i < old.count || j < new.count {
      if j == new.count || (i < old.count && precedes(old[i].name, new[j].name)) {
        try body(old[i], nil)
        i += 1
      } else if i == old.count || precedes(new[j].name, old[i].name) {
        try body(nil, new[j])
        j += 1
      } else {
        try body(old[i], new[j])
        i += 1
        j += 1
      }
    }
  }

  /// Calls `body` for every difference, parents before children, in byte order.
  /// - Parameter address: the address of the two entries.
  /// - Throws: errors of the sources and of `body`.
  public static func compare(
    _ old: Entry?, _ new: Entry?, at address: ImagePath, oldFrom: some ObjectSource,
    newFrom: some ObjectSource, _ body: (TreeChange) throws -> Void
  ) throws {
    switch (old, new) {
    case (nil, nil): return
    case (nil, let new?): try body(TreeChange(address: address, kind: .added(new)))
    case (let old?, nil): try body(TreeChange(address: address, kind: .removed(old)))
    case (let old?, let new?):
      let fields = old.changes(to: new)
      if !fields.isEmpty {
        try body(TreeChange(address: address, kind: .changed(from: old, to: new, fields)))
      }
    }
    if let oldIDs = old?.ids, let newIDs = new?.ids, oldIDs == newIDs { return }
    let oldEntries = try old?.ids.map { try Tree.entries($0, from: oldFrom) } ?? []
    let newEntries = try new?.ids.map { try Tree.entries($0, from: newFrom) } ?? []
    try pairs(oldEntries, newEntries) { a, b in
      let name = b?.name ?? a?.name ?? []
      try compare(
        a, b, at: address.appending(name), oldFrom: oldFrom, newFrom: newFrom, body)
    }
  }
}
