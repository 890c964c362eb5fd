// The objects that snapshots need: the marking of a collection.
//
// 1. No needed object is omitted. An object that is not needed may count as needed (64-bit keys), which
//    costs space. Keys of 128 bits decide whether a directory or blob was visited.
// 2. A needed object in a frame with a base needs the whole base (FrameBase.swift). All copies of the object
//    count, because any of them may be read.
// 3. The index says which blobs have recipes, and which frames bases. It is rebuilt if it lacks a needed
//    object.
// 4. Equal directories are visited once, however many snapshots have them.
// 5. Memory: 11 bytes an object, up to 43 a directory and a blob with a recipe. A tree with one directory
//    for seven files takes about 20 bytes a chunk.

import Codec
import Platform

/// The set of objects that the added snapshots need.
struct Reachability {
  private var objects: PrefixSet
  // Separate sets: a file may contain exactly the bytes whose hash is a directory's key.
  private var directories = Digest128Set()
  private var recipes = Digest128Set()
  /// The keys that these blobs would have as chunks, which need not exist.
  private var blobsWithRecipes = PrefixSet()
  /// The chunks that no snapshot reaches, and a base needs.
  private var onlyBases = PrefixSet()
  private(set) var snapshots: Set<SnapshotName> = []

  /// Creates an empty set.
  /// - Parameter objectCount: the expected number of objects, for the initial size.
  init(objectCount: Int) {
    objects = PrefixSet(capacity: objectCount)
  }

  func contains(_ kind: ObjectKind, _ id: Digest) -> Bool {
    objects.contains(prefixKey(kind, id))
  }

  /// Returns true if no snapshot reached a chunk when the bases were marked, and one of them needs it.
  func isOnlyBase(_ chunk: Digest) -> Bool { onlyBases.contains(prefixKey(.chunk, chunk)) }

  /// Adds all snapshots of the store that were not added before.
  /// - Throws: `damaged` if a ref is lost or unreadable, or a directory is unreadable.
  mutating func addAll(of store: ObjectStore, progress: Progress) throws {
    try mark(store, progress)
    if try isListed(in: store.index) { return }
    // It may have been rebuilt while a pack was damaged that is intact again. Then it lacks recipes, and
    // frames with bases, and their content would seem unneeded.
    try store.index.rebuildOnce("index: rebuilt to look for a missing object")
    self = Reachability(objectCount: try store.totals().objects)
    try mark(store, progress)
  }

  private mutating func mark(_ store: ObjectStore, _ progress: Progress) throws {
    try addNew(of: store, progress: progress)
    do throws(StoreError) { try addBases(store.index) } catch {
      guard error.kind == .damaged || error.kind == .missing else { throw error }
      // A wrong index row and a damaged pack look the same. A rebuilt index distinguishes them.
      try store.index.rebuildOnce("index: rebuilt because it may have listed a wrong location")
      try addBases(store.index)
    }
  }

  /// Returns whether the index lists all needed objects.
  private func isListed(in index: Index) throws(StoreError) -> Bool {
    var listed = PrefixSet(capacity: try index.estimatedCount())
    try index.forEachID { listed.insert(prefixKey($0, $1)) }
    return objects.allSatisfy { listed.contains($0) || blobsWithRecipes.contains($0) }
  }

  private mutating func addNew(of store: ObjectStore, progress: Progress) throws {
    try store.refs.requireNoneLost()
    // The refs are read under a lock that other processes wait for, so the walk comes after it.
    var roots: [ObjectReference] = []
    var added: Set<SnapshotName> = []
    try store.refs.readAll(except: snapshots) { committed in
      for component in committed.snapshot.components {
        component.entry.forEachReference { roots.append($0) }
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

  /// Adds the bases of the frames that hold needed objects.
  /// - Throws: `damaged` if the directory of such a frame cannot be read.
  private mutating func addBases(_ index: Index) throws(StoreError) {
    var rest = try index.framesWithBases()
    var isGrowing = true
    // A base may be in a frame with a base. The deepest frames come first, so one pass finds nearly all.
    while isGrowing {
      isGrowing = false
      var unneeded: [FrameAddress] = []
      for address in rest {
        guard let frame = try index.directory(of: address), let base = frame.base else { continue }
        guard frame.objects.contains(where: { contains($0.kind, $0.id) }) else {
          unneeded.append(address)
          continue
        }
        for chunk in base.chunks where objects.insert(prefixKey(.chunk, chunk.id)) {
          onlyBases.insert(prefixKey(.chunk, chunk.id))
          isGrowing = true
        }
      }
      rest = unneeded
    }
  }

  private mutating func walk(
    _ root: ObjectReference, _ reader: ReferenceReader, _ progress: Progress
  ) throws {
    var pending = [root]
    while let next = pending.popLast() {
      switch next {
      case .object: break
      case .blob(let blob):
        guard reader.mayHaveRecipe(blob) else { break }
        blobsWithRecipes.insert(prefixKey(.chunk, blob))
        if !recipes.insert(Digest128(blob)) { continue }
      case .directory(let ids): if !directories.insert(Digest128(ids)) { continue }
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
