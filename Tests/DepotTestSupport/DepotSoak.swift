// A load on a depot in any kind of bucket: writers, collectors and removals on threads of their own, each
// with an open depot of its own, and a deep check at the end.

import Codec
import Depot
import Foundation
import ObjectStorage
import Platform
import Store
import Transfer

/// Runs the load.
package struct DepotSoak: Sendable {
  private let bucket: any ObjectStorage
  private let universe: Universe
  package var writers = 4
  package var collectors = 2

  /// Counts of what the threads did.
  package struct Report: Sendable {
    package var pushes = 0
    package var removals = 0
    package var collections = 0
    package var deletedPacks = 0
    package var copiedBytes: UInt64 = 0
    /// Pushes and collections that ended with an error that a repetition solves.
    package var retries = 0
    package var problems: [String] = []
  }

  private struct State {
    var report = Report()
    /// The pushed snapshots that nobody removes, and those that may be removed.
    var live: [(image: ImageName, number: Int, snapshot: Int)] = []
    /// The snapshots that somebody has begun to remove. A writer may report one of them a moment later: it
    /// found the snapshot before the removal.
    var removed: Set<String> = []
  }

  package init(_ bucket: any ObjectStorage, _ universe: Universe) {
    (self.bucket, self.universe) = (bucket, universe)
  }

  private func options(_ index: Int) -> DepotOptions {
    var options = DepotOptions()
    options.requestCount = 4
    options.packBytes = 700
    options.memoryPackBytes = index % 2 == 0 ? 0 : 1 << 20
    if index % 2 == 0 { options.localStore = universe.store }
    return options
  }

  /// Runs for some seconds, then checks everything.
  /// - Throws: errors of the bucket.
  package func run(seconds: Double) throws -> Report {
    let end = monotonicSeconds() + seconds
    let state = Monitor(State())
    _ = try Depot(creatingIn: bucket, options(0))
    try runThreads(writers + collectors) { index in
      let depot = try Depot(opening: bucket, options(index))
      var generator = SeededGenerator(UInt64(index) &+ UInt64(end * 1000))
      while monotonicSeconds() < end {
        do {
          if index < writers {
            try push(depot, state, &generator)
            try forget(depot, state, &generator)
          } else {
            try collect(depot, state)
          }
        } catch let error as any ExplainedError
          where [.busy, .objectMissing].contains(error.errorCode)
        {
          state.withLock { $0.report.retries += 1 }
        }
      }
    }
    return try check(state)
  }

  private func push(
    _ depot: Depot, _ state: Monitor<State>, _ generator: inout SeededGenerator
  ) throws {
    let index = Int.random(in: 0..<universe.snapshots.count, using: &generator)
    let snapshot = universe.snapshots[index]
    let session = try DepotSession(depot)
    defer { session.end() }
    let names = try session.missing(Array(snapshot.all))
    let missing = Set(try session.missing(universe.chunks))
    let bases = universe.chunks.filter { !missing.contains($0) }
    for frame in universe.frames(names, inPairs: true, bases: bases, using: &generator) {
      try session.append(frame)
    }
    let number = try session.commit(try TransferredSnapshot(snapshot.bytes), bases: [])
    state.withLock { state in
      state.report.pushes += 1
      state.live.append((snapshot.image, number, index))
    }
  }

  /// Removes the oldest snapshots, so that the histories stay short.
  private func forget(
    _ depot: Depot, _ state: Monitor<State>, _ generator: inout SeededGenerator
  ) throws {
    let victim = state.withLock { state -> (image: ImageName, number: Int)? in
      guard state.live.count > 12, let index = state.live.indices.randomElement(using: &generator)
      else { return nil }
      let victim = state.live[index]
      // A snapshot that two writers have reported is one ref.
      state.live.removeAll { $0.image == victim.image && $0.number == victim.number }
      state.removed.insert("\(victim.image)@\(victim.number)")
      state.report.removals += 1
      return (victim.image, victim.number)
    }
    guard let victim else { return }
    do { try depot.forget(victim.image, victim.number) } catch let error as DepotError
      where error.errorCode == .snapshotNotFound
    {
      // Another thread adopted it meanwhile and it was removed already.
    }
  }

  private func collect(_ depot: Depot, _ state: Monitor<State>) throws {
    var options = CollectionOptions(waitSeconds: 5)
    options.minNeededShare = 0.7
    options.minSmallPacks = 8
    let report = try depot.collect(options)
    state.withLock { state in
      state.report.collections += 1
      state.report.deletedPacks += report.deletedPacks
      state.report.copiedBytes += report.copiedBytes
      state.report.problems += report.damaged
    }
  }

  private func check(_ state: Monitor<State>) throws -> Report {
    var report = state.withLock { $0.report }
    let depot = try Depot(opening: bucket, options(1))
    let verification = try depot.verify(deep: true)
    report.problems += verification.problems.map { "\($0.subject): \($0.reason)" }
    let live = state.withLock { state in
      state.live.filter { !state.removed.contains("\($0.image)@\($0.number)") }
    }
    for item in live {
      let history = try DepotSource(depot).history(of: item.image)
      let id = history.snapshots.first { $0.number == item.number }?.id
      if id != universe.snapshots[item.snapshot].id {
        report.problems.append("\(item.image)@\(item.number) was reported and is gone")
      }
    }
    return report
  }
}
