// What a collection would do, and how much that frees. The collection itself and whoever foretells
// it ask here.

import Codec
import Platform

/// Packs that are to go, and packs that are to be rewritten, in batches.
struct CollectionPlan {
  struct Candidate: Sendable {
    let name: Digest
    let sizeBytes: UInt64
    /// About what is needed of it.
    let keptBytes: UInt64
    var deadBytes: UInt64 { sizeBytes - min(sizeBytes, keptBytes) }
  }

  /// Packs of about so many bytes are rewritten at once: that much space is needed in between.
  private static let batchBytes: UInt64 = 256 << 20

  private(set) var dead: [Candidate] = []
  private(set) var rewritten: [Candidate] = []

  /// - Parameters:
  ///   - packs: places in the survey.
  ///   - level: what a pack says of its frames' level.
  init(
    _ survey: PackUsage, _ packs: some Sequence<Int>,
    _ rewriting: CollectionRequest.Rewriting, isNeeded: (PackUsage.Usage) -> Bool,
    level: (Digest) -> UInt32
  ) {
    for pack in packs.lazy.map({ survey.packs[$0] }) where !pack.isDoomed {
      func candidate(_ keptBytes: UInt64) -> Candidate {
        Candidate(name: pack.name, sizeBytes: pack.sizeBytes, keptBytes: keptBytes)
      }
      switch (survey.fate(of: pack, isNeeded), rewriting) {
      case (.goes, _): dead.append(candidate(0))
      case (.isRewritten(let kept), .sparing): rewritten.append(candidate(kept))
      case (.isRewritten, .none), (.stays, .none), (.stays, .sparing): break
      case (.isRewritten(let kept), .all): rewritten.append(candidate(kept))
      case (.stays, .all(let wanted)):
        guard level(pack.name) < UInt32(wanted) else { break }
        rewritten.append(candidate(UInt64(pack.frames.reduce(0) { $0 + $1.keptBytes(isNeeded) })))
      }
    }
    // What gives most for the work comes first; for `optimize` small packs, to be put together.
    if case .all = rewriting {
      rewritten.sort { ($0.sizeBytes, $0.name) < ($1.sizeBytes, $1.name) }
    } else {
      rewritten.sort {
        (Double($0.deadBytes) / Double($0.sizeBytes), $0.name)
          > (Double($1.deadBytes) / Double($1.sizeBytes), $1.name)
      }
    }
  }

  /// The next packs to be rewritten together, and those passed over because of the budget.
  static func takeBatch(
    from rest: inout ArraySlice<Candidate>, budget: inout UInt64
  ) -> (batch: [Candidate], passed: [Candidate]) {
    var batch: [Candidate] = []
    var passed: [Candidate] = []
    var bytes: UInt64 = 0
    while let next = rest.first, batch.isEmpty || bytes + next.sizeBytes <= batchBytes {
      rest.removeFirst()
      guard next.sizeBytes <= budget else {
        passed.append(next)
        continue
      }
      budget -= next.sizeBytes
      bytes += next.sizeBytes
      batch.append(next)
    }
    return (batch, passed)
  }

  /// The bytes that it frees, measured: what would be written is compressed, and thrown away.
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
          // It stays, and so is no part of what is freed.
          let before = batch.count
          batch.removeAll { $0.name == damage.name }
          if batch.count == before { throw damage.error }
        }
      }
    }
    return freed
  }
}
