// Finds the objects that a snapshot needs beyond what other snapshots need: what a push or a pull must carry,
// and what a receiver must have before it creates a ref.
//
// 1. A directory is skipped only if a base snapshot has it: the place that has the base's ref has everything
//    below. That an object exists somewhere says nothing about the objects that it names.
// 2. Directories are read level by level, so that a remote place needs one request for each level.
// 3. Bases are compared at the same paths, so the work depends on the change and not on the image. A directory
//    that moved is walked, which costs time only.
// 4. Memory: the entries of one level, and the ids that are needed or known.

import Codec
import Platform

/// The decoded directory: its own objects besides the top ones, and its entries.
public struct DirectoryContent: Sendable {
  /// The leaves of a large directory.
  public let leaves: [Tree.IDs]
  public let entries: [Entry]

  /// Creates a value.
  public init(leaves: [Tree.IDs], entries: [Entry]) {
    self.leaves = leaves
    self.entries = entries
  }

  /// Reads a directory from a source of its objects.
  /// - Throws: errors of `source`; `damaged`.
  public init(_ ids: Tree.IDs, from source: some ObjectSource) throws {
    leaves = try Tree.leaves(ids, from: source)
    entries = try Tree.entries(ids, from: source)
  }
}

/// The objects that a snapshot needs.
public struct SnapshotNeeds: Sendable {
  /// Trees, times, attribute sets and hole maps.
  public var objects: [ObjectName] = []
  /// The files' contents, without the empty one.
  public var blobs: [Digest] = []
}

/// Walks a snapshot from its components down.
public struct SnapshotWalk {
  /// Reads directories of the snapshot, in the order of the ids.
  public typealias Reader = ([Tree.IDs]) throws -> [DirectoryContent]

  /// The deepest directory that a walk enters. No path that Linux accepts is deeper.
  static let maxDepth = 4096

  private struct Pair {
    let ids: Tree.IDs
    let bases: [Tree.IDs]
  }

  private let base: ObjectStore?
  private let bases: [Snapshot]
  private var known: Set<ObjectReference> = []
  private var visited: Set<ObjectReference> = []
  private var needs = SnapshotNeeds()

  /// Creates a walk.
  /// - Parameters:
  ///   - bases: snapshots that the receiving place has refs of.
  ///   - store: a store that has the bases' directories; nil if there are no bases.
  public init(bases: [Snapshot], in store: ObjectStore?) {
    self.bases = store == nil ? [] : bases
    base = store
  }

  /// Returns what the snapshot needs beyond the bases.
  /// - Parameter limitObjects: the most objects that are accepted.
  /// - Throws: errors of `read`; `refused` for a snapshot with more objects, or deeper directories.
  public static func needs(
    of snapshot: Snapshot, bases: [Snapshot] = [], in store: ObjectStore? = nil,
    limitObjects: Int = 64 << 20, reading read: Reader
  ) throws -> SnapshotNeeds {
    var walk = SnapshotWalk(bases: bases, in: store)
    return try walk.run(snapshot, limitObjects, read)
  }

  private mutating func run(
    _ snapshot: Snapshot, _ limitObjects: Int, _ read: Reader
  ) throws -> SnapshotNeeds {
    var level: [Pair] = []
    for component in snapshot.components {
      let entries = bases.compactMap { base in
        (base.components.first { $0.path == component.path }
          ?? base.components.first { $0.role == component.role })?.entry
      }
      for entry in entries { entry.forEachReference { known.insert($0) } }
      visit(component.entry, bases: entries.compactMap(\.ids), into: &level)
    }
    var depth = 0
    while !level.isEmpty {
      depth += 1
      guard depth <= SnapshotWalk.maxDepth, visited.count <= limitObjects else {
        throw StoreError(
          .refused, "the snapshot of \(snapshot.image)",
          "has more directories or files than any image has")
      }
      level = try descend(level, read)
    }
    return needs
  }

