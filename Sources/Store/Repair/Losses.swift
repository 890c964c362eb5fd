// What a store has lost, by object for those who look for it, and by snapshot and path for people.
//
// 1. An object counts as lost where no readable copy is in any pack. Presence decides: packs were read
//    before, and what was damaged in them is in none any more (or is given as unreadable).
// 2. Directories and blobs that are whole are walked once, however many snapshots have them; broken ones
//    are walked for each snapshot, so that each names its own paths.

import Codec
import Platform

/// A path of a snapshot that cannot be restored. The empty path is the snapshot itself.
public struct LostPath: Sendable {
  public let snapshot: String
  public let path: [UInt8]
  public let reason: String
}

/// Everything that is lost.
public struct Losses: Sendable {
  /// More are counted, and not listed.
  public static let maxPaths = 100_000

  public internal(set) var paths: [LostPath] = []
  public internal(set) var pathCount = 0
  /// Objects whose return would help.
  var objects: Set<ObjectName> = []
  var directories: Set<Tree.IDs> = []

  public var isEmpty: Bool { pathCount == 0 }

  mutating func add(_ snapshot: String, _ path: [UInt8], _ reason: String) {
    pathCount += 1
    if paths.count < Losses.maxPaths {
      paths.append(LostPath(snapshot: snapshot, path: path, reason: reason))
    }
  }
}

/// Walks all snapshots of a store.
final class LossSurvey {
  private let store: ObjectStore
  private let progress: Progress
  private let isUnreadable: (ObjectName) throws -> Bool
  private let found: FoundObjects?
  private let source: StoreWithFound
  private(set) var losses = Losses()
  private var wholeDirectories: Set<Tree.IDs> = []
  private var wholeBlobs: Set<Digest> = []
  private var brokenBlobs: [Digest: String] = [:]

  /// - Parameters:
  ///   - found: counts as there, besides what the store has.
  ///   - isUnreadable: objects whose copies in the packs are all damaged.
  init(
    _ store: ObjectStore, progress: Progress, found: FoundObjects? = nil,
    isUnreadable: @escaping (ObjectName) throws -> Bool = { _ in false }
  ) {
    self.store = store
    self.progress = progress
    self.isUnreadable = isUnreadable
    self.found = found
    source = StoreWithFound(store: store, found: found)
  }

  /// Walks every snapshot.
  /// - Parameter planned: refs of which a dry run knows what they would be.
  func run(_ planned: [SnapshotName: PlannedRef] = [:]) throws -> Losses {
    progress.begin("looking for what is lost")
    let refs = store.refs
    for image in try refs.everyImage() {
      for number in try refs.lostNumbers(of: image)
      where planned[SnapshotName(image: image, number: number)] == nil {
        losses.add("\(image)@\(number)", [], "its ref is missing")
      }
      for number in try refs.numbers(of: image)
      where planned[SnapshotName(image: image, number: number)] == nil {
        do {
          guard let committed = try refs.readIfPresent(image, number) else { continue }
          _ = try check(committed.snapshot, committed.name)
        } catch let error as StoreError where error.kind == .damaged || error.kind == .missing {
          losses.add("\(image)@\(number)", [], error.finding)
        }
      }
    }
    for (name, ref) in planned.sorted(by: {
      ($0.key.image, $0.key.number) < ($1.key.image, $1.key.number)
    }) {
      if case .snapshot(let snapshot) = ref { _ = try check(snapshot, "\(name)") }
    }
    return losses
  }

  /// Walks one snapshot.
  /// - Returns: whether all of it is there.
  func check(_ snapshot: Snapshot, _ name: String) throws -> Bool {
    var isWhole = true
    for piece in snapshot.pieces {
      let isGood = try check(piece.entry, name, piece.path, depth: 0)
      isWhole = isWhole && isGood
    }
    return isWhole
  }

  private func check(
    _ entry: Entry, _ snapshot: String, _ path: [UInt8], depth: Int
  ) throws -> Bool {
    progress.add(items: 1)
    var reasons: [String] = []
    if let id = entry.xattrs, try !isThere(.xattrs, id) { reasons.append("attributes") }
    if let id = entry.holes, try !isThere(.holes, id) { reasons.append("hole map") }
    switch entry.content {
    case .file(let blob, let size):
      if let reason = try loss(of: blob, size, depth: 0) { reasons.append(reason) }
    case .directory:
      if let ids = entry.ids {
        guard let children = try children(of: ids) else {
          losses.add(snapshot, path, "the directory and all below it")
          return false
        }
        if !reasons.isEmpty { losses.add(snapshot, path, reasons.joined(separator: ", ")) }
        if wholeDirectories.contains(ids) { return reasons.isEmpty }
        var isWhole = true
        for child in children {
          let isGood = try check(
            child, snapshot, path + [0x2f] + child.name, depth: depth + 1)
          isWhole = isWhole && isGood
        }
        if isWhole { wholeDirectories.insert(ids) }
        return isWhole && reasons.isEmpty
      }
    default: break
    }
    if reasons.isEmpty { return true }
    losses.add(snapshot, path, reasons.joined(separator: ", "))
    return false
  }

