// The losses of a store: by object for the sources of `repair`, and by snapshot and path for users.
//
// 1. An object counts as lost if no pack has a readable copy. Its presence in the index decides: the packs
//    were read before, and their damaged objects are not in it, or are listed as unreadable.
// 2. Complete directories and blobs are walked once, however many snapshots have them. Broken ones are
//    walked for each snapshot, so that each snapshot lists its own paths.

import Codec
import Platform

/// A path of a snapshot that cannot be restored. The empty path stands for the snapshot itself, or for the
/// tag or pin that `snapshot` names.
public struct LostPath: Sendable {
  public let snapshot: String
  public let path: [UInt8]
  public let reason: String
}

/// The numbers of losses of each kind.
public struct LossCounts: Sendable, Equatable {
  /// Paths inside of snapshots.
  public var paths = 0
  /// Snapshots of which nothing can be read.
  public var snapshots = 0
  /// Tags and pins.
  public var marks = 0
}

/// All losses of a store.
public struct Losses: Sendable {
  /// The maximum number of listed paths. Further paths are only counted.
  public static let maxPaths = 100_000

  public internal(set) var paths: [LostPath] = []
  public internal(set) var pathCount = 0
  public internal(set) var counts = LossCounts()
  /// The snapshots whose refs do not exist.
  public internal(set) var lostSnapshots: [SnapshotName] = []
  /// The objects whose recovery would help.
  var objects: Set<ObjectName> = []
  var directories: Set<Tree.IDs> = []

  /// Returns true if nothing is lost.
  public var isEmpty: Bool { pathCount == 0 }

  /// Adds a damaged tag or pin.
  mutating func add(_ mark: DamagedMark) {
    add(mark.reference, [], "its \(mark.kind) \(mark.reason)")
    counts.snapshots -= 1
    counts.marks += 1
  }

  mutating func add(_ snapshot: String, _ path: [UInt8], _ reason: String) {
    pathCount += 1
    if path.isEmpty { counts.snapshots += 1 } else { counts.paths += 1 }
    if paths.count < Losses.maxPaths {
      paths.append(LostPath(snapshot: snapshot, path: path, reason: reason))
    }
  }
}

/// Walks all snapshots of a store to find losses.
final class LossScanner {
  private let store: ObjectStore
  private let progress: Progress
  private let isUnreadable: (ObjectName) throws -> Bool
  private let found: RecoverableObjects?
  private let source: RepairedStoreView
  private(set) var losses = Losses()
  private var wholeDirectories: Set<Tree.IDs> = []
  private var wholeBlobs: Set<Digest> = []
  /// The frames whose bases can be read.
  private var completeBases: Set<FrameAddress> = []
  private var brokenBlobs: [Digest: String] = [:]

  /// Creates a survey.
  /// - Parameters:
  ///   - found: objects that count as present, in addition to those in the store.
  ///   - isUnreadable: returns true for objects whose copies in the packs are all damaged.
  init(
    _ store: ObjectStore, progress: Progress, found: RecoverableObjects? = nil,
    isUnreadable: @escaping (ObjectName) throws -> Bool = { _ in false }
  ) {
    self.store = store
    self.progress = progress
    self.isUnreadable = isUnreadable
    self.found = found
    source = RepairedStoreView(store: store, found: found)
  }

