// The protocol of depots in random interleavings (the invariants are in Depot.swift and DepotModel.swift).

import Depot
import DepotTestSupport
import Foundation
import Platform
import Testing

@Suite struct DepotModelTests {
  private static let environment = ProcessInfo.processInfo.environment
  /// IMGSTORE_SEED=N repeats one history and prints its requests.
  private static let seed = environment["IMGSTORE_SEED"].flatMap { UInt64($0) }
  private static let historyCount = environment["IMGSTORE_HISTORIES"].flatMap { Int($0) } ?? 100_000
  private static let maxActors = 4

  @Test func `no reported snapshot loses an object in any interleaving`() throws {
    let universe = try Universe()
    if let seed = DepotModelTests.seed {
      let threads = try ActorThreads(DepotModelTests.maxActors)
      _ = try DepotModel(universe: universe, seed: seed, isLogging: true).run(on: threads)
      return
    }
    let first = UInt64.random(in: 0...UInt64.max / 2)
    let failure = Monitor<ModelFailure?>(nil)
    let totals = Monitor(
      (histories: 0, steps: 0, commits: 0, errors: 0, deleted: 0, copied: 0, deltas: 0))
    let indices = SharedIndices(0..<DepotModelTests.historyCount)
    try runThreads(processorCount) { _ in
      let threads = try ActorThreads(DepotModelTests.maxActors)
      while let index = indices.take() {
        do {
          let (ledger, steps) = try DepotModel(universe: universe, seed: first + UInt64(index))
            .run(on: threads)
          totals.withLock { totals in
            totals.histories += 1
            totals.steps += steps
            totals.commits += ledger.commits
            totals.errors += ledger.errors
            totals.deleted += ledger.deletedPacks
            totals.copied += Int(ledger.copiedBytes)
            totals.deltas += ledger.keptDeltas
          }
        } catch let error as ModelFailure {
          failure.withLock { $0 = $0 ?? error }
          indices.stop()
        }
      }
    }
    if let failure = failure.withLock({ $0 }) {
      let threads = try ActorThreads(DepotModelTests.maxActors)
      do {
        _ = try DepotModel(universe: universe, seed: failure.seed, isLogging: true).run(on: threads)
        Issue.record("\(failure), and not again")
      } catch { Issue.record("\(error)") }
    }
    let result = totals.withLock { $0 }
    print("model: \(result)")
    // A model in which nothing happens proves nothing.
    #expect(result.commits > result.histories / 2)
    #expect(result.deleted > result.histories / 20)
    #expect(result.copied > 0)
    #expect(result.deltas > result.histories / 100)
  }
}
