// Which objects the snapshots need: the marking of a collection.
//
// 1. Nothing that is needed is left out. An object that is not needed may be counted as needed
//    (64-bit keys), which costs space; whether a directory or blob was walked is told by 128 bits.
// 2. Equal directories are walked once, however many snapshots have them.
// 3. Memory: 11 bytes an object, up to 43 a directory and a blob that a recipe makes: for a tree of
//    one directory to seven files together about 20 bytes a chunk.

import Codec
import Platform

/// The objects that snapshots need, as far as they were added.
struct Reachability {
  private var objects: PrefixSet
  // Apart: a file may well hold the very bytes that a directory's key is the hash of.
  private var directories = Digest128Set()
  private var recipes = Digest128Set()
  private(set) var snapshots: Set<SnapshotName> = []

  /// - Parameter objectCount: how many objects there are, to begin with the right size.
  init(objectCount: Int) {
    objects = PrefixSet(capacity: objectCount)
  }

  func contains(_ kind: ObjectKind, _ id: Digest) -> Bool {
    objects.contains(prefixKey(kind, id))
  }

  /// Adds all snapshots of the store that are not in yet.
  mutating func addAll(of store: ObjectStore, progress: Progress) throws {
    try store.refs.requireNoneLost()
    // The refs are read under a lock that others wait for: walking comes after.
    var roots: [ObjectReference] = []
    var added: Set<SnapshotName> = []
    try store.refs.readAll(except: snapshots) { committed in
      for piece in committed.snapshot.pieces {
        piece.entry.forEachReference { roots.append($0) }
      }
      added.insert(
        SnapshotName(
          image: try ImageName(committed.snapshot.image), number: committed.number))
    }
    if added.isEmpty { return }
    let reader = try ReferenceReader(store)
    for root in roots.reversed() { try walk(root, reader, progress) }
    snapshots.formUnion(added)
  }

  private mutating func walk(
    _ root: ObjectReference, _ reader: ReferenceReader, _ progress: Progress
  ) throws {
    var pending = [root]
    while let next = pending.popLast() {
      switch next {
      case .object: break
      case .blob(let blob):
        if reader.mayHaveRecipe(blob), !recipes.insert(Digest128Set.Key(blob)) { continue }
      case .directory(let ids): if !directories.insert(Digest128Set.Key(ids)) { continue }
      }
      progress.add(items: 1)
      try reader.expand(next) {
        objects.insert(prefixKey($0, $1))
      } needs: {
        pending.append($0)
      }
    }
  }
}