  /// Walks every snapshot.
  /// - Parameter planned: the future states of refs that a dry run would change.
  func run(_ planned: [SnapshotName: PlannedRef] = [:]) throws -> Losses {
    progress.begin("looking for losses")
    let refs = store.refs
    for image in try refs.everyImage() {
      for number in try refs.lostNumbers(of: image)
      where planned[SnapshotName(image: image, number: number)] == nil {
        losses.add("\(image)@\(number)", [], "its ref is missing")
        losses.lostSnapshots.append(SnapshotName(image: image, number: number))
      }
      for number in try refs.numbers(of: image)
      where planned[SnapshotName(image: image, number: number)] == nil {
        do {
          guard let committed = try refs.readIfPresent(image, number) else { continue }
          _ = try check(committed.snapshot, committed.name)
        } catch let error as StoreError where error.kind == .damaged || error.kind == .missing {
          losses.add("\(image)@\(number)", [], error.reason)
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
  /// - Returns: true if the snapshot is complete.
  func check(_ snapshot: Snapshot, _ name: String) throws -> Bool {
    var isWhole = true
    for component in snapshot.components {
      let isGood = try check(component.entry, name, component.path, depth: 0)
      isWhole = isWhole && isGood
    }
    return isWhole
  }

  private func check(
    _ entry: Entry, _ snapshot: String, _ path: [UInt8], depth: Int
  ) throws -> Bool {
    progress.add(items: 1)
    var reasons: [String] = []
    if let id = entry.xattrs, try !isReadable(.xattrs, id) { reasons.append("attributes") }
    if let id = entry.holes, try !isReadable(.holes, id) { reasons.append("hole map") }
    switch entry.content {
    case .file(let blob, let size):
      if let reason = try loss(of: blob, size, depth: 0) { reasons.append(reason) }
    case .directory:
      if let ids = entry.ids {
        guard let children = try children(of: ids) else {
          losses.add(snapshot, path, "the directory and everything below it")
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

  /// Returns true if an object can be read. Adds it to the losses otherwise.
  private func isReadable(_ kind: ObjectKind, _ id: Digest) throws -> Bool {
    if try has(kind, id) { return true }
    losses.objects.insert(ObjectName(kind: kind, id: id))
    return false
  }

  private func has(_ kind: ObjectKind, _ id: Digest) throws -> Bool {
    let name = ObjectName(kind: kind, id: id)
    if found?.contains(name) == true { return true }
    guard let location = try store.index.location(kind, id), try !isUnreadable(name) else {
      return false
    }
    guard location.depth > 0, !completeBases.contains(location.address) else { return true }
    for chunk in try store.index.base(of: location.address)?.chunks ?? [] {
      // A base is in a frame of less depth, so this ends.
      let isRead = try isBaseReadable(chunk, belowDepth: location.depth)
      if isRead { continue }
      losses.objects.insert(ObjectName(kind: .chunk, id: chunk.id))
      return false
    }
    completeBases.insert(location.address)
    return true
  }

  private func isBaseReadable(_ chunk: FrameBase.Chunk, belowDepth depth: UInt8) throws -> Bool {
    if found?.contains(ObjectName(kind: .chunk, id: chunk.id)) == true { return true }
    guard let location = try store.index.location(.chunk, chunk.id), location.depth < depth,
      location.length == chunk.length
    else { return false }
    return try has(.chunk, chunk.id)
  }

  /// Returns the entries of a directory; nil if it is lost. Complete directories are not read again.
  private func children(of ids: Tree.IDs) throws -> [Entry]? {
    if wholeDirectories.contains(ids) { return [] }
    let hasTree = try isReadable(.tree, ids.tree)
    let hasTimes = try isReadable(.times, ids.times)
    if hasTree, hasTimes {
      do {
        var hasLeaves = true
        for leaf in try Tree.leaves(ids, from: source) {
          let hasLeaf = try isReadable(.tree, leaf.tree)
          let hasLeafTimes = try isReadable(.times, leaf.times)
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

  /// Returns the reason why a blob cannot be read; nil if it can.
  private func loss(of blob: Digest, _ sizeBytes: UInt64, depth: Int) throws -> String? {
    if sizeBytes == 0 {
      return blob == emptyBlob ? nil : "it is empty, but its id is that of other content"
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
      try store.index.location(.recipe, blob) == nil
    {
      return "its content"
    }
    guard try isReadable(.recipe, blob) else { return "its content" }
    if isFound {
      // For other recipes, the source has reconstructed the complete blob.
      guard let chunks = try? ChunkList.decode(found?.bytes(of: recipe) ?? []) else { return nil }
      let missing = try chunks.runs.count { try !isReadable(.chunk, $0.chunk) }
      return missing == 0 ? nil : "\(missing) of its chunks"
    }
    do {
      let parts = try store.parts(of: blob, sizeBytes: sizeBytes)
      if let reconstruction = parts.reconstruction {
        guard let reason = try loss(of: reconstruction, depth: depth) else { return nil }
        // A chunk list would restore the blob, too.
        losses.objects.insert(ObjectName(kind: .recipe, id: blob))
        return reason
      }
      var missing = 0
      for part in parts {
        if let chunk = part.chunk, try !isReadable(.chunk, chunk) { missing += 1 }
      }
      return missing == 0 ? nil : "\(missing) of its chunks"
    } catch let error as StoreError {
      guard error.kind == .damaged || error.kind == .missing else { throw error }
      losses.objects.insert(ObjectName(kind: .recipe, id: blob))
      if case .reconstruction(let recipe)? = try? store.recipe(of: blob) {
        _ = try loss(of: recipe.plan, recipe.planBytes, depth: depth + 1)
      }
      return "its content"
    }
  }

  private func loss(of reconstruction: any ReconstructedBlob, depth: Int) throws -> String? {
    guard depth < ObjectStore.maxReconstructionDepth else {
      return "it has too many nested reconstructions"
    }
    if let mismatch = reconstruction.encoderMismatch { return mismatch }
    var reason: String?
    let references = try store.references(
      of: reconstruction.id, sizeBytes: reconstruction.sizeBytes)
    for (blob, size) in references.blobs {
      if try loss(of: blob, size, depth: depth + 1) != nil { reason = "a blob that it is made of" }
    }
    return reason
  }
}
