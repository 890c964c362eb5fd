// imgstore recipes, and snapshot --recipes: stores packed images as recipes over the trees next to them.
//
// It takes as long as packing the images (docs/decisions/0051-packed-image-recipes.md), so a snapshot does it
// only on request.

import Ingest
import Platform
import Recipes
import Store

/// The result for one file.
public struct RecipeResult: Sendable {
  public let path: [UInt8]
  public let sizeBytes: UInt64
  public let outcome: RecipeOutcome
}

/// The outcome of `recipes`.
public struct RecipesOutcome: Sendable {
  public let snapshot: CommittedSnapshot
  /// The files that were examined.
  public let results: [RecipeResult]
  /// The number of files that were recipes already.
  public let alreadyMade: Int
  public let seconds: Double
}

extension Workspace {
  /// Stores the packed files of a snapshot as recipes, if that is possible.
  ///
  /// The bytes that a recipe replaces stay in the store until the next garbage collection.
  /// - Throws: `ImageError`, `StoreError`. The recipes of files before the failed one are stored.
  public func makeRecipes(_ reference: String) throws -> RecipesOutcome {
    try RecipeConverter(context).makeRecipes(reference)
  }
}

/// Stores packed files as recipes.
struct RecipeConverter: Collaborator {
  let context: Context

  func makeRecipes(_ reference: String) throws -> RecipesOutcome {
    let start = monotonicSeconds()
    let snapshot = try SnapshotResolver(context).find(Reference(reference))
    let store = try context.store()
    let finder = RecipeFinder(store, progress: context.progress)
    var results: [RecipeResult] = []
    var alreadyMade = 0
    for component in ordered(snapshot.snapshot.components) {
      guard case .file(let blob, let size) = component.entry.content, size >= RecipeFinder.minBytes
      else { continue }
      if try store.parts(of: blob, sizeBytes: size).reconstruction != nil {
        alreadyMade += 1
        continue
      }
      var head = [UInt8](repeating: 0, count: Int(min(size, 512)))
      try head.withUnsafeMutableBytes { try store.fill($0, from: blob, sizeBytes: size, at: 0) }
      guard RecipeFinder.isCandidate(head, sizeBytes: size) else { continue }
      results.append(
        RecipeResult(
          path: component.path, sizeBytes: size,
          outcome: try finder.storeRecipe(of: blob, .blob(store, blob, sizeBytes: size))))
    }
    return RecipesOutcome(
      snapshot: snapshot, results: results, alreadyMade: alreadyMade,
      seconds: monotonicSeconds() - start)
  }

  /// Returns the components with packed images first. Their contents are then in the store when other files
  /// that contain them, such as a bundle, are examined.
  private func ordered(_ components: [Snapshot.Component]) -> [Snapshot.Component] {
    components.filter { $0.role == .packed }
      + components.filter { $0.role != .packed }
  }

  /// Returns the files of the next snapshot that are stored as recipes, or may be.
  /// - Parameter includesNew: whether files are examined that are not recipes yet.
  func recipeCandidates(
    _ requests: [CaptureRoot], _ cache: StatCache?, latest: Snapshot?, includesNew: Bool
  ) throws -> [RecipeCandidate] {
    try RecipeCandidateFinder(context.resolver, context.store(), progress: context.progress).find(
      requests.filter { $0.role == .packed } + requests.filter { $0.role != .packed },
      cache: cache, latest: latest, includesNew: includesNew)
  }

  /// Stores the files that a capture treated as known. The trees that their recipes need are in the store
  /// now.
  /// - Returns: the results, and the number of stored bytes.
  func storeCandidates(
    of live: LiveImage
  ) throws -> (results: [RecipeResult], storedBytes: UInt64) {
    let store = try context.store()
    let finder = RecipeFinder(store, progress: context.progress)
    var results: [RecipeResult] = []
    var storedBytes: UInt64 = 0
    for candidate in live.candidates where !candidate.isKept {
      // If the file changed in between, the capture has read it instead.
      guard
        case .file(candidate.blob, _)? = live.capture.components.component(at: candidate.path)?
          .entry.content
      else { continue }
      let outcome = try finder.storeRecipe(of: candidate.blob, candidate.source)
      switch outcome {
      case .stored(let report): storedBytes += report.storedBytes
      case .none: storedBytes += try candidate.storeRaw(store)
      }
      results.append(
        RecipeResult(path: candidate.path, sizeBytes: candidate.stat.size, outcome: outcome))
    }
    return (results, storedBytes)
  }
}
