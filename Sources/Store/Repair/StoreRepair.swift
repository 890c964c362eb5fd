// Repair of a store: objects that are still in packs, other stores and live files are restored, and damaged
// files move to quarantine/.
//
//     read packs ─▶ intact frames to new packs ─▶ damaged packs to quarantine/ ─▶ refs, tags, pins
//        ─▶ find losses ─▶ sources, one after another ─▶ repeat while that helps ─▶ report losses
//
// 1. Nothing is deleted, and intact data is not touched. A replacement is durable before the original moves.
//    If repair is killed at any point, the store is no worse than before, and the next repair continues.
// 2. Content decides: an object is restored under its id only if its bytes have that hash.
// 3. It holds locks/gc, so no gc runs at the same time. Other commands may run: packs move under
//    locks/index, refs under their image's lock and locks/refs.
// 4. A second run finds nothing to do.

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
    let context = RepairContext(self, request, sources, progress, report)
    try StoreRepair(context: context).run()
    return context.outcome
  }
}

/// A running repair; locks/gc is held.
struct StoreRepair: RepairPart {
  let context: RepairContext
  private static let maxRounds = 64

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
    try PackRepair(context: context).repairPacks()
    if isDryRun {
      var damage = try survey()
      try MarkRestoration(context: context).addDamagedMarks(to: &damage)
      outcome.damagedPathCount = damage.pathCount
      outcome.damage = damage.counts
    }
    let (refs, marks) = (RefRepair(context: context), MarkRestoration(context: context))
    try refs.repairRefs()
    try MarkRepair(context: context).repairMarks()
    try SignatureRepair(context: context).repairSignatures()
    try restoreLosses()
    for source in context.sources {
      if case .store(let other, let name) = source {
        let lost = try marks.imagesWithoutSnapshots(among: other)
        try marks.restoreRemovedNumbers(from: other, name)
        try refs.restoreRefs(from: other, name)
        // A history that is now entirely that of the source has its removed numbers, too.
        try marks.restoreRemovedNumbers(from: other, name, adopted: lost)
        try marks.restoreMarks(from: other, name)
        try RecordRestoration(context: context).restoreRecords(from: other, name)
      }
    }
    outcome.losses = try survey()
    try marks.addDamagedMarks(to: &outcome.losses)
    try listProblems()
  }

  // MARK: Losses

  func survey() throws -> Losses {
    var badFrames: Set<FrameAddress> = []
    for file in context.damagedPacks {
      guard let pack = file.namedPack else { continue }
      for frame in file.check.badFrames {
        badFrames.insert(FrameAddress(pack: pack, offset: frame.offset))
      }
    }
    if badFrames.isEmpty {
      return try LossScanner(store, progress: progress, found: context.found).run(
        context.plannedRefs)
    }
    let bad = Set(context.damagedPacks.flatMap { $0.check.badObjects.keys })
    return try LossScanner(store, progress: progress, found: context.found) {
      [store] (name: ObjectName) in
      guard bad.contains(name) else { return false }
      return try store.index.locations(name.kind, name.id).allSatisfy {
        badFrames.contains($0.address)
      }
    }.run(context.plannedRefs)
  }

  /// Restores lost objects from the sources, each repeatedly while it helps: a restored directory names
  /// further lost objects below it.
  func restoreLosses() throws {
    var losses = try survey()
    for source in [PackRepair(context: context).quarantineSource] + context.sources {
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
    let allowed = AllowedObjects(losses, found: context.found)
    let foundBefore = context.found?.count ?? 0
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
    let restored = context.found.map { $0.count - foundBefore } ?? session.dedup.claimedCount
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
