// What needs what: the one place that a collector, an account of space and a copy ask.

import Codec
import Platform

/// Something that an object needs.
enum ObjectReference: Hashable, Sendable {
  /// An object that needs nothing further.
  case object(ObjectKind, Digest)
  case blob(Digest)
  case directory(Tree.IDs)
}

extension BlobReferences {
  /// What must be there for the blob to be had: `ObjectStore.references` tells it of recipes of
  /// every kind, and nothing else does.
  func forEachReference(_ body: (ObjectReference) throws -> Void) rethrows {
    for chunk in chunks { try body(.object(.chunk, chunk)) }
    for blob in blobs { try body(.blob(blob.id)) }
  }
}

extension Entry {
  /// What must be there for the entry to be had whole.
  func forEachReference(_ body: (ObjectReference) throws -> Void) rethrows {
    if let xattrs { try body(.object(.xattrs, xattrs)) }
    if let holes { try body(.object(.holes, holes)) }
    if let blob, blob != emptyBlob { try body(.blob(blob)) }
    if let ids { try body(.directory(ids)) }
  }
}

/// Reads what objects refer to. It knows which blobs have recipes, so that the many that are one
/// chunk cost no question: it is made after the refs that it is asked about were read.
struct ReferenceReader {
  private let store: ObjectStore
  private let recipes: PrefixSet

  init(_ store: ObjectStore) throws(StoreError) {
    self.store = store
    try store.index.refresh()
    // Checked: a recipe that rot in the index hides would cost the chunks that it names.
    recipes = try store.index.checkedIDs(of: .recipe)
  }

  /// The objects that a directory or blob consists of, and what its entries or parts refer to.
  ///
  /// A blob that is both a chunk and made by a recipe counts as both: a reader may take either.
  /// - Parameter own: the objects of the thing itself; one that is not there may be named.
  /// - Throws: `StoreError` where a directory cannot be read: what it needs is then not known.
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

  /// False where the blob is certainly made by no recipe.
  func mayHaveRecipe(_ blob: Digest) -> Bool { recipes.contains(prefixKey(.recipe, blob)) }
}
