// The objects that the snapshots of a depot need.
//
// 1. No needed object is omitted. Of a blob with several recipes, all copies and what they need count,
//    because a later reader may choose any of them.
// 2. If anything that a snapshot needs is missing or unreadable, nothing is known: the caller deletes
//    nothing.
// 3. Trees are read from the store of this machine if it has them, and compared with their ids.
// 4. A needed object in a frame with a base needs the whole base (`FrameBase`). The frames of all copies
//    count, also in packs that will be deleted: other collectors copy from those. Each base is found in the
//    directories of packs.
// 5. Memory: 11-21 bytes an object, 21-43 bytes a directory and a blob with a recipe, and one batch of
//    directories.

import Codec
import Platform
import Store

/// Reads the objects of a store and compares them with their ids.
struct VerifiedStore: ObjectSource {
  let store: ObjectStore

  func object(_ kind: ObjectKind, _ id: Digest) throws -> [UInt8] {
    let bytes = try store.object(kind, id)
    guard SHA256.digest(of: bytes) == id else { throw CodecError.corrupt("other bytes") }
    return bytes
  }
}

/// The set of needed objects, and the walk that fills it.
struct DepotReachability {
  private(set) var needed = NeededObjects()
  private let depot: Depot
  private let reader: DepotReader
  private let listing: PackListing
  private let present: PresentCopies
  /// The depths of the frames in the listing.
  private(set) var depths: Set<UInt8> = [0]
  private var visitedDirectories = VisitedSet()
  private var visitedBlobs = VisitedSet()
  private var directories: [Tree.IDs] = []
  private var blobs: [Digest] = []
  private static let batch = 1024
  /// More passes over all frames with a base than any chain of bases needs.
  private static let maxPasses = 100

  /// Creates an empty set. The walk looks for objects in the latest listing of the depot.
  init(_ depot: Depot) throws {
    self.depot = depot
    reader = DepotReader(depot)
    listing = try depot.listing()
    present = PresentCopies(depot, listing)
  }

  func contains(_ key: LocationKey) -> Bool { needed.contains(key.short) }

  /// Claims a needed object for one pack; false if it is not needed, or was claimed.
  mutating func claim(_ key: LocationKey) -> Bool { needed.claim(key.short) }

  /// Adds everything that the components of a snapshot need.
  /// - Throws: `objectMissing` or `remoteDamaged` if a part of it cannot be found or read.
  mutating func add(_ roots: [Entry]) throws {
    for root in roots { try visit(root) }
    while !directories.isEmpty || !blobs.isEmpty {
      if blobs.count >= DepotReachability.batch || directories.isEmpty {
        try expandBlobs()
      } else {
        try expandDirectories()
      }
    }
  }

  /// Adds the bases of the frames with needed objects. Called once, after all snapshots were added.
  /// - Throws: `remoteDamaged` if bases form chains that no program writes.
  mutating func addBases() throws {
    let packs = Set(listing.packs.keys)
    for _ in 0..<DepotReachability.maxPasses {
      var isGrowing = false
      try depot.withCache {
        try depot.index.forEachBasedFrame(in: packs) { frame, header in
          depths.insert(frame.depth)
          guard header.objects.contains(where: { contains(LocationKey($0.kind, $0.id)) }) else {
            return
          }
          for chunk in header.base?.chunks ?? [] {
            if needed.insert(LocationKey(.chunk, chunk.id).short) { isGrowing = true }
          }
        }
      }
      if !isGrowing { return }
    }
    throw DepotError.damaged("dirs/", of: depot.name, "lists bases that do not end")
  }

  private mutating func visit(_ entry: Entry) throws {
    if let xattrs = entry.xattrs { try require(.xattrs, xattrs) }
    if let holes = entry.holes { try require(.holes, holes) }
    if let blob = entry.blob, blob != emptyBlob, visitedBlobs.insert(blob) { blobs.append(blob) }
    if let ids = entry.ids, visitedDirectories.insert(DepotReachability.key(ids)) {
      directories.append(ids)
    }
  }

