// The plans of a store: which blobs are reconstructed, and by which plan.
//
// 1. A few decoded plans are cached, because ranges of a blob are usually read one after another.
// 2. A plan's own bytes are chunks: a plan that is a reconstruction itself is damage.

import Codec
import Platform

/// A recently decoded plan, because ranges of a blob are usually read one after another.
struct CachedPlan: Sendable {
  let recipe: Reconstruction
  let blob: ReconstructedBlob
}

extension ObjectStore {
  private static let maxOpenPlans = 6

  /// Returns the blob that a recipe reconstructs.
  func reconstructedBlob(_ blob: Digest, _ recipe: Reconstruction) throws(StoreError)
    -> ReconstructedBlob
  {
    let cached = openPlans.withLock { plans in
      plans.first { $0.recipe == recipe && $0.blob.id == blob }
    }
    if let cached { return cached.blob }
    let reconstruction = ReconstructedBlob(blob, try plan(recipe, of: blob))
    openPlans.withLock { plans in
      if plans.count >= ObjectStore.maxOpenPlans { plans.removeFirst() }
      plans.append(CachedPlan(recipe: recipe, blob: reconstruction))
    }
    return reconstruction
  }

  /// Locks out gc, and other searches for recipes, while a recipe is created.
  ///
  /// A new recipe depends on blobs that may belong to no snapshot yet. It may also be of a blob whose
  /// dependencies a running gc has recorded already.
  /// - Returns: nil if gc or another search holds the lock. Waiting for gc could deadlock, because gc may
  ///   wait for the caller.
  public func lockRecipes() throws(StoreError) -> FileLock? { try lockCollectionsIfFree() }

  /// Returns true if a plan depends on `blob`, directly or through other recipes.
  /// - Parameter others: blobs that are taken from here instead of the store.
  public func isMade(
    of blob: Digest, _ plan: ReconstructionPlan, over others: [ReconstructedBlob]
  ) throws(StoreError) -> Bool {
    var visited: Set<Digest> = []
    var pending = try plan.references()
    while let (id, size) = pending.popLast() {
      if id == blob { return true }
      guard size > 0, visited.insert(id).inserted else { continue }
      if let other = others.first(where: { $0.id == id }) {
        pending += try other.plan.references()
      } else if try isRecipe(id, size) {
        guard case .reconstruction(let recipe) = try recipe(of: id, sizeBytes: size) else {
          continue
        }
        pending += try self.plan(recipe, of: id).references()
      }
    }
    return false
  }

  private func isRecipe(_ id: Digest, _ sizeBytes: UInt64) throws(StoreError) -> Bool {
    if sizeBytes > UInt64(Chunker.maxBytes) { return true }
    return try !holds(.chunk, id)
  }

  /// Returns the plan that a recipe names.
  /// - Throws: `damaged` if the plan is a reconstruction itself or does not match the recipe; `missing`.
  func plan(_ recipe: Reconstruction, of blob: Digest) throws(StoreError) -> ReconstructionPlan {
    let object = "plan of blob \(blob.hex)"
    let isSmall = recipe.planBytes <= UInt64(Chunker.maxBytes)
    let isChunk = isSmall ? try holds(.chunk, recipe.plan) : false
    if !isChunk,
      case .reconstruction = try self.recipe(of: recipe.plan, sizeBytes: recipe.planBytes)
    {
      throw .damaged(object, "is a reconstruction itself, which plans may not be")
    }
    let bytes = try planBytes(recipe, object)
    return try mapCodecErrors(object) { () throws(CodecError) in
      let plan = try ReconstructionPlan.decode(bytes)
      guard plan.sizeBytes == recipe.sizeBytes else {
        throw .corrupt("the plan makes \(plan.sizeBytes) bytes instead of \(recipe.sizeBytes)")
      }
      return plan
    }
  }

  private func planBytes(
    _ recipe: Reconstruction, _ object: String
  ) throws(StoreError) -> [UInt8] {
    var bytes: [UInt8] = []
    let parts = try parts(of: recipe.plan, sizeBytes: recipe.planBytes)
    do {
      for part in parts { try read(part) { _, chunk in bytes += chunk } }
      return bytes
    } catch let error as StoreError {
      throw StoreError(
        error.kind, object, "\(error.subject): \(error.reason)", hint: error.hint)
    } catch {
      throw .damaged(object, "\(error)")
    }
  }

  /// Calls `body` with each part of a reconstructed blob, in order, while other threads prepare the next
  /// parts.
  public func read(
    _ blob: ReconstructedBlob, _ body: (_ offset: UInt64, UnsafeRawBufferPointer) throws -> Void
  ) throws {
    let threads = min(processorCount, blob.partCount)
    let prefetcher = PartPrefetcher(blob, self, window: 2 * threads)
    let handles = try startWorkers(threads) { prefetcher.work() }
    defer {
      prefetcher.close()
      for handle in handles { handle.join() }
    }
    for index in 0..<blob.partCount {
      let buffer = try prefetcher.take(index)
      try body(blob.part(index).offset, UnsafeRawBufferPointer(buffer.bytes))
    }
  }
}
