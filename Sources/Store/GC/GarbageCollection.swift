// Removing what no snapshot needs, while snapshots are taken.
//
//     mark ─▶ rewrite what is half dead ─▶ doom ─▶ grace period ─▶ mark again ─▶ back, or removed
//
// A pack is doomed by moving it from packs/ to doomed/. There it can still be read; nothing new
// rests on it. Why nothing is lost:
//
//  1. Where a pack lies is the truth: an index that is made anew, at any moment, calls an object
//     present only where a pack in packs/ has it. Packs move only under locks/index, with the rows.
//  2. A writer takes its lease before it looks at the packs (Lease.swift), and stores again what it
//     finds in doomed/ only. So who began after the dooming rests on nothing that is doomed.
//  3. Who began before may rest on it, and commits or ends before the grace period is over.
//  4. The refs that decide are read after that, as one state (RefRemoval.swift, rule 4). Later ones
//     are of writers of rule 2, or made from a ref that its maker keeps from being removed, by its
//     image's lock, until its own stands: one of the two is among those read.
//  5. A doomed pack is removed only if each object in it (as its own frame directories tell, not the
//     index) that those refs reach was read from a pack in packs/ and found right. Else it goes
//     back to packs/.
//  6. What it needs is durable first: new packs and packs/ before an old pack is doomed, the removal
//     of refs before the marks that miss them.
//  7. Readers hold leases, too: what was there when a command began stays until it ends. One that
//     looks for a pack by name looks in both folders.
//  8. One collector at a time (locks/gc; it is waited for without a lease, which the other one would
//     wait for). Nobody waits for a collector but for the moment of a move.
//  9. Killed anywhere, it leaves packs in doomed/, whole or copied twice: space. The next one
//     settles them like its own. No clock decides anything but when to stop waiting.

import Codec
import Glibc
import Platform

/// What a collection may do.
public struct CollectionRequest: Sendable {
  public enum Rewriting: Sendable, Equatable {
    /// Only what is wholly dead goes.
    case none
    /// Packs that are dead in a good part are rewritten without that.
    case sparing
    /// Every pack whose frames may be of a lower zstd level is compressed anew, in the order of a
    /// walk.
    case all(level: Int32)
  }
  public var rewriting: Rewriting = .sparing
  /// Bytes of packs that may be rewritten; nil for all. A pack is rewritten whole or not.
  public var maxBytes: UInt64?
  /// Seconds after which no further pack is begun and nobody is waited for.
  public var maxSeconds: Double?
  /// How long another collection, and commands that began before, are waited for. Those commands keep only dead
  /// packs: without a limit they are waited for a minute (`GarbageCollection.patienceSeconds`).
  public var waiting = LockWait.forever
  public init() {}
}

/// What a collection did.
public struct CollectionOutcome: Sendable {
  /// Bytes of the packs that were removed, less those of the packs that were written.
  public var freedBytes: Int64 = 0
  public var removedPacks = 0
  public var rewrittenPacks = 0
  public var writtenBytes: UInt64 = 0
  /// Bytes that dead writers had left in tmp/.
  public var temporaryBytes: UInt64 = 0
  /// Dead bytes in packs that the budget, or a full disk, left as they are.
  public var leftBytes: UInt64 = 0
  /// Bytes of packs that are to go as soon as these commands have ended; a later collection does it.
  public var waitingBytes: UInt64 = 0
  public var waitsFor: [String] = []
  /// Packs that cannot be rewritten because they are damaged, and how.
  public var damaged: [(pack: String, finding: String)] = []
  public var lackedSpace = false
  public var seconds: Double = 0
}

extension ObjectStore {
  /// Removes what no snapshot needs. Other commands go on meanwhile.
  /// - Parameter report: told what it waits for.
  /// - Throws: `busy` where another collection runs, `refused` where what the snapshots need cannot be told.
  public func collect(
    _ request: CollectionRequest, progress: Progress, report: @escaping (String) -> Void
  ) throws -> CollectionOutcome {
    let lock = try lockCollections(waiting: request.waiting, report: report)
    defer { withExtendedLifetime(lock) {} }
    let run = GarbageCollection(self, request, progress, report)
    try run.run()
    return run.outcome
  }

