// Garbage collection: the deletion of objects that no snapshot needs, while snapshots are taken.
//
//     mark ─▶ rewrite partly dead packs ─▶ doom ─▶ grace period ─▶ mark again ─▶ restore or delete
//
// A pack is doomed by a move from packs/ to doomed/. There it can still be read, but no new snapshot
// depends on it. No object is lost for these reasons:
//
//  1. The directory of a pack decides. An index that is rebuilt at any moment lists an object as present
//     only if a pack in packs/ has it. Packs move only under locks/index, together with their rows.
//  2. A writer takes its lease before it reads the packs (Lease.swift), and stores objects that exist only
//     in doomed/ again. So a writer that began after the dooming depends on no doomed pack.
//  3. A writer that began earlier may depend on one. It commits or ends before the grace period is over.
//  4. The refs that decide are read after the grace period, as one state (RefRemoval.swift, invariant 4).
//     Later refs belong to writers of rule 2, or were created from an existing ref. The creator protects
//     that ref from removal by the image's lock until the new ref exists, so one of the two is among the
//     refs read.
//  5. Before a doomed pack is deleted, each object in it that those refs reach must have been read from a
//     pack in packs/ and verified. The pack's own frame directories list the objects, not the index. If one
//     object fails, the pack returns to packs/.
//  6. Prerequisites are durable first: new packs and packs/ before an old pack is doomed, and the removal
//     of refs before a marking without them.
//  7. Readers hold leases, too: the packs that existed when a command began stay until it ends. A reader
//     that looks for a pack by name searches both directories.
//  8. One collection runs at a time (locks/gc). A second one waits without a lease, because the first one
//     waits for all leases. Other commands wait for gc only while it moves packs.
//  9. If gc is killed at any point, it leaves packs in doomed/, complete or as second copies, which only
//     cost space. The next run handles them like its own. Clocks only decide when to stop waiting.

import Codec
import Glibc
import Platform

/// The parameters of a collection.
public struct CollectionRequest: Sendable {
  /// Which packs are rewritten.
  public enum Rewriting: Sendable, Equatable {
    /// No pack is rewritten; only packs without needed objects are deleted.
    case none
    /// Packs with a considerable share of dead bytes are rewritten without them.
    case sparing
    /// Every pack whose frames may have a lower zstd level is recompressed, in the order of a tree walk.
    case all(level: Int32)
  }
  /// Which packs are rewritten.
  public var rewriting: Rewriting = .sparing
  /// The maximum size in bytes of the packs to rewrite; nil for no limit. Packs are rewritten completely or
  /// not at all.
  public var maxBytes: UInt64?
  /// The time in seconds after which no pack is started and no process is waited for; nil for a default wait.
  public var maxSeconds: Double?
  /// How long to wait for another collection, and for commands that began earlier. Those commands only keep
  /// dead packs: without a limit gc waits a minute for them (`GarbageCollection.maxWaitSeconds`).
  public var waiting = LockWait.forever
  /// Creates the parameters of a plain `gc`.
  public init() {}
}

/// The result of a collection.
public struct CollectionOutcome: Sendable {
  /// The bytes of the deleted packs minus the bytes of the packs that were written.
  public var freedBytes: Int64 = 0
  public var removedPacks = 0
  public var rewrittenPacks = 0
  public var writtenBytes: UInt64 = 0
  /// The bytes that dead writers had left in tmp/.
  public var temporaryBytes: UInt64 = 0
  /// The dead bytes in packs that were not rewritten because of the budget or a full disk.
  public var leftBytes: UInt64 = 0
  /// The bytes of packs that a later collection can delete, after the commands in `waitsFor` have ended.
  public var waitingBytes: UInt64 = 0
  public var waitsFor: [String] = []
  /// The packs that cannot be rewritten because they are damaged, with the reasons.
  public var damaged: [(pack: String, reason: String)] = []
  public var lackedSpace = false
  /// The files that became recipes before the collection: `optimize` looks for them.
  public var newRecipes = 0
  /// The number of files that did not become recipes. Later searches leave out those that never can.
  public var refusedRecipes = 0
  public var seconds: Double = 0
}

