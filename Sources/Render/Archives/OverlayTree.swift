// A stored tree with edits on top: the changes that packing makes to a root tree, without touching
// the live one.
//
// 1. The overlay is a tree like any other. Changed directories are encoded again, in memory; all
//    other objects are the store's.
// 2. Equal edits to equal trees give equal trees.
// 3. Edits cannot leave the tree: they name entries, and no link is followed.
// 4. An entry that an edit does not change keeps its time, unless the edit sets the time. So repeating an
//    edit changes nothing.

import Codec
import Platform
import Store

/// The edited tree.
public final class OverlayTree: ObjectSource {
  let store: ObjectStore
  /// Contains the objects of the trees that are edited.
  private let objects: any ObjectSource
  private let modified: Timestamp
  private let created = Monitor<CreatedObjects>(CreatedObjects())
  private struct CreatedObjects {
    var objects: [Digest: Tree.EncodedObject] = [:]
    var contents: [Digest: [UInt8]] = [:]
    /// Whether edits moved, added or removed names of hard-linked inodes.
    var hasMovedLinks = false
  }

  /// Creates an overlay.
  /// - Parameters:
  ///   - objects: contains trees that are not in the store; nil for none.
  ///   - modified: the time of new entries.
  public init(
    _ store: ObjectStore, objects: (any ObjectSource)? = nil, modified: Timestamp
  ) {
    self.store = store
    self.objects = objects ?? store
    self.modified = modified
  }

  /// Returns an object of the edited tree or of the trees below.
  /// - Throws: `StoreError`.
  public func object(_ kind: ObjectKind, _ id: Digest) throws -> [UInt8] {
    if let bytes = created.withLock({ $0.objects[id]?.bytes }) { return bytes }
    return try objects.object(kind, id)
  }

  /// Holds the content of a file whose entry an edit adds as stored (`OverlayNode.stored`).
  /// - Returns: the id of the content.
  public func hold(_ bytes: [UInt8]) -> Digest {
    let blob = SHA256.digest(of: bytes)
    created.withLock { $0.contents[blob] = bytes }
    return blob
  }

  /// Returns the content of a file that the edits added, or nil for a file of the store.
  public func content(_ blob: Digest) -> [UInt8]? { created.withLock { $0.contents[blob] } }

  /// All contents that the edits added. A store needs them before the edited tree.
  public var newContents: [[UInt8]] { created.withLock { Array($0.contents.values) } }

  /// All tree objects that the edits created. A store needs them, too.
  public var newObjects: [Tree.EncodedObject] { created.withLock { Array($0.objects.values) } }

  /// Calls `body` with the content of a file, part by part.
  /// - Throws: `StoreError`; the errors of `body`.
  public func read(
    _ blob: Digest, sizeBytes: UInt64, _ body: (UnsafeRawBufferPointer) throws -> Void
  ) throws {
    if let bytes = content(blob) { return try bytes.withUnsafeBytes(body) }
    try store.read(blob, sizeBytes: sizeBytes) { try body($1) }
  }

  /// Returns the tree of `top` with the edits applied.
  /// - Throws: `StoreError`.
  public func apply(_ edits: TreeEdits, to top: Entry) throws -> Entry {
    try edits.isEmpty ? top : edit(top, edits.top)
  }

  /// Returns `new` with the times of `old` for all entries that are otherwise equal: an entry that
  /// was removed and added again has not changed.
  /// - Throws: `StoreError`.
  public func keepingTimes(of old: Entry, in new: Entry) throws -> Entry {
    if new == old || new.equalsIgnoringTimes(old) { return old }
    guard let ids = new.ids, let oldIDs = old.ids else { return new }
    var known: [[UInt8]: Entry] = [:]
    for entry in try Tree.entries(oldIDs, from: self) { known[entry.name] = entry }
    return try with(
      new,
      try Tree.entries(ids, from: self).map { entry in
        try known[entry.name].map { try keepingTimes(of: $0, in: entry) } ?? entry
      })
  }

  /// Returns the tree with hard-link groups named by the paths of their first members, as a capture
  /// names them. Entries whose other names are gone leave their group. This is required before the
  /// edited tree is compared with a captured one or made live.
  /// - Throws: `StoreError`.
  public func regrouped(_ top: Entry) throws -> Entry {
    guard created.withLock({ $0.hasMovedLinks }) else { return top }
    var members: [UInt64: (count: Int, first: RelativePath)] = [:]
    func count(_ directory: Entry, _ path: RelativePath) throws {
      guard let ids = directory.ids else { return }
      for entry in try Tree.entries(ids, from: self) {
        let path = path.appending(entry.name)
        if entry.kind == .directory {
          try count(entry, path)
        } else if entry.linkGroup != 0 {
          members[entry.linkGroup, default: (0, path)].count += 1
        }
      }
    }
    func rename(_ directory: Entry) throws -> Entry {
      guard let ids = directory.ids else { return directory }
      let entries = try Tree.entries(ids, from: self)
      let renamed = try entries.map { entry in
        if entry.kind == .directory { return try rename(entry) }
        guard let group = members[entry.linkGroup], entry.linkGroup != 0 else { return entry }
        var entry = entry
        entry.linkGroup = group.count == 1 ? 0 : max(SHA256.digest(of: group.first.bytes).prefix, 1)
        return entry
      }
      return renamed == entries ? directory : try with(directory, renamed)
    }
    try count(top, .top)
    return try rename(top)
  }

