// Repair of a store: objects that are still in packs, other stores and live files are restored, and damaged
// files move to quarantine/.
//
//     read packs ─▶ intact frames to new packs ─▶ damaged packs to quarantine/ ─▶ refs, tags, pins
//        ─▶ find losses ─▶ sources, one after another ─▶ repeat while that helps ─▶ report losses
//
// 1. Nothing is deleted, and intact data is not touched. A replacement is durable before the original
//    moves. If repair is killed at any point, the store is no worse than before, and the next repair
//    continues.
// 2. Content decides: an object is restored under its id only if its bytes have that hash.
// 3. It holds locks/gc, so no gc runs at the same time. Other commands may run: packs move under
//    locks/index, refs under their image's lock and locks/refs.
// 4. A second run finds nothing to do.

import Codec
import Platform

extension ObjectStore {
  /// Repairs the store (see the top of this file).
  /// - Parameters:
  ///   - sources: asked in this order for lost objects.
  ///   - report: receives a line for each event.
  /// - Throws: `busy` if gc or another repair runs; `refused` if the store is read-only.
  public func repair(
    _ request: RepairRequest, from sources: [RepairSource], progress: Progress,
    report: @escaping @Sendable (String) -> Void
  ) throws -> RepairOutcome {
    // A dry run may read a read-only store.
    let lock =
      request.isDryRun && layout.isReadOnly
      ? nil : try lockCollections(waiting: request.waiting, report: report)
    defer { withExtendedLifetime(lock) {} }
    let run = StoreRepair(self, request, sources, progress, report)
    try run.run()
    return run.outcome
  }
}

/// A running repair; locks/gc is held.
final class StoreRepair {
  let store: ObjectStore
  let request: RepairRequest
  let sources: [RepairSource]
  let progress: Progress
  let report: @Sendable (String) -> Void
  var outcome = RepairOutcome()
  /// Damaged packs that are still in their directories, in a dry run.
  var damagedPacks: [PackFile] = []
  /// Of a dry run: what the sources would give, and refs that would be in their places.
  let found: RecoverableObjects?
  var plannedRefs: [SnapshotName: PlannedRef] = [:]
  /// Of a dry run: the places of the tags and pins that would be moved or restored.
  var plannedMarks: Set<String> = []
  /// The marks whose files belong to another name, and move there. A source may have marks of their names.
  var misplacedMarks: Set<String> = []
  /// Refs that a dry run would move out of their places, and where such refs belong.
  var movedRefs: Set<SnapshotName> = []
  var misplacedRefs: [(name: SnapshotName, bytes: [UInt8])] = []
  private static let maxRounds = 64

  var layout: Layout { store.layout }
  var isDryRun: Bool { request.isDryRun }

  init(
    _ store: ObjectStore, _ request: RepairRequest, _ sources: [RepairSource],
    _ progress: Progress, _ report: @escaping @Sendable (String) -> Void
  ) {
    self.store = store
    self.request = request
    self.sources = sources
    self.progress = progress
    self.report = report
    found = request.isDryRun ? RecoverableObjects() : nil
    outcome.isDryRun = request.isDryRun
  }

  func run() throws {
    let start = monotonicSeconds()
    defer { outcome.seconds = monotonicSeconds() - start }
    for name in layout.replacedNames {
      note(
        name,
        isDryRun
          ? "is damaged: would be moved to quarantine/ and recreated"
          : "was damaged: moved to quarantine/ and recreated")
    }
    if !isDryRun { try store.refs.upgrade() }
    try store.index.refresh()
    _ = try store.index.checkedIDs()
    try repairPacks()
    if isDryRun {
      var damage = try survey()
      try addDamagedMarks(to: &damage)
      outcome.damagedPathCount = damage.pathCount
      outcome.damage = damage.counts
    }
    try repairRefs()
    try repairMarks()
    try repairSignatures()
    try restoreLosses()
    for source in sources {
      if case .store(let other, let name) = source {
        let lost = try imagesWithoutSnapshots(among: other)
        try restoreRemovedNumbers(from: other, name)
        try restoreRefs(from: other, name)
        // A history that is now entirely that of the source has its removed numbers, too.
        try restoreRemovedNumbers(from: other, name, adopted: lost)
        try restoreMarks(from: other, name)
      }
    }
    outcome.losses = try survey()
    try addDamagedMarks(to: &outcome.losses)
    try listProblems()
  }