extension ObjectStore {
  /// Deletes objects that no snapshot needs. Other commands may run concurrently.
  /// - Parameter report: receives a line if the collection waits for other commands.
  /// - Throws: `busy` if another collection runs; `refused` if the store is read-only; `damaged` if the
  ///   objects that the snapshots need cannot be determined.
  public func collect(
    _ request: CollectionRequest, progress: Progress, report: @escaping (String) -> Void
  ) throws -> CollectionOutcome {
    let lock = try lockCollections(waiting: request.waiting, report: report)
    defer { withExtendedLifetime(lock) {} }
    let run = GarbageCollection(self, request, progress, report)
    try run.run()
    return run.outcome
  }

  /// Locks garbage collection, and waits while another collection or repair holds the lock. It waits without
  /// a lease, because the other process waits for all leases.
  /// - Throws: `busy` if the lock is still held after `waiting`.
  func lockCollections(
    waiting: LockWait, report: (String) -> Void
  ) throws(StoreError) -> FileLock {
    if let lock = try lockCollectionsIfFree() { return lock }
    let name = GarbageCollection.lockName
    if waiting.maxSeconds == 0 { throw layout.busy(layout.name, name) }
    let holders = FileLock.holders(layout.fileSystem, at: layout.locks.raw, name)
    report(
      "waiting: the store is in use by "
        + (holders.isEmpty ? "another imgstore process" : holders.joined(separator: ", ")))
    releaseLease()
    let lock: FileLock?
    do throws(SystemError) {
      lock = try layout.lock(name, exclusive: true, waiting: waiting) {}
    } catch {
      if error.code == .busy { throw layout.busy(layout.name, name) }
      throw .system(error, layout.name)
    }
    // From now on this store relies only on objects that exist now.
    try renewLease()
    try index.refresh()
    guard let lock else { throw .system(SystemError(code: .readOnly, "lock", name), layout.name) }
    return lock
  }

  /// Locks garbage collection; nil if another process holds the lock.
  ///
  /// A child process between fork and exec may keep an earlier lock of this process for a moment, so the
  /// lock is tried for half a second.
  func lockCollectionsIfFree() throws(StoreError) -> FileLock? {
    try layout.requireWritable("the store")
    return try mapSystemErrors(layout.name) { () throws(SystemError) in
      for _ in 0..<25 {
        let lock = try layout.lockIfFree(GarbageCollection.lockName)
        if let lock { return lock }
        usleep(20_000)
      }
      return nil
    }
  }
}

/// A running collection; locks/gc is held.
final class GarbageCollection {
  static let lockName = Array("gc".utf8)
  /// How long to wait for other commands by default.
  static let maxWaitSeconds = 60.0

