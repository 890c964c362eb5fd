// Repairing a store: what the packs, other stores and live files still have comes back, and what is damaged
// goes to quarantine/.
//
//     packs read ─▶ sound frames into new packs ─▶ damaged packs to quarantine/ ─▶ refs, tags, pins
//        ─▶ what is lost? ─▶ sources, one after another ─▶ again, while that helps ─▶ what remains lost
//
// 1. Nothing is deleted, and nothing that is sound is touched. What replaces something is durable before
//    that moves: killed anywhere, the store is no worse than before, and the next repair goes on.
// 2. Content decides: an object comes back under its id, and its bytes hash to that.
// 3. It holds locks/gc: no collection runs meanwhile. Other commands go on: packs move under
//    locks/index, refs under their image's lock and locks/refs.
// 4. Run again, it finds nothing to do.

import Codec
import Platform

extension ObjectStore {
  /// Repairs the store; see the rules above.
  /// - Parameters:
  ///   - sources: asked in this order for what is lost.
  ///   - report: told what happens, a line each.
  /// - Throws: `busy` where a collection runs, `refused` where the store cannot be written.
  public func repair(
    _ request: RepairRequest, from sources: [RepairSource], progress: Progress,
    report: @escaping @Sendable (String) -> Void
  ) throws -> RepairOutcome {
    // A dry run may read a store that nobody can write.
    let lock =
      request.isDryRun && layout.isReadOnly
      ? nil : try lockCollections(waiting: request.waiting, report: report)
    defer { withExtendedLifetime(lock) {} }
    let run = StoreRepair(self, request, sources, progress, report)
    try run.run()
    return run.outcome
  }
}

/// One repair under way; locks/gc is held.
final class StoreRepair {
  let store: ObjectStore
  let request: RepairRequest
  let sources: [RepairSource]
  let progress: Progress
  let report: @Sendable (String) -> Void
  var outcome = RepairOutcome()
  /// Of packs that are damaged and still in their folders: a dry run's.
  var damagedPacks: [PackFile] = []
  /// Of a dry run: what the sources would give, and refs that would be in their places.
  let found: FoundObjects?
  var plannedRefs: [SnapshotName: PlannedRef] = [:]
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
    found = request.isDryRun ? FoundObjects() : nil
    outcome.isDryRun = request.isDryRun
  }

  func run() throws {
    let start = monotonicSeconds()
    defer { outcome.seconds = monotonicSeconds() - start }
    for name in layout.oddNames {
      note(
        name,
        isDryRun
          ? "is damaged: would be moved to quarantine/, and made again"
          : "was damaged: moved to quarantine/, and made again")
    }
    if !isDryRun { try store.refs.upgrade() }
    try store.index.refresh()
    _ = try store.index.checkedIDs()
    try repairPacks()
    if isDryRun { outcome.damagedPathCount = try survey().pathCount }
    try repairRefs()
    try repairMarks()
    try repairSignatures()
    try heal()
    for source in sources {
      if case .store(let other, let name) = source { try restoreRefs(from: other, name) }
    }
    outcome.losses = try survey()
    try listProblems()
  }

  func note(_ object: String, _ what: String) {
    outcome.actions.append(.init(object: object, what: what))
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
      return try LossSurvey(store, progress: progress, found: found).run(plannedRefs)
    }
    let bad = Set(damagedPacks.flatMap { $0.check.badObjects.keys })
    return try LossSurvey(store, progress: progress, found: found) { [store] (name: ObjectName) in
      guard bad.contains(name) else { return false }
      return try store.index.places(name.kind, name.id).allSatisfy {
        badFrames.contains($0.address)
      }
    }.run(plannedRefs)
  }

  /// Asks the sources for what is lost, each again while it helps: a directory that comes back names
  /// what is lost below it.
  func heal() throws {
    var losses = try survey()
    for source in [quarantineSource] + sources {
      for _ in 0..<StoreRepair.maxRounds {
        if losses.objects.isEmpty { return }
        let healed = try heal(losses, from: source)
        if healed == 0 { break }
        losses = try survey()
      }
    }
  }

  /// - Returns: how many objects came back.
  private func heal(_ losses: Losses, from source: RepairSource) throws -> Int {
    let wanted = WantedObjects(losses, found: found)
    let foundBefore = found?.count ?? 0
    let session = try store.beginSession(wanted: wanted)
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
      // What it gave so far is right all the same.
      let text = (error as? any ExplainedError)?.statement ?? "\(error)"
      outcome.sourceProblems.append(.init(object: source.name, what: text))
    }
    try session.finish()
    let healed = found.map { $0.count - foundBefore } ?? session.known.claimedCount
    if healed > 0 {
      outcome.healedObjects += healed
      outcome.healedBytes += session.writtenBytes
      note(
        "\(healed) objects", isDryRun ? "are in \(source.name)" : "came back from \(source.name)")
    }
    return healed
  }

  // MARK: What remains

  /// What `verify` finds beyond what the losses say.
  private func listProblems() throws {
    // What is damaged is all there still.
    if isDryRun { return }
    let report = try store.verify(VerifyRequest(), progress: progress)
    let lost = Set(outcome.losses.paths.map(\.snapshot))
    outcome.problems = report.problems.filter { problem in
      problem.affected.isEmpty || problem.affected.contains { !lost.contains($0.snapshot) }
    }
  }
}

extension ObjectStore {
  /// A session that stores nothing but what is wanted.
  func beginSession(wanted: WantedObjects) throws(StoreError) -> WriteSession {
    if wanted.found == nil { try layout.requireWritable("the store") }
    return try WriteSession(layout, index, lease, tuning: StoreTuning(), wanted: wanted)
  }
}