  /// Whether an object can be read; it is noted where not.
  private func isThere(_ kind: ObjectKind, _ id: Digest) throws -> Bool {
    if try has(kind, id) { return true }
    losses.objects.insert(ObjectName(kind: kind, id: id))
    return false
  }

  private func has(_ kind: ObjectKind, _ id: Digest) throws -> Bool {
    let name = ObjectName(kind: kind, id: id)
    if found?.contains(name) == true { return true }
    return try store.index.place(kind, id) != nil && !isUnreadable(name)
  }

  /// The entries of a directory; nil where it is lost. Those of a whole one are not read again.
  private func children(of ids: Tree.IDs) throws -> [Entry]? {
    if wholeDirectories.contains(ids) { return [] }
    let hasTree = try isThere(.tree, ids.tree)
    let hasTimes = try isThere(.times, ids.times)
    if hasTree, hasTimes {
      do {
        var hasLeaves = true
        for leaf in try Tree.leaves(ids, from: source) {
          let hasLeaf = try isThere(.tree, leaf.tree)
          let hasLeafTimes = try isThere(.times, leaf.times)
          hasLeaves = hasLeaves && hasLeaf && hasLeafTimes
        }
        if hasLeaves { return try Tree.entries(ids, from: source) }
      } catch let error as StoreError {
        guard error.kind == .damaged || error.kind == .missing else { throw error }
      }
    }
    losses.directories.insert(ids)
    return nil
  }

  /// Why a blob cannot be read; nil where it can.
  private func loss(of blob: Digest, _ sizeBytes: UInt64, depth: Int) throws -> String? {
    if sizeBytes == 0 {
      return blob == emptyBlob ? nil : "it is empty, and its name says otherwise"
    }
    if wholeBlobs.contains(blob) { return nil }
    if let reason = brokenBlobs[blob] { return reason }
    let reason = try findLoss(of: blob, sizeBytes, depth: depth)
    if let reason { brokenBlobs[blob] = reason } else { wholeBlobs.insert(blob) }
    return reason
  }

  private func findLoss(of blob: Digest, _ sizeBytes: UInt64, depth: Int) throws -> String? {
    let isSmall = sizeBytes <= UInt64(Chunker.maxBytes)
    if isSmall, try has(.chunk, blob) { return nil }
    if isSmall { losses.objects.insert(ObjectName(kind: .chunk, id: blob)) }
    let recipe = ObjectName(kind: .recipe, id: blob)
    let isFound = found?.contains(recipe) == true
    if sizeBytes <= UInt64(Chunker.wholeFileBytes), !isFound,
      try store.index.place(.recipe, blob) == nil
    {
      return "its content"
    }
    guard try isThere(.recipe, blob) else { return "its content" }
    if isFound {
      // Of other recipes their source has made the whole blob.
      guard let chunks = try? Recipe.decode(found?.bytes(of: recipe) ?? []) else { return nil }
      let missing = try chunks.runs.count { try !isThere(.chunk, $0.chunk) }
      return missing == 0 ? nil : "\(missing) of its chunks"
    }
    do {
      let parts = try store.parts(of: blob, sizeBytes: sizeBytes)
      if let made = parts.made {
        guard let reason = try loss(of: made, depth: depth) else { return nil }
        // A list of chunks would do as well.
        losses.objects.insert(ObjectName(kind: .recipe, id: blob))
        return reason
      }
      var missing = 0
      for part in parts {
        if let chunk = part.chunk, try !isThere(.chunk, chunk) { missing += 1 }
      }
      return missing == 0 ? nil : "\(missing) of its chunks"
    } catch let error as StoreError {
      guard error.kind == .damaged || error.kind == .missing else { throw error }
      losses.objects.insert(ObjectName(kind: .recipe, id: blob))
      if case .made(let recipe)? = try? store.recipe(of: blob) {
        _ = try loss(of: recipe.plan, recipe.planBytes, depth: depth + 1)
      }
      return "its content"
    }
  }

  private func loss(of made: ReconstructedBlob, depth: Int) throws -> String? {
    guard depth < ReconstructedBlob.maxDepth else {
      return "it is made of made blobs, too many deep"
    }
    if let mismatch = made.encoderMismatch(store.maker) { return mismatch }
    var found: String?
    let references = try store.references(of: made.id, sizeBytes: made.sizeBytes)
    for (blob, size) in references.blobs {
      if try loss(of: blob, size, depth: depth + 1) != nil { found = "what it is made of" }
    }
    return found
  }
}
