// Verifies recipes that came from outside, before they are stored: a recipe is right if it makes the bytes that
// its blob's id names. All chunks are in the store by then.

import Codec
import Platform

/// Checks recipes that are not in the store yet against the blobs that they are for.
struct RecipeCheck: Sendable {
  let store: ObjectStore
  let recipes: [Digest: [UInt8]]
  /// What the recipes came from, for messages.
  let source: String

  /// Returns the blobs whose recipes can be checked now, in order: lists of chunks, and plans all of whose
  /// blobs are in the store.
  /// - Throws: `damaged` for a recipe that is invalid; `missing` if there is none that can be checked.
  func ready() throws -> [Digest] {
    var ready: [Digest] = []
    for (blob, bytes) in recipes {
      guard case .reconstruction(let recipe) = try layout(blob, bytes) else {
        ready.append(blob)
        continue
      }
      guard try store.isUsable(blob: recipe.plan) else { continue }
      let references = try store.readPlan(recipe, of: blob).references()
      if try references.allSatisfy({ try $0.sizeBytes == 0 || store.isUsable(blob: $0.id) }) {
        ready.append(blob)
      }
    }
    guard !ready.isEmpty else {
      throw StoreError.missing("a blob that a plan from \(source) reads", "did not arrive")
    }
    return ready.sorted()
  }

  /// Reads the blobs of recipes on several threads.
  /// - Throws: `damaged` for a recipe that makes other bytes; `missing` if a part is not there.
  func run(_ blobs: [Digest]) throws {
    try parallelForEach(blobs.count) { index in
      if let bytes = recipes[blobs[index]] { try check(blobs[index], bytes) }
    }
  }

  private func layout(_ blob: Digest, _ bytes: [UInt8]) throws -> BlobLayout {
    do throws(CodecError) { return try BlobLayout.decode(bytes) } catch {
      throw damaged(blob, "\(error)")
    }
  }

  private func check(_ blob: Digest, _ bytes: [UInt8]) throws {
    switch try layout(blob, bytes) {
    case .chunks(let list):
      let parts = BlobParts(list)
      let id =
        list.isSparse
        ? try sparseID(parts, sizeBytes: list.sizeBytes) : try plainID(parts)
      guard id == blob else { throw damaged(blob, "its chunks make another file") }
    case .reconstruction(let recipe):
      let rebuilt = try store.readPlan(recipe, of: blob)
      var hash = SHA256()
      try store.read(rebuilt) { _, bytes in hash.update(bytes) }
      guard hash.finish() == blob else { throw damaged(blob, "its plan makes another file") }
    }
  }

  private func plainID(_ parts: BlobParts) throws -> Digest {
    var hash = SHA256()
    for part in parts { try store.read(part) { _, bytes in hash.update(bytes) } }
    return hash.finish()
  }

  private func sparseID(_ parts: BlobParts, sizeBytes: UInt64) throws -> Digest {
    var hash = SparseBlobHasher(sizeBytes: sizeBytes)
    for part in parts {
      if part.isZeros {
        hash.update(zeros: UInt64(part.lengthBytes))
      } else {
        try store.read(part) { _, bytes in hash.update(bytes) }
      }
    }
    return hash.finish()
  }

  private func damaged(_ blob: Digest, _ reason: String) -> StoreError {
    StoreError(
      .damaged, "the recipe of blob \(blob.shortHex) from \(source)", "is wrong: \(reason)",
      hint: "Do not use that copy. Run 'imgstore verify --deep' there")
  }
}

extension ObjectStore {
  /// Returns true if a pack that is not doomed contains the object, and, for a recipe, also all of its parts.
  func isUsable(_ name: ObjectName, depth: Int = 0) throws -> Bool {
    guard try index.keeps(name.kind, name.id) else { return false }
    guard name.kind == .recipe else { return true }
    guard depth < ObjectStore.maxReconstructionDepth,
      let references = try? references(ofRecipeOf: name.id)
    else { return false }
    for chunk in references.chunks where try !index.keeps(.chunk, chunk) { return false }
    return try references.blobs.allSatisfy {
      try $0.sizeBytes == 0 || isUsable(blob: $0.id, depth: depth + 1)
    }
  }

  /// Returns true if packs that are not doomed contain everything that the blob needs.
  func isUsable(blob: Digest, depth: Int = 0) throws -> Bool {
    if try index.keeps(.chunk, blob) { return true }
    return try isUsable(ObjectName(kind: .recipe, id: blob), depth: depth)
  }
}