  /// Records an action.
  func note(_ object: String, _ what: String) {
    outcome.actions.append(.init(object: object, what: what))
  }

  /// Locks an image, and waits for other processes as long as the request allows.
  /// - Throws: `busy` if another process still holds the lock.
  func lockImage(_ image: ImageName) throws(StoreError) -> FileLock {
    try store.lockImage(image, waiting: request.waiting) { [report] holders in
      report(
        "waiting: image \(image) is in use by "
          + (holders.isEmpty ? "another imgstore process" : holders.joined(separator: ", ")))
    }
  }

  // MARK: Losses

  func survey() throws -> Losses {
    var badFrames: Set<FrameAddress> = []
    for file in damagedPacks {
      guard let pack = file.namedPack else { continue }
      for frame in file.check.badFrames {
        badFrames.insert(FrameAddress(pack: pack, offset: frame.offset))
      }
    }
    if badFrames.isEmpty {
      return try LossScanner(store, progress: progress, found: found).run(plannedRefs)
    }
    let bad = Set(damagedPacks.flatMap { $0.check.badObjects.keys })
    return try LossScanner(store, progress: progress, found: found) { [store] (name: ObjectName) in
      guard bad.contains(name) else { return false }
      return try store.index.locations(name.kind, name.id).allSatisfy {
        badFrames.contains($0.address)
      }
    }.run(plannedRefs)
  }

  /// Restores lost objects from the sources, each repeatedly while it helps: a restored directory names
  /// further lost objects below it.
  func restoreLosses() throws {
    var losses = try survey()
    for source in [quarantineSource] + sources {
      for _ in 0..<StoreRepair.maxRounds {
        if losses.objects.isEmpty { return }
        let restored = try restore(losses, from: source)
        if restored == 0 { break }
        losses = try survey()
      }
    }
  }

  /// Restores objects from one source.
  /// - Returns: the number of restored objects.
  private func restore(_ losses: Losses, from source: RepairSource) throws -> Int {
    let allowed = AllowedObjects(losses, found: found)
    let foundBefore = found?.count ?? 0
    let session = try store.beginSession(allowed: allowed)
    do {
      switch source {
      case .store(let other, let name):
        progress.begin("copying from \(name)")
        try StoreSource(other, store, session, progress).offer(losses)
      case .content(let name, let offer):
        progress.begin("reading \(name)")
        try offer(session)
      }
    } catch {
      // The objects copied so far are valid all the same.
      let text = (error as? any ExplainedError)?.message ?? "\(error)"
      outcome.sourceProblems.append(.init(object: source.name, what: text))
    }
    try session.finish()
    let restored = found.map { $0.count - foundBefore } ?? session.dedup.claimedCount
    if restored > 0 {
      outcome.healedObjects += restored
      outcome.healedBytes += session.writtenBytes
      note(
        "\(restored) objects",
        isDryRun ? "are in \(source.name)" : "were restored from \(source.name)")
    }
    return restored
  }

  // MARK: Remaining problems

  /// Lists the problems that `verify` finds in addition to the losses.
  private func listProblems() throws {
    // A dry run leaves all damage in place.
    if isDryRun { return }
    let report = try store.verify(VerifyRequest(), progress: progress)
    let lost = Set(outcome.losses.paths.map(\.snapshot))
    outcome.problems = report.problems.filter { problem in
      problem.affected.isEmpty || problem.affected.contains { !lost.contains($0.snapshot) }
    }
  }
}

extension ObjectStore {
  /// Starts a session that stores only the wanted objects.
  func beginSession(allowed: AllowedObjects) throws(StoreError) -> WriteSession {
    if allowed.found == nil { try layout.requireWritable("the store") }
    return try WriteSession(layout, index, lease, tuning: StoreTuning(), allowed: allowed)
  }
}
