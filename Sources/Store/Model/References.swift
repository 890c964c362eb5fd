// The dependencies of objects. Garbage collection, space accounting and copying all use this file, so that
// they agree on what a snapshot needs.

import Codec

/// A dependency of an object.
enum ObjectReference: Hashable, Sendable {
  /// An object without further dependencies.
  case object(ObjectKind, Digest)
  case blob(Digest)
  case directory(Tree.IDs)
}

extension BlobReferences {
  /// Calls `body` for each dependency of the blob.
  ///
  /// `ObjectStore.references` is the only source of the dependencies of recipes, of every kind.
  func forEachReference(_ body: (ObjectReference) throws -> Void) rethrows {
    for chunk in chunks { try body(.object(.chunk, chunk)) }
    for blob in blobs { try body(.blob(blob.id)) }
  }
}

extension Entry {
  /// Calls `body` for each object or blob that the entry needs to be complete.
  func forEachReference(_ body: (ObjectReference) throws -> Void) rethrows {
    if let xattrs { try body(.object(.xattrs, xattrs)) }
    if let holes { try body(.object(.holes, holes)) }
    if let blob, blob != emptyBlob { try body(.blob(blob)) }
    if let ids { try body(.directory(ids)) }
  }
}

/// Reads the dependencies of objects.
///
/// It knows which blobs have recipes: the many blobs that are one chunk need no index lookup. Create it
/// after reading the refs whose objects it will be asked about.
struct ReferenceReader {
  private let store: ObjectStore
  private let recipes: PrefixSet

  /// Creates a reader with the recipes that the index lists now.
  /// - Throws: `StoreError` if the index cannot be read, or fails its checksum.
  init(_ store: ObjectStore) throws(StoreError) {
    self.store = store
    try store.index.refresh()
    // The checked list: a recipe missing from a damaged index would make gc delete the chunks that it names.
    recipes = try store.index.checkedIDs(of: .recipe)
  }

  /// Reports the objects that a directory or blob consists of, and the dependencies of its entries or parts.
  ///
  /// A blob that is both a chunk and has a recipe counts as both, because a reader may use either.
  /// - Parameter own: receives the objects of the directory or blob itself, including ones that do not exist.
  /// - Parameter needs: receives the dependencies.
  /// - Throws: `StoreError` if a directory or recipe cannot be read: its dependencies are then unknown.
  func expand(
    _ reference: ObjectReference, own: (ObjectKind, Digest) -> Void,
    needs: (ObjectReference) throws -> Void
  ) throws {
    switch reference {
    case .object(let kind, let id): own(kind, id)
    case .directory(let ids):
      own(.tree, ids.tree)
      own(.times, ids.times)
      for leaf in try Tree.leaves(ids, from: store) {
        own(.tree, leaf.tree)
        own(.times, leaf.times)
      }
      for entry in try Tree.entries(ids, from: store) { try entry.forEachReference(needs) }
    case .blob(let blob):
      own(.chunk, blob)
      guard mayHaveRecipe(blob), try store.holds(.recipe, blob) else { return }
      own(.recipe, blob)
      try store.references(ofRecipeOf: blob).forEachReference(needs)
    }
  }

  /// Returns false if the blob certainly has no recipe.
  func mayHaveRecipe(_ blob: Digest) -> Bool { recipes.contains(prefixKey(.recipe, blob)) }
}