  let store: ObjectStore
  let request: CollectionRequest
  let progress: Progress
  let report: (String) -> Void
  let start = monotonicSeconds()
  var needed = Reachability(objectCount: 0)
  private var duplicated = PrefixSet()
  /// The frames whose objects get frames without a base.
  private var releasedBases: Set<FrameAddress> = []
  /// The bytes of packs that may still be rewritten.
  private var budget: UInt64
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
    budget = request.maxBytes ?? .max
  }

  func run() throws {
    defer { outcome.seconds = monotonicSeconds() - start }
    outcome.temporaryBytes = try mapSystemError(
      "the directory tmp/", try TemporaryFile.sweep(layout))
    // The bases that frames have given up are unneeded in a second marking only.
    if try pass(releasesBases: true) { _ = try pass(releasesBases: false) }
  }

  /// Marks, deletes and rewrites once.
  /// - Parameter releasesBases: whether `optimize` may store deltas whole.
  /// - Returns: whether it did, and everything went well, so that another pass can delete more.
  private func pass(releasesBases: Bool) throws -> Bool {
    try store.index.refresh()
    progress.begin("marking")
    needed = Reachability(objectCount: try store.totals().objects)
    try needed.addAll(of: store, progress: progress)
    outcome.leftBytes = 0
    let plan = try self.plan(releasesBases: releasesBases)
    let hasLeftovers = try !doomedFiles().isEmpty
    if !plan.dead.isEmpty || hasLeftovers, try !remove(plan.dead.map(\.name)) {
      addLeftBytes(plan.rewritten)
      return false
    }
    try rewrite(plan)
    return !releasedBases.isEmpty && outcome.damaged.isEmpty && !outcome.lackedSpace
      && outcome.waitsFor.isEmpty
  }

  /// Plans the deletions and rewrites. The plan may be wrong, because rule 5 decides.
  private func plan(releasesBases: Bool) throws -> CollectionPlan {
    let needed = needed
    let survey = try PackUsage(store.index) { needed.contains($0, $1) ? 1 : PackUsage.unused }
    duplicated = survey.duplicated
    releasedBases = []
    if releasesBases, case .all = request.rewriting {
      var release = BaseRelease(store, needed, survey)
      releasedBases = try release.frames()
    }
    let rewritten = Set(releasedBases.map(\.pack))
    return CollectionPlan(
      survey, survey.packs.indices, request.rewriting, isNeeded: { _ in true },
      level: { rewritten.contains($0) ? 0 : (try? store.packs.level(of: $0)) ?? .max })
  }

  private func addLeftBytes(_ candidates: some Sequence<CollectionPlan.Candidate>) {
    outcome.leftBytes += candidates.reduce(0) { $0 + $1.deadBytes }
  }

  // MARK: Rewriting

  private func rewrite(_ plan: CollectionPlan) throws {
    var rest = plan.rewritten[...]
    let order = try walkOrder(if: !rest.isEmpty)
    while !rest.isEmpty {
      if let limit = request.maxSeconds, monotonicSeconds() - start >= limit { break }
      let (batch, skipped) = CollectionPlan.takeBatch(from: &rest, budget: &budget)
      addLeftBytes(skipped)
      if batch.isEmpty { break }
      guard let copied = try copy(batch, order) else { break }
      if try !remove(copied) { break }
    }
    addLeftBytes(rest)
  }

  /// Copies the needed objects of some packs.
  /// - Returns: the packs that are no longer needed; nil if the disk is full.
  private func copy(
    _ batch: [CollectionPlan.Candidate], _ order: PrefixMap?
  ) throws -> [Digest]? {
    var packs = Set(batch.map(\.name))
    let (needed, duplicated, released) = (needed, duplicated, releasedBases)
    let encoding: PackRewriter.Encoding =
      if case .all(let level) = request.rewriting { .all(level: level) } else { .sparing }
    let rewriter = PackRewriter(
      store: store, encoding: encoding, order: order, isNeeded: { needed.contains($0, $1) },
      hasCopies: { duplicated.contains(prefixKey($0, $1)) }, progress: progress,
      releasesBase: { released.contains($0) && !needed.isOnlyBase($1) })
    progress.begin("rewriting", totalBytes: 0)
    // Leave free space for snapshots that are taken concurrently.
    let free = try mapSystemError(layout.name, try layout.fileSystem.freeBytes(layout.packs.raw))
    if free < batch.reduce(0, { $0 + $1.keptBytes }) / 4 * 5 {
      outcome.lackedSpace = true
      addLeftBytes(batch)
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
        outcome.damaged.append((damage.name.hex, damage.reason))
        guard packs.remove(damage.name) != nil else { return [] }
      } catch let error as StoreError {
        guard case .system(let cause) = error.kind, cause.isOutOfSpace else { throw error }
        outcome.lackedSpace = true
        addLeftBytes(batch)
        return nil
      }
    }
    return []
  }

  /// Returns the positions of objects in a walk of the newest snapshots, for `optimize`.
  private func walkOrder(if isNeeded: Bool) throws -> PrefixMap? {
    guard isNeeded, case .all = request.rewriting else { return nil }
    var latest: [ImageName: [ObjectReference]] = [:]
    try store.refs.readAll { committed in
      var roots: [ObjectReference] = []
      for component in committed.snapshot.components {
        component.entry.forEachReference { roots.append($0) }
      }
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