  /// Takes locks/gc, waiting where another collection or repair has it. It is waited for without a lease, which the
  /// other would wait for in turn.
  /// - Throws: `busy` where another one is at work still after that time.
  func lockCollections(
    waiting: LockWait, report: (String) -> Void
  ) throws(StoreError) -> FileLock {
    if let lock = try lockCollectionsIfFree() { return lock }
    let name = GarbageCollection.lockName
    if waiting == .atMost(seconds: 0) { throw layout.busy(layout.name, name) }
    let holders = FileLock.holders(layout.fileSystem, at: layout.locks.raw, name)
    report(
      "waiting: the store is in use by "
        + (holders.isEmpty ? "another imgstore" : holders.joined(separator: ", ")))
    releaseLease()
    let lock: FileLock?
    do throws(SystemError) {
      lock = try layout.lock(name, exclusive: true, waiting: waiting) {}
    } catch {
      if error.code == .busy { throw layout.busy(layout.name, name) }
      throw .system(error, layout.name)
    }
    // From here on this store relies on what is there now.
    try renewLease()
    try index.refresh()
    guard let lock else { throw .system(SystemError(code: .readOnly, "lock", name), layout.name) }
    return lock
  }

  /// Nil where another collector is at work. (A child of ours that has not yet become what it will
  /// be may hold our last lock for a moment: so it is tried for half a second.)
  func lockCollectionsIfFree() throws(StoreError) -> FileLock? {
    try layout.requireWritable("the store")
    return try explaining(layout.name) { () throws(SystemError) in
      for _ in 0..<25 {
        let lock = try layout.lockIfFree(GarbageCollection.lockName)
        if let lock { return lock }
        usleep(20_000)
      }
      return nil
    }
  }
}

/// One collection under way; locks/gc is held.
final class GarbageCollection {
  static let lockName = Array("gc".utf8)
  /// How long other commands are waited for where no time is set.
  static let patienceSeconds = 60.0

  let store: ObjectStore
  let request: CollectionRequest
  let progress: Progress
  let report: (String) -> Void
  let start = monotonicSeconds()
  var needed = Reachability(objectCount: 0)
  private var duplicated = PrefixSet()
  var outcome = CollectionOutcome()

  var layout: Layout { store.layout }

  init(
    _ store: ObjectStore, _ request: CollectionRequest, _ progress: Progress,
    _ report: @escaping (String) -> Void
  ) {
    self.store = store
    self.request = request
    self.progress = progress
    self.report = report
  }

  func run() throws {
    defer { outcome.seconds = monotonicSeconds() - start }
    outcome.temporaryBytes = try explaining("the folder tmp/") { () throws(SystemError) in
      try TemporaryFile.sweep(layout)
    }
    try store.index.refresh()
    progress.begin("marking")
    needed = Reachability(objectCount: try store.totals().objects)
    try needed.addAll(of: store, progress: progress)
    let plan = try self.plan()
    let hasLeftovers = try !doomedFiles().isEmpty
    if !plan.dead.isEmpty || hasLeftovers, try !remove(plan.dead.map(\.name)) {
      return leave(plan.rewritten)
    }
    try rewrite(plan)
  }

  /// What is to go or to be rewritten. It may be wrong: it is not what decides (rule 5).
  private func plan() throws -> CollectionPlan {
    let needed = needed
    let survey = try PackUsage(store.index) { needed.contains($0, $1) ? 1 : PackUsage.unused }
    duplicated = survey.duplicated
    return CollectionPlan(
      survey, survey.packs.indices, request.rewriting, isNeeded: { _ in true },
      level: { (try? store.packs.level(of: $0)) ?? .max })
  }

