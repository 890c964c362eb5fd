// A stored tree, changed: what packing does to a root tree, without touching the live one.
//
// 1. The view is a tree like any other: changed directories are encoded anew, in memory; all else
//    is the store's.
// 2. The same edits to the same tree give the same tree.
// 3. Edits are confined to the tree by construction: they name entries, and no link is followed.
// 4. An entry that an edit leaves as it was, keeps its time: a second edit of the same kind changes
//    nothing.

import Codec
import Platform
import Store

/// A new entry.
public enum OverlayNode: Sendable {
  case file([UInt8], mode: UInt16)
  case symlink(target: [UInt8])
  /// A file with the attributes of another, and new content.
  case fileLike(Entry, [UInt8])
  /// A directory, empty but for what other edits put into it.
  case directory(mode: UInt16)
  /// A directory with these attributes; its content is as that of `directory`.
  case emptied(Entry)
  /// An entry of the stored tree, at another place.
  case stored(Entry)
  /// A copy of an entry of the stored tree: links among its files stay links, and none is a link of the
  /// original or of a copy with another number.
  case copied(Entry, number: UInt64)
}

/// What shall be different. Later edits win.
public struct TreeEdits: Sendable {
  fileprivate enum Action: Sendable {
    case keep
    case remove
    case put(OverlayNode)
  }
  fileprivate struct Node: Sendable {
    var action = Action.keep
    var children: [[UInt8]: Node] = [:]

    /// Something below it is put, for which directories are made where there are none.
    var puts: Bool {
      children.values.contains { child in
        if case .put = child.action { true } else { child.puts }
      }
    }
  }
  fileprivate var top = Node()

  public init() {}

  public var isEmpty: Bool { top.children.isEmpty }

  /// Removes an entry with what is in it.
  /// - Parameter path: components below the top; invalid names are ignored.
  public mutating func remove(_ path: [[UInt8]]) { set(path, .remove) }

  /// Puts an entry in place of whatever is there; missing directories on the way get mode 0755, and
  /// what is there and no directory gives way.
  public mutating func put(_ path: [[UInt8]], _ node: OverlayNode) { set(path, .put(node)) }

  private mutating func set(_ path: [[UInt8]], _ action: Action) {
    guard !path.isEmpty, path.allSatisfy(isValidName) else { return }
    func descend(_ node: inout Node, _ rest: ArraySlice<[UInt8]>) {
      guard let name = rest.first else {
        node = Node(action: action)
        return
      }
      descend(&node.children[name, default: Node()], rest.dropFirst())
    }
    descend(&top, path[...])
  }
}

/// The tree as edited.
public final class OverlayTree: ObjectSource {
  let store: ObjectStore
  /// Has the objects of trees that are edited.
  private let objects: any ObjectSource
  private let modified: Timestamp
  private let made = Monitor<Made>(Made())
  private struct Made {
    var objects: [Digest: Tree.EncodedObject] = [:]
    var contents: [Digest: [UInt8]] = [:]
    /// Edits moved, added or removed names of hard-linked inodes.
    var hasMovedLinks = false
  }

  /// - Parameters:
  ///   - objects: has trees that are not in the store; nil where there are none.
  ///   - modified: the time of what the edits bring.
  public init(
    _ store: ObjectStore, objects: (any ObjectSource)? = nil, modified: Timestamp
  ) {
    self.store = store
    self.objects = objects ?? store
    self.modified = modified
  }

  public func object(_ kind: ObjectKind, _ id: Digest) throws -> [UInt8] {
    if let bytes = made.withLock({ $0.objects[id]?.bytes }) { return bytes }
    return try objects.object(kind, id)
  }

  /// The content of a file that the edits brought; nil for the store's.
  public func content(_ blob: Digest) -> [UInt8]? { made.withLock { $0.contents[blob] } }

  /// All contents that the edits brought: what a store needs before it can hold the edited tree.
  public var newContents: [[UInt8]] { made.withLock { Array($0.contents.values) } }

  /// All trees that the edits made, the same.
  public var newObjects: [Tree.EncodedObject] { made.withLock { Array($0.objects.values) } }

