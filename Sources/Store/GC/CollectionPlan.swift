// The plan of a garbage collection and the bytes that it frees. Both gc itself and dry runs use it.

import Codec
import Platform

/// Lists the packs to delete and the packs to rewrite, in batches.
struct CollectionPlan {
  struct Candidate: Sendable {
    let name: Digest
    let sizeBytes: UInt64
    /// An estimate of the bytes that are still needed.
    let keptBytes: UInt64
    var deadBytes: UInt64 { sizeBytes - min(sizeBytes, keptBytes) }
  }

  /// The size of the packs that are rewritten together. That much free space is needed for a while.
  private static let batchBytes: UInt64 = 256 << 20

  private(set) var dead: [Candidate] = []
  private(set) var rewritten: [Candidate] = []

  /// Plans a collection.
  /// - Parameters:
  ///   - packs: positions in the survey's list of packs.
  ///   - level: returns the zstd level that a pack records.
  init(
    _ survey: PackUsage, _ packs: some Sequence<Int>,
    _ rewriting: CollectionRequest.Rewriting, isNeeded: (PackUsage.Usage) -> Bool,
    level: (Digest) -> UInt32
  ) {
    for pack in packs.lazy.map({ survey.packs[$0] }) where !pack.isDoomed {
      func candidate(_ keptBytes: UInt64) -> Candidate {
        Candidate(name: pack.name, sizeBytes: pack.sizeBytes, keptBytes: keptBytes)
      }
      switch (survey.action(for: pack, isNeeded), rewriting) {
      case (.delete, _): dead.append(candidate(0))
      case (.rewrite(let keptBytes), .sparing): rewritten.append(candidate(keptBytes))
      case (.rewrite, .none), (.keep, .none), (.keep, .sparing): break
      case (.rewrite(let keptBytes), .all): rewritten.append(candidate(keptBytes))
      case (.keep, .all(let targetLevel)):
        guard level(pack.name) < UInt32(targetLevel) else { break }
        rewritten.append(candidate(UInt64(pack.frames.reduce(0) { $0 + $1.keptBytes(isNeeded) })))
      }
    }
    // gc starts with the packs that free most for the work; `optimize` with small packs, to combine them.
    if case .all = rewriting {
      rewritten.sort { ($0.sizeBytes, $0.name) < ($1.sizeBytes, $1.name) }
    } else {
      rewritten.sort {
        (Double($0.deadBytes) / Double($0.sizeBytes), $0.name)
          > (Double($1.deadBytes) / Double($1.sizeBytes), $1.name)
      }
    }
  }

  /// Takes the next packs to rewrite together, and those that exceed the budget.
  static func takeBatch(
    from rest: inout ArraySlice<Candidate>, budget: inout UInt64
  ) -> (batch: [Candidate], skipped: [Candidate]) {
    var batch: [Candidate] = []
    var skipped: [Candidate] = []
    var bytes: UInt64 = 0
    while let next = rest.first, batch.isEmpty || bytes + next.sizeBytes <= batchBytes {
      rest.removeFirst()
      guard next.sizeBytes <= budget else {
        skipped.append(next)
        continue
      }
      budget -= next.sizeBytes
      bytes += next.sizeBytes
      batch.append(next)
    }
    return (batch, skipped)
  }

  /// Returns the bytes that the plan frees. They are measured: the new frames are compressed and discarded.
  func freedBytes(_ rewriter: PackRewriter) throws -> Int64 {
    var freed = dead.reduce(0) { $0 + Int64($1.sizeBytes) }
    var rest = rewritten[...]
    var budget = UInt64.max
    while !rest.isEmpty {
      var batch = CollectionPlan.takeBatch(from: &rest, budget: &budget).batch
      while !batch.isEmpty {
        do {
          let written = try rewriter.measure(Set(batch.map(\.name)))
          freed += batch.reduce(0) { $0 + Int64($1.sizeBytes) } - Int64(written)
          break
        } catch let damage as DamagedPackError {
          // A damaged pack stays, and frees nothing.
          let before = batch.count
          batch.removeAll { $0.name == damage.name }
          if batch.count == before { throw damage.error }
        }
      }
    }
    return freed
  }
}
