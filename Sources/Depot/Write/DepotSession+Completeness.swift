// Checks before a ref is created that the depot has everything that its snapshot needs (invariant 4 of
// `Depot`).
//
// An object in a frame with a base needs everything that the base is read from. Its packs are recorded, too.
//
// Directories that a base snapshot has are skipped only if that is known to be complete in packs that the
// session may count on (`CompletenessRecords`).

import Codec
import Platform
import Store
import Transfer

extension DepotSession {
  /// Checks that packs which the session may count on have everything that the snapshot needs.
  /// - Throws: `objectMissing`; errors of reading trees.
  func requireComplete(
    _ snapshot: TransferredSnapshot, _ image: ImageName, _ bases: [Digest]
  ) throws {
    var packs: Set<DepotPack> = []
    var visited: Set<FrameLocation> = []
    let copies = usableCopies()
    func require(_ name: ObjectName) throws {
      if let copy = try copies.copy(of: name) {
        return try copies.addPacks(of: copy.frame, to: &packs, &visited)
      }
      throw DepotError(
        .objectMissing, "the \(name.kind.noun) \(name.id.shortHex)",
        "of \(image) is in no pack of \(depot.name) that lasts",
        hint: "Repeat the command. A collection may be removing packs there at present")
    }
    let usable = try usableBases(bases)
    for base in usable { packs.formUnion(depot.completeness.packs(of: base) ?? []) }
    let needs = try SnapshotWalk.needs(
      of: snapshot.snapshot, bases: try snapshots(usable, of: image), in: depot.options.localStore,
      reading: directories)
    for name in needs.objects { try require(name) }
    let resolver = resolver()
    var blobs = needs.blobs
    var seen = Set(blobs)
    while !blobs.isEmpty {
      var parts: [Digest] = []
      for (blob, resolution) in zip(blobs, try resolver.resolve(blobs)) {
        switch resolution {
        case nil: try require(ObjectName(kind: .recipe, id: blob))
        case .chunk: try require(ObjectName(kind: .chunk, id: blob))
        case .recipe(let recipe):
          if let position = recipe.position {
            packs.insert(position.pack)
          } else {
            try require(ObjectName(kind: .recipe, id: blob))
          }
          for chunk in recipe.references.chunks { try require(ObjectName(kind: .chunk, id: chunk)) }
          for part in recipe.references.blobs
          where part.sizeBytes > 0 && seen.insert(part.id).inserted {
            parts.append(part.id)
          }
        }
      }
      blobs = parts
    }
    depot.completeness.record(snapshot.id, packs)
  }

  /// Returns the snapshots of an image with these ids.
  private func snapshots(_ ids: [Digest], of image: ImageName) throws -> [Snapshot] {
    guard depot.options.localStore != nil, !ids.isEmpty else { return [] }
    var result: [Snapshot] = []
    for number in try depot.refs.numbers(of: image).existing {
      if let ref = try depot.refs.read(image, number), ids.contains(ref.id) {
        result.append(ref.snapshot)
      }
    }
    return result
  }

  /// Reads directories, from the store of this machine if it has them. They have the same ids everywhere.
  private func directories(_ ids: [Tree.IDs]) throws -> [DirectoryContent] {
    var result: [DirectoryContent?] = ids.map { ids in
      depot.options.localStore.flatMap { try? DirectoryContent(ids, from: $0) }
    }
    let missing = zip(ids, result).filter { $0.1 == nil }.map(\.0)
    if !missing.isEmpty {
      var contents = try DepotSource(depot).directories(missing)[...]
      for index in result.indices where result[index] == nil { result[index] = contents.popFirst() }
    }
    return result.compactMap { $0 }
  }
}
