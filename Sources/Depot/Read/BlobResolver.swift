// How a depot has the contents of files: as one chunk, or by which of several recipes.
//
// 1. A blob may have recipes of both kinds, or chunk lists with other boundaries, in different packs. A recipe counts
//    only if all of its parts are there, whatever snapshot it came from.
// 2. The shortest complete recipe is chosen, by readers as well as by checks, so they agree.
// 3. Recipes are read together, a few requests for each level of plans.

import Codec
import Platform
import Store

/// The recipe that produces a blob.
struct ResolvedRecipe {
  /// Where the recipe is; nil for one that was not uploaded yet.
  let position: ObjectLocation?
  let references: BlobReferences
}

/// Resolves blobs. Belongs to one thread.
final class BlobResolver {
  enum Resolution {
    case chunk
    case recipe(ResolvedRecipe)
  }

  private let reader: DepotReader
  /// Returns true if an allowed pack has the object.
  private let holds: (ObjectName) throws -> Bool
  /// Recipes of this session.
  private let own: (Digest) -> [UInt8]?
  private var resolved: [Digest: Resolution?] = [:]
  private static let batch = 4096

  init(
    _ reader: DepotReader, holds: @escaping (ObjectName) throws -> Bool,
    own: @escaping (Digest) -> [UInt8]? = { _ in nil }
  ) {
    (self.reader, self.holds, self.own) = (reader, holds, own)
  }

  /// Returns how the depot has the blobs, in their order; nil for those that it lacks, at least in part.
  func resolve(_ blobs: [Digest], depth: Int = 0) throws -> [Resolution?] {
    guard depth <= ObjectStore.maxReconstructionDepth else {
      return blobs.map { _ in Optional<Resolution>.none }
    }
    var open: Set<Digest> = []
    for blob in blobs where resolved[blob] == nil {
      if try holds(ObjectName(kind: .chunk, id: blob)) {
        resolved[blob] = .some(.chunk)
      } else if try own(blob) != nil || holds(ObjectName(kind: .recipe, id: blob)) {
        open.insert(blob)
      } else {
        resolved[blob] = .some(nil)
      }
    }
    var rest = Array(open)
    while !rest.isEmpty {
      let batch = rest.suffix(BlobResolver.batch)
      rest.removeLast(batch.count)
      try resolveRecipes(Set(batch), depth)
    }
    return blobs.map { resolved[$0] ?? nil }
  }

  private func resolveRecipes(_ blobs: Set<Digest>, _ depth: Int) throws {
    let stored = try reader.recipes(of: blobs.filter { own($0) == nil })
    for blob in blobs.sorted() {
      var candidates: [(position: ObjectLocation?, bytes: [UInt8])] = []
      if let bytes = own(blob) { candidates.append((nil, bytes)) }
      candidates += (stored[blob] ?? []).map { ($0.position, $0.bytes) }
      var result: Resolution?
      for candidate in candidates where result == nil {
        guard let layout = try? BlobLayout.decode(candidate.bytes),
          let references = try references(of: layout, blob, depth)
        else { continue }
        result = .recipe(ResolvedRecipe(position: candidate.position, references: references))
      }
      resolved[blob] = .some(result)
    }
  }

  /// Returns what a recipe needs; nil if a part is missing.
  private func references(
    of layout: BlobLayout, _ blob: Digest, _ depth: Int
  ) throws -> BlobReferences? {
    var references = BlobReferences()
    references.hasRecipe = true
    switch layout {
    case .chunks(let list):
      references.chunks = list.runs.map(\.chunk)
      for chunk in references.chunks where try !holds(ObjectName(kind: .chunk, id: chunk)) {
        return nil
      }
    case .reconstruction(let recipe):
      guard let bytes = try planBytes(recipe, depth),
        let parts = try? plan(blob, bytes).references()
      else { return nil }
      references.blobs = [(recipe.plan, recipe.planBytes)] + parts
      let needed = parts.filter { $0.sizeBytes > 0 }.map(\.id)
      guard try resolve(needed, depth: depth + 1).allSatisfy({ $0 != nil }) else { return nil }
    }
    return references
  }

  func plan(_ blob: Digest, _ bytes: [UInt8]) throws -> any ReconstructedBlob {
    guard let reconstructor = reader.depot.options.reconstructor else {
      throw DepotError(
        .encoderMissing, "blob \(blob.shortHex)", "needs an encoder, and this program has none")
    }
    return try reconstructor.blob(blob, plan: bytes)
  }

  /// Reads a plan; nil if a part of it is missing, or it is made by another plan, which is damage.
  func planBytes(_ recipe: Reconstruction, _ depth: Int) throws -> [UInt8]? {
    let chunks: [Digest]
    switch try resolve([recipe.plan], depth: depth + 1)[0] {
    case nil: return nil
    case .chunk: chunks = [recipe.plan]
    case .recipe(let plan):
      guard plan.references.blobs.isEmpty else { return nil }
      chunks = plan.references.chunks
    }
    var parts: [Digest: [UInt8]] = [:]
    try reader.objects(chunks.map { ObjectName(kind: .chunk, id: $0) }) { parts[$0.id] = $1 }
    // Repeated chunks are one run each in the list; a plan with repeated chunks is read run by run.
    var bytes: [UInt8] = []
    for chunk in try planChunks(recipe, chunks) {
      guard let part = parts[chunk], bytes.count + part.count <= Reconstruction.maxPlanBytes else {
        return nil
      }
      bytes += part
    }
    return UInt64(bytes.count) == recipe.planBytes ? bytes : nil
  }

  /// Returns the chunks of a plan with repetitions.
  private func planChunks(_ recipe: Reconstruction, _ chunks: [Digest]) throws -> [Digest] {
    if chunks == [recipe.plan] { return chunks }
    let copies =
      try own(recipe.plan).map { [$0] }
      ?? reader.recipes(of: [recipe.plan])[recipe.plan]?.map(\.bytes) ?? []
    for bytes in copies {
      guard case .chunks(let list)? = try? BlobLayout.decode(bytes),
        list.runs.map(\.chunk) == chunks,
        list.sizeBytes <= UInt64(Reconstruction.maxPlanBytes)
      else { continue }
      return list.runs.flatMap { Array(repeating: $0.chunk, count: Int($0.count)) }
    }
    return chunks
  }
}
