// imgstore recipes, snapshot --recipes and optimize: stores packed images and ramdisks as recipes over the
// trees next to them.
//
// It takes as long as packing the images (docs/decisions/0051-packed-image-recipes.md), so a snapshot does it
// only on request, and optimize does it later.

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
    var files = PackedFileFinder(store)
    let results = try files.files(of: snapshot.snapshot).map { try convert($0, store) }
    return RecipesOutcome(
      snapshot: snapshot, results: results, alreadyMade: files.alreadyMade,
      seconds: monotonicSeconds() - start)
  }

  private func convert(_ file: PossibleRecipe, _ store: ObjectStore) throws -> RecipeResult {
    let finder = RecipeFinder(store, progress: context.progress)
    return RecipeResult(
      path: file.path, sizeBytes: file.sizeBytes,
      outcome: try finder.storeRecipe(
        of: file.blob, .blob(store, file.blob, sizeBytes: file.sizeBytes), remembersRefusal: true))
  }

  /// Stores the packed files of all snapshots as recipes, if that is possible. Snapshots and files that are
  /// damaged are left out: `verify` reports them. So are files that an earlier search refused.
  /// - Parameter maxSeconds: the time after which no further file is examined.
  /// - Throws: `StoreError`, except for damage. The recipes of files before the failed one are stored.
  func makeAllRecipes(maxSeconds: Double?) throws -> [RecipeResult] {
    let deadline = maxSeconds.map { monotonicSeconds() + $0 }
    let store = try context.store()
    var finder = PackedFileFinder(store, leavingOut: RecipeFinder.refused(in: store))
    var results: [RecipeResult] = []
    for (image, numbers) in try store.refs.histories() {
      for number in numbers.reversed() {
        do {
          guard let committed = try store.refs.readIfPresent(image, number) else { continue }
          for file in try finder.files(of: committed.snapshot) {
            if let deadline, monotonicSeconds() >= deadline { return results }
            results.append(try convert(file, store))
          }
        } catch  where RecipeConverter.isDamage(error) {
          continue
        }
      }
    }
    return results
  }

  private static func isDamage(_ error: any Error) -> Bool {
    guard let error = error as? StoreError else { return false }
    return error.kind == .damaged || error.kind == .missing || error.kind == .incompatible
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
