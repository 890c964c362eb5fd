// The reconstructed blobs of a store.
//
// 1. A few decoded plans are cached, because ranges of a blob are usually read one after another.
// 2. A plan's own bytes are chunks: a plan that is a reconstruction itself is damage.

import Codec
import Platform

extension ObjectStore {
  private static let maxOpenPlans = 6
  /// The maximum depth of reconstructions that depend on each other.
  public static let maxReconstructionDepth = 8

  /// Returns the blob that a recipe reconstructs.
  func reconstructedBlob(_ blob: Digest, _ recipe: Reconstruction) throws(StoreError)
    -> any ReconstructedBlob
  {
    let cached = openPlans.withLock { plans in
      plans.first { $0.recipe == recipe && $0.blob.id == blob }
    }
    if let cached { return cached.blob }
    let reconstruction = try readPlan(recipe, of: blob)
    openPlans.withLock { plans in
      if plans.count >= ObjectStore.maxOpenPlans { plans.removeFirst() }
      plans.append((recipe, reconstruction))
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

  /// Reads the plan that a recipe names.
  /// - Throws: `damaged` if the plan is a reconstruction itself or does not match the recipe; `missing`;
  ///   `incompatible` if the store has no reconstructor.
  func readPlan(
    _ recipe: Reconstruction, of blob: Digest
  ) throws(StoreError) -> any ReconstructedBlob {
    guard let reconstructor else {
      throw StoreError(
        .incompatible, "blob \(blob.hex)", "needs an encoder, and this program has none",
        code: .encoderMissing)
    }
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
      let rebuilt = try reconstructor.blob(blob, plan: bytes)
      guard rebuilt.sizeBytes == recipe.sizeBytes else {
        throw .corrupt("the plan makes \(rebuilt.sizeBytes) bytes instead of \(recipe.sizeBytes)")
      }
      return rebuilt
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
    _ blob: any ReconstructedBlob, _ body: (_ offset: UInt64, UnsafeRawBufferPointer) throws -> Void
  ) throws {
    let threads = min(processorCount, blob.partCount, blob.maxThreadCount)
    try runInOrder(
      threads: threads, window: 2 * threads,
      makeWorker: {
        { (part: BlobPart) in
          try [UInt8](unsafeUninitializedCapacity: part.lengthBytes) { bytes, count in
            let target = UnsafeMutableRawBufferPointer(bytes)
            try blob.fill(
              UnsafeMutableRawBufferPointer(rebasing: target[..<part.lengthBytes]),
              from: part.offset, in: self, depth: 0)
            count = part.lengthBytes
          }
        }
      },
      use: { part, bytes in try bytes.withUnsafeBytes { try body(part.offset, $0) } },
      produce: { submit in
        for index in 0..<blob.partCount { try submit(blob.part(index)) }
      })
  }
}