  private func leave(_ candidates: some Sequence<CollectionPlan.Candidate>) {
    outcome.leftBytes += candidates.reduce(0) { $0 + $1.deadBytes }
  }

  // MARK: Rewriting

  private func rewrite(_ plan: CollectionPlan) throws {
    var rest = plan.rewritten[...]
    var budget = request.maxBytes ?? .max
    let order = try walkOrder(if: !rest.isEmpty)
    while !rest.isEmpty {
      if let limit = request.maxSeconds, monotonicSeconds() - start >= limit { break }
      let (batch, passed) = CollectionPlan.takeBatch(from: &rest, budget: &budget)
      leave(passed)
      if batch.isEmpty { break }
      guard let done = try copy(batch, order) else { break }
      if try !remove(done) { break }
    }
    leave(rest)
  }

  /// Copies what is needed of these packs.
  /// - Returns: the packs that are no longer needed; nil where the disk is full.
  private func copy(
    _ batch: [CollectionPlan.Candidate], _ order: PrefixMap?
  ) throws -> [Digest]? {
    var packs = Set(batch.map(\.name))
    let (needed, duplicated) = (needed, duplicated)
    let encoding: PackRewriter.Encoding =
      if case .all(let level) = request.rewriting { .all(level: level) } else { .sparing }
    let rewriter = PackRewriter(
      store: store, encoding: encoding, order: order, isNeeded: { needed.contains($0, $1) },
      isDoubled: { duplicated.contains(prefixKey($0, $1)) }, progress: progress)
    progress.begin("rewriting", totalBytes: 0)
    // Snapshots that are taken meanwhile need room as well: it is not used up to the last.
    let free = try explaining(layout.name) { () throws(SystemError) in
      try layout.fileSystem.freeBytes(layout.packs.raw)
    }
    if free < batch.reduce(0, { $0 + $1.keptBytes }) / 4 * 5 {
      outcome.lackedSpace = true
      leave(batch)
      return nil
    }
    while !packs.isEmpty {
      do {
        for new in try rewriter.rewrite(packs) where packs.remove(new.name) == nil {
          outcome.writtenBytes += new.sizeBytes
          outcome.freedBytes -= Int64(new.sizeBytes)
        }
        outcome.rewrittenPacks += packs.count
        return packs.sorted()
      } catch let damage as DamagedPackError {
        outcome.damaged.append((damage.name.hex, damage.finding))
        guard packs.remove(damage.name) != nil else { return [] }
      } catch let error as StoreError {
        guard case .system(let cause) = error.kind, cause.isOutOfSpace else { throw error }
        outcome.lackedSpace = true
        leave(batch)
        return nil
      }
    }
    return []
  }

  /// Where objects stand in a walk of the newest snapshots, for `optimize`.
  private func walkOrder(if isNeeded: Bool) throws -> PrefixMap? {
    guard isNeeded, case .all = request.rewriting else { return nil }
    var latest: [ImageName: [ObjectReference]] = [:]
    try store.refs.readAll { committed in
      var roots: [ObjectReference] = []
      for piece in committed.snapshot.pieces { piece.entry.forEachReference { roots.append($0) } }
      latest[try ImageName(committed.snapshot.image)] = roots
    }
    var order = PrefixMap(capacity: try store.totals().objects)
    let reader = try ReferenceReader(store)
    for image in latest.keys.sorted() {
      var pending = Array((latest[image] ?? []).reversed())
      while let next = pending.popLast() {
        var isNew = false
        var needs: [ObjectReference] = []
        if case .directory(let ids) = next, order[prefixKey(.tree, ids.tree)] != nil,
          order[prefixKey(.times, ids.times)] != nil
        {
          continue
        }
        try reader.expand(next) { kind, id in
          let key = prefixKey(kind, id)
          if order[key] == nil {
            order.set(key, UInt32(truncatingIfNeeded: order.count))
            isNew = true
          }
        } needs: {
          needs.append($0)
        }
        if isNew { pending += needs.reversed() }
      }
    }
    return order
  }
}