  /// Calls `body` with the content of a file, piece by piece.
  public func read(
    _ blob: Digest, sizeBytes: UInt64, _ body: (UnsafeRawBufferPointer) throws -> Void
  ) throws {
    if let bytes = content(blob) { return try bytes.withUnsafeBytes(body) }
    try store.read(blob, sizeBytes: sizeBytes) { try body($1) }
  }

  /// The tree of `top` with the edits.
  public func apply(_ edits: TreeEdits, to top: Entry) throws -> Entry {
    try edits.isEmpty ? top : edit(top, edits.top)
  }

  /// `new`, with the times of `old` wherever the two are the same: what was taken out and put in
  /// again has not changed.
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

  /// The tree with its hard-link groups named as a capture names them, by the paths of their first
  /// members, and entries whose other names are gone without a group. Whoever compares the edited
  /// tree with a captured one, or makes it live, needs it so.
  public func regrouped(_ top: Entry) throws -> Entry {
    guard made.withLock({ $0.hasMovedLinks }) else { return top }
    var members: [UInt64: (count: Int, first: [UInt8])] = [:]
    func count(_ directory: Entry, _ path: [UInt8]) throws {
      guard let ids = directory.ids else { return }
      for entry in try Tree.entries(ids, from: self) {
        let path = path.isEmpty ? entry.name : path + [0x2f] + entry.name
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
        entry.linkGroup = group.count == 1 ? 0 : max(SHA256.digest(of: group.first).prefix, 1)
        return entry
      }
      return renamed == entries ? directory : try with(directory, renamed)
    }
    try count(top, [])
    return try rename(top)
  }

  /// A hard-linked entry, or one in the directory, is among these.
  private func holdsLinks(_ entry: Entry?) throws -> Bool {
    guard let entry else { return false }
    guard let ids = entry.ids else { return entry.linkGroup != 0 }
    return try Tree.entries(ids, from: self).contains { try holdsLinks($0) }
  }

  /// An entry of a tree, or nil.
  /// - Parameter path: components below `top`.
  public func find(_ path: [[UInt8]], in top: Entry) throws -> Entry? {
    var here = top
    for name in path {
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
      let folder = new.flatMap { $0.ids == nil ? nil : $0 }
      if !child.children.isEmpty, folder != nil || child.puts {
        new = try edit(folder ?? make(name, .directory(mode: 0o755)), child)
      }
      if let before = old, let after = new, after.equalsIgnoringTimes(before) { new = before }
      if case .keep = child.action {
      } else if new != old, try holdsLinks(old) || holdsLinks(new) {
        made.withLock { $0.hasMovedLinks = true }
      }
      entries[name] = new
    }
    return try with(directory, entries.values.sorted { precedes($0.name, $1.name) })
  }

  private func make(_ name: [UInt8], _ node: OverlayNode) throws -> Entry {
    func entry(_ content: Content, _ mode: UInt16) -> Entry {
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
    case .emptied(var folder):
      folder.name = name
      return try with(folder, [])
    case .stored(var stored):
      stored.name = name
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
    // `regrouped` gives the groups their names.
    var writer = ByteWriter()
    writer.word64(entry.linkGroup)
    writer.word64(number)
    entry.linkGroup = max(SHA256.digest(of: writer.bytes).prefix, 1)
    return entry
  }

  private func content(holding bytes: [UInt8]) -> Content {
    let blob = SHA256.digest(of: bytes)
    made.withLock { $0.contents[blob] = bytes }
    return .file(blob: blob, sizeBytes: UInt64(bytes.count))
  }

  private func with(_ directory: Entry, _ entries: [Entry]) throws -> Entry {
    let ids = Tree.encode(entries) { object in
      made.withLock { $0.objects[object.id] = object }
    }
    var result = directory
    result.content = .directory(tree: ids.tree)
    result.times = ids.times
    return result
  }
}

extension Entry {
  /// Equal but for times, which a tree's id leaves out too.
  fileprivate func equalsIgnoringTimes(_ other: Entry) -> Bool {
    var timed = self
    timed.modified = other.modified
    timed.times = other.times
    return timed == other
  }
}
