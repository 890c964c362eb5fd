// The history of one path, for `log` and `blame`: the snapshots that changed it, and the snapshot that gave
// it its content.
//
// 1. Only the trees on the path are read. Trees that are equal in the neighbouring snapshot are not read
//    again.
// 2. Symbolic links are not followed: the history belongs to the name.

import Platform
import Store

/// A snapshot in which a path changed.
public struct PathChange: Sendable {
  public let committed: CommittedSnapshot
  /// The address in that snapshot, or in the one before if the entry was removed.
  public let address: ImagePath
  public let old: Entry?
  public let new: Entry?
  /// The changed fields. Empty for an entry that was added or removed.
  public let fields: ChangedFields
  /// The path on the management node.
  public var path: [UInt8] { address.bytes }
}

/// The snapshot that gave a path its content.
public struct BlameOutcome: Sendable {
  /// The first snapshot of the unbroken run that has this content.
  public let origin: CommittedSnapshot
  /// The snapshot that the caller named.
  public let asked: CommittedSnapshot
  public let found: LocatedEntry
}

extension Workspace {
  /// Returns the snapshots of an image in which a path changed, newest first.
  /// - Parameter limit: the maximum number of changes, at least 1. Older snapshots are not read.
  /// - Throws: `ImageError` (`pathNotFound`) if no snapshot has the path.
  public func log(_ name: String, path: String, limit: Int = .max) throws -> [PathChange] {
    try PathHistory(context).log(name, path: path, limit: limit)
  }

  /// Returns the snapshot in which a path got the content that it has in `reference`.
  /// - Throws: `ImageError` (`pathNotFound`) if that snapshot does not have the path.
  public func blame(_ reference: Reference, path: String) throws -> BlameOutcome {
    try PathHistory(context).blame(reference, path: path)
  }
}

/// Follows a path through the history.
struct PathHistory: Collaborator {
  let context: Context

  func log(_ name: String, path: String, limit: Int = .max) throws -> [PathChange] {
    precondition(limit > 0)
    let (image, numbers) = try SnapshotResolver(context).findHistory(name)
    let refs = try context.store().refs
    var changes: [PathChange] = []
    var newer: (committed: CommittedSnapshot, probe: PathProbe)?
    for number in numbers where changes.count < limit {
      guard let committed = try refs.readIfPresent(image, number) else { continue }
      let probe = try PathProbe(
        try ComparisonReader(context).reader(of: committed), path, neighbour: newer?.probe)
      if let newer, let change = PathChange(newer.committed, from: probe, to: newer.probe) {
        changes.append(change)
      }
      newer = (committed, probe)
    }
    if changes.count < limit, let newer,
      let change = PathChange(newer.committed, from: nil, to: newer.probe)
    {
      changes.append(change)
    }
    guard !changes.isEmpty else {
      throw ImageError(
        .pathNotFound, "\(image):\(path)", "is in no snapshot of that image",
        hint: "Paths are absolute on the management node, or inside the root tree")
    }
    return changes
  }

  func blame(_ reference: Reference, path: String) throws -> BlameOutcome {
    let asked = try SnapshotResolver(context).find(reference)
    let image = try ImageName(asked.snapshot.image)
    let refs = try context.store().refs
    var probe = try PathProbe(try ComparisonReader(context).reader(of: asked), path, neighbour: nil)
    guard let found = probe.found else {
      _ = try ComparisonReader(context).reader(of: asked).require(path)
      throw ImageError(.pathNotFound, "\(asked.name):\(path)", "is not in that snapshot")
    }
    var origin = asked
    for number in try refs.numbers(of: image).reversed() where number < asked.number {
      guard let committed = try refs.readIfPresent(image, number) else { continue }
      let older = try PathProbe(
        try ComparisonReader(context).reader(of: committed), path, neighbour: probe)
      guard older.found?.entry.content == found.entry.content else { break }
      origin = committed
      probe = older
    }
    return BlameOutcome(origin: origin, asked: asked, found: found)
  }
}

/// One path in one snapshot: the entries on the path, from the component down.
private struct PathProbe {
  private var entries: [Entry] = []
  private let parts: [[UInt8]]
  /// Nil if the image has no root tree, or no entry can have the path.
  private let address: ImagePath?

  /// - Parameter neighbour: a probe of the same path in another snapshot. Trees that both have are not read.
  init(_ reader: SnapshotReader, _ text: String, neighbour: PathProbe?) throws {
    guard let (component, parts) = try reader.locateIfPresent(text) else {
      self.parts = []
      address = nil
      return
    }
    self.parts = parts
    address = RelativePath(names: parts).map {
      ImagePath(component: component.path, path: $0)
    }
    var entry = component.entry
    entries.append(entry)
    for (depth, part) in parts.enumerated() {
      if let neighbour, neighbour.parts == parts, depth < neighbour.entries.count,
        let ids = entry.ids, ids == neighbour.entries[depth].ids
      {
        entries += neighbour.entries[(depth + 1)...]
        return
      }
      guard let child = try reader.children(of: entry).first(where: { $0.name == part }) else {
        return
      }
      entry = child
      entries.append(entry)
    }
  }

  /// The entry at the path; nil if the snapshot does not have it.
  var found: LocatedEntry? {
    guard entries.count == parts.count + 1, let last = entries.last, let address else { return nil }
    return LocatedEntry(address: address, entry: last)
  }
}

extension PathChange {
  fileprivate init?(
    _ committed: CommittedSnapshot, from previous: PathProbe?, to probe: PathProbe
  ) {
    let old = previous?.found
    let new = probe.found
    guard let address = (new ?? old)?.address else { return nil }
    var fields: ChangedFields = []
    if let old, let new {
      fields = old.entry.changes(to: new.entry)
      // A directory counts as changed if an entry below it changed.
      if old.entry.tree != new.entry.tree { fields.insert(.content) }
      if old.entry.times != new.entry.times { fields.insert(.modified) }
      if fields.isEmpty { return nil }
    }
    self.init(
      committed: committed, address: address, old: old?.entry, new: new?.entry, fields: fields)
  }
}