  private static func key(_ ids: Tree.IDs) -> Digest {
    SHA256.digest(of: ids.tree.bytes + ids.times.bytes)
  }

  /// Marks an object as needed.
  private mutating func require(_ kind: ObjectKind, _ id: Digest) throws {
    guard needed.insert(LocationKey(kind, id).short) else { return }
    guard try exists(kind, id) else { throw missing(kind, id) }
  }

  private func exists(_ kind: ObjectKind, _ id: Digest) throws -> Bool {
    try present.contains(ObjectName(kind: kind, id: id))
  }

  private func missing(_ kind: ObjectKind, _ id: Digest) -> DepotError {
    var reason = "is in no pack of \(depot.name)"
    if let copy = try? present.candidates(LocationKey(kind, id)).first,
      let base = try? present.missingBase(of: copy.frame)
    {
      reason = "is based on chunk \(base.hex), which is in no pack of \(depot.name)"
    }
    return DepotError(
      .objectMissing, "\(kind.noun) \(id.shortHex)", "is needed by a snapshot and \(reason)",
      hint: "Verify the depot to see which snapshots are affected. Push these again, or remove them"
    )
  }

  private mutating func expandDirectories() throws {
    let ids = Array(directories.suffix(DepotReachability.batch))
    directories.removeLast(ids.count)
    for id in ids {
      try require(.tree, id.tree)
      try require(.times, id.times)
    }
    for content in try contents(of: ids) {
      for leaf in content.leaves {
        try require(.tree, leaf.tree)
        try require(.times, leaf.times)
      }
      for entry in content.entries { try visit(entry) }
    }
  }

  private func contents(of ids: [Tree.IDs]) throws -> [DirectoryContent] {
    var result: [DirectoryContent] = []
    var remote: [Tree.IDs] = []
    let local = depot.options.localStore.map { VerifiedStore(store: $0) }
    for id in ids {
      if let local, let content = try? DirectoryContent(id, from: local) {
        result.append(content)
      } else {
        remote.append(id)
      }
    }
    if !remote.isEmpty { result += try DepotSource(depot).directories(remote) }
    return result
  }

  private mutating func expandBlobs() throws {
    let batch = Array(blobs.suffix(DepotReachability.batch))
    blobs.removeLast(batch.count)
    var withRecipe: Set<Digest> = []
    for blob in batch {
      let isChunk = try exists(.chunk, blob)
      if isChunk { needed.insert(LocationKey(.chunk, blob).short) }
      if try exists(.recipe, blob) {
        needed.insert(LocationKey(.recipe, blob).short)
        withRecipe.insert(blob)
      } else if !isChunk {
        throw missing(.recipe, blob)
      }
    }
    if withRecipe.isEmpty { return }
    let recipes = try reader.recipes(of: withRecipe)
    let resolver = BlobResolver(reader, holds: present.contains)
    let complete = try resolver.resolve(Array(withRecipe))
    for (blob, resolution) in zip(Array(withRecipe), complete) {
      guard resolution != nil else { throw missing(.recipe, blob) }
      for copy in recipes[blob] ?? [] { try markParts(of: copy.bytes, blob, resolver) }
    }
  }

  /// Marks what one copy of a recipe needs. Parts of a copy that is not complete may be missing.
  private mutating func markParts(
    of bytes: [UInt8], _ blob: Digest, _ resolver: BlobResolver
  ) throws {
    guard let layout = try? BlobLayout.decode(bytes) else { return }
    switch layout {
    case .chunks(let list):
      for run in list.runs { needed.insert(LocationKey(.chunk, run.chunk).short) }
    case .reconstruction(let recipe):
      var parts = [recipe.plan]
      if let bytes = try resolver.planBytes(recipe, 0) {
        parts += try resolver.plan(blob, bytes).references().filter { $0.sizeBytes > 0 }.map(\.id)
      }
      for part in parts where visitedBlobs.insert(part) {
        let isThere = try exists(.chunk, part) || exists(.recipe, part)
        if isThere { blobs.append(part) }
      }
    }
  }
}