  /// Reads the directories of a level and returns those below them.
  private mutating func descend(_ level: [Pair], _ read: Reader) throws -> [Pair] {
    var next: [Pair] = []
    let contents = try read(level.map(\.ids))
    guard contents.count == level.count else {
      throw StoreError(.damaged, "a directory", "was not returned by its source")
    }
    for (pair, content) in zip(level, contents) {
      var below: [[UInt8]: [Tree.IDs]] = [:]
      var knownLeaves: Set<Tree.IDs> = []
      for ids in pair.bases {
        // The base only saves work: what cannot be read of it is walked.
        guard let base, let old = try? DirectoryContent(ids, from: base) else { continue }
        knownLeaves.formUnion(old.leaves)
        for entry in old.entries {
          entry.forEachReference { known.insert($0) }
          if let ids = entry.ids { below[entry.name, default: []].append(ids) }
        }
      }
      add(pair.ids)
      for leaf in content.leaves where !knownLeaves.contains(leaf) { add(leaf) }
      for entry in content.entries { visit(entry, bases: below[entry.name] ?? [], into: &next) }
    }
    return next
  }

  private mutating func add(_ ids: Tree.IDs) {
    needs.objects.append(ObjectName(kind: .tree, id: ids.tree))
    needs.objects.append(ObjectName(kind: .times, id: ids.times))
  }

  private mutating func visit(_ entry: Entry, bases: [Tree.IDs], into level: inout [Pair]) {
    entry.forEachReference { reference in
      guard !known.contains(reference), visited.insert(reference).inserted else { return }
      switch reference {
      case .object(let kind, let id): needs.objects.append(ObjectName(kind: kind, id: id))
      case .blob(let blob): needs.blobs.append(blob)
      case .directory(let ids): level.append(Pair(ids: ids, bases: bases))
      }
    }
  }
}

/// How a place has the content of a blob.
public enum BlobContent: Sendable {
  /// As one chunk with the blob's id.
  case chunk
  /// By a recipe, which needs these parts.
  case recipe(BlobReferences)
}

extension ObjectStore {
  /// Returns whether a pack that is not doomed contains the object.
  /// - Throws: `StoreError` of kind `index`.
  public func keeps(_ name: ObjectName) throws(StoreError) -> Bool {
    try index.keeps(name.kind, name.id)
  }

  /// Returns how the store has the content of each blob, in their order; nil for blobs that it lacks.
  /// - Throws: `StoreError` if a recipe cannot be read.
  public func contents(of blobs: [Digest]) throws -> [BlobContent?] {
    try withReadTransaction {
      try blobs.map { blob in
        if try holds(.chunk, blob) { return .chunk }
        guard try holds(.recipe, blob) else { return nil }
        return .recipe(try references(ofRecipeOf: blob))
      }
    }
  }

  /// Returns the objects that the store lacks, and needs before it may have a ref of the snapshot.
  /// - Parameters:
  ///   - bases: snapshots that the store has refs of.
  ///   - known: objects that the caller has just stored.
  /// - Returns: at most `limit` of them.
  /// - Throws: `StoreError` if a directory or recipe cannot be read.
  public func missingObjects(
    of snapshot: Snapshot, bases: [Snapshot], limit: Int = 1, except known: Set<ObjectName> = []
  ) throws -> [ObjectName] {
    var missing: [ObjectName] = []
    func require(_ kind: ObjectKind, _ id: Digest) throws {
      let name = ObjectName(kind: kind, id: id)
      if missing.count < limit, try !known.contains(name) && !index.keeps(kind, id) {
        missing.append(name)
      }
    }
    let needs = try SnapshotWalk.needs(of: snapshot, bases: bases, in: self) { ids in
      try withReadTransaction {
        try ids.map { ids in
          // A directory that is not there is missing, and nothing below it is known.
          try require(.tree, ids.tree)
          try require(.times, ids.times)
          guard missing.isEmpty else { return DirectoryContent(leaves: [], entries: []) }
          return try DirectoryContent(ids, from: self)
        }
      }
    }
    try withReadTransaction {
      for name in needs.objects { try require(name.kind, name.id) }
      for blob in needs.blobs where missing.count < limit {
        // The chunks of a recipe are looked up: its check may have read one from a pack that will be removed.
        if known.contains(ObjectName(kind: .chunk, id: blob)) { continue }
        if try !isUsable(blob: blob) { missing.append(ObjectName(kind: .recipe, id: blob)) }
      }
    }
    return missing
  }
}