  /// Returns whether the entry, or an entry below it, is hard-linked.
  private func holdsLinks(_ entry: Entry?) throws -> Bool {
    guard let entry else { return false }
    guard let ids = entry.ids else { return entry.linkGroup != 0 }
    return try Tree.entries(ids, from: self).contains { try holdsLinks($0) }
  }

  /// Returns an entry of a tree, or nil if there is none.
  /// - Parameter top: the tree's top directory.
  /// - Throws: `StoreError`.
  public func find(_ path: RelativePath, in top: Entry) throws -> Entry? {
    var here = top
    for name in path.components {
      guard let ids = here.ids,
        let next = try Tree.entries(ids, from: self).first(where: { $0.name == name })
      else { return nil }
      here = next
    }
    return here
  }

  private func edit(_ directory: Entry, _ node: TreeEdits.Node) throws -> Entry {
    var entries: [[UInt8]: Entry] = [:]
    if let ids = directory.ids {
      for entry in try Tree.entries(ids, from: self) { entries[entry.name] = entry }
    }
    for (name, child) in node.children {
      let old = entries[name]
      var new = old
      switch child.action {
      case .keep: break
      case .remove: new = nil
      case .put(let node): new = try make(name, node)
      }
      let subtree = new.flatMap { $0.ids == nil ? nil : $0 }
      if !child.children.isEmpty, subtree != nil || child.puts {
        new = try edit(subtree ?? make(name, .directory(mode: 0o755)), child)
      }
      if let before = old, let after = new, !child.setsTime, after.equalsIgnoringTimes(before) {
        new = before
      }
      if case .keep = child.action {
      } else if new != old, try holdsLinks(old) || holdsLinks(new) {
        created.withLock { $0.hasMovedLinks = true }
      }
      entries[name] = new
    }
    return try with(directory, entries.values.sorted { precedes($0.name, $1.name) })
  }

  private func make(_ name: [UInt8], _ node: OverlayNode) throws -> Entry {
    func entry(_ content: EntryContent, _ mode: UInt16) -> Entry {
      Entry(name: name, content: content, mode: mode, uid: 0, gid: 0, modified: modified)
    }
    switch node {
    case .file(let bytes, let mode): return entry(content(holding: bytes), mode)
    case .fileLike(var file, let bytes):
      file.name = name
      file.content = content(holding: bytes)
      (file.holes, file.linkGroup, file.modified) = (nil, 0, modified)
      return file
    case .symlink(let target): return entry(.symlink(target: target), 0o777)
    case .directory(let mode): return try with(entry(.directory(tree: .zero), mode), [])
    case .emptied(var directory):
      directory.name = name
      return try with(directory, [])
    case .stored(var stored):
      stored.name = name
      return stored
    case .touched(var stored, let time):
      (stored.name, stored.modified) = (name, time)
      return stored
    case .copied(var stored, let number):
      stored.name = name
      return try copy(stored, number)
    }
  }

  private func copy(_ entry: Entry, _ number: UInt64) throws -> Entry {
    if let ids = entry.ids {
      let entries = try Tree.entries(ids, from: self)
      let copies = try entries.map { try copy($0, number) }
      return copies == entries ? entry : try with(entry, copies)
    }
    if entry.linkGroup == 0 { return entry }
    var entry = entry
    // `regrouped` renames the groups later.
    var writer = ByteWriter()
    writer.word64(entry.linkGroup)
    writer.word64(number)
    entry.linkGroup = max(SHA256.digest(of: writer.bytes).prefix, 1)
    return entry
  }

  private func content(holding bytes: [UInt8]) -> EntryContent {
    .file(blob: hold(bytes), sizeBytes: UInt64(bytes.count))
  }

  private func with(_ directory: Entry, _ entries: [Entry]) throws -> Entry {
    let ids = Tree.encode(entries) { object in
      created.withLock { $0.objects[object.id] = object }
    }
    var result = directory
    result.content = .directory(tree: ids.tree)
    result.times = ids.times
    return result
  }
}

extension Entry {
  /// Returns whether the entries are equal apart from times, which a tree's id does not cover either.
  fileprivate func equalsIgnoringTimes(_ other: Entry) -> Bool {
    var timed = self
    timed.modified = other.modified
    timed.times = other.times
    return timed == other
  }
}
