// imgstore resume: a change that was cut short is completed, or taken back.
//
//     journal ─▶ leftovers removed ─▶ live ─capture─▶ plan towards the target, or the state before
//             ─▶ steps ─▶ rows ─▶ proof ─▶ ref (unless it is there) ─▶ journal removed
//
// 1. It plans anew from what is live, so it may itself be cut short, and be resumed, any number of times.
// 2. What somebody put into the half-changed image, and neither end of the change has, is kept as a
//    snapshot first.

import Apply
import Codec
import Ingest
import Platform
import Store
import XCAT

extension Workspace {
  /// Goes on with a change that was cut short.
  /// - Parameter name: the image; nil where only one has such a change.
  /// - Throws: `ImageError` where there is nothing to resume, or no snapshot has the state to go to.
  public func resume(_ name: String?, _ direction: ResumeDirection) throws -> ResumeOutcome {
    let start = monotonicSeconds()
    let image = try unfinishedImage(name)
    let store = try store()
    let lock = try lock(image, store, allowsUnfinished: true)
    defer { withExtendedLifetime(lock) {} }
    Interruption.announce("interrupted: image \(image) stays half changed")
    if direction == .abandon { return try abandon(image) }
    guard let journal = try journal(of: image) else { throw nothingToResume(image.text) }
    let change = try unfinished(image, journal)
    let before = try journal.before.flatMap { try snapshot($0, of: image) }
    var leadsTo = try snapshot(journal.target, of: image)
    // The way back of a revert needs the state before alone.
    if leadsTo == nil, direction == .back, journal.operation == .revert { leadsTo = before }
    guard let target = leadsTo else {
      return try discardUnstartedChange(image, journal, change, direction)
    }
    guard let goal = direction == .back ? before : target else {
      throw ImageError(
        .unfinished, "image \(image)", "no snapshot has the state before \(change.words)",
        advice: "'imgstore resume \(image)' completes it; 'imgstore revert' goes to any snapshot "
          + "afterwards")
    }
    do {
      let syncs = BackgroundSync(fileSystem)
      let outcome = try Interruption.duringChange(Workspace.lastWords(of: image, journal)) {
        let outcome = try resumeChange(image, journal, target, before, goal, syncs, start)
        try end(image, syncs)
        return outcome
      }
      Interruption.announce("interrupted: the change of image \(image) was complete")
      return ResumeOutcome(change: change, direction: direction, revert: outcome)
    } catch {
      // Untouched by this resumption only.
      throw InterruptedChangeError((error as? CancelledChangeError)?.cause ?? error, change)
    }
  }

  /// The images with a change that was begun and has not ended.
  public func unfinishedImages() throws -> [String] {
    try storeIfPresent()?.journals.images().map(\.text) ?? []
  }

  private func unfinishedImage(_ name: String?) throws -> ImageName {
    if let name { return try image(named: name) }
    let all = try store().journals.images()
    guard let only = all.first else { throw nothingToResume(nil) }
    guard all.count == 1 else {
      throw ImageError(
        .usage, "resume",
        "several images have unfinished changes: \(all.map(\.text).joined(separator: ", "))",
        advice: "Name one: 'imgstore resume IMAGE'")
    }
    return only
  }

  private func nothingToResume(_ name: String?) -> ImageError {
    ImageError(
      .notFound, name.map { "image \($0)" } ?? "resume", "has no unfinished change",
      advice: "'imgstore undo' takes back a change that has ended")
  }

  private func abandon(_ image: ImageName) throws -> ResumeOutcome {
    // A journal that cannot be read is one more reason to be rid of it.
    let journal = try? journal(of: image)
    // One that is no file at all cannot be read, and is there all the same.
    do {
      guard try store().journals.read(image) != nil else { throw nothingToResume(image.text) }
    } catch let error as StoreError where error.kind == .damaged {}
    let change =
      journal.flatMap { try? unfinished(image, $0) }
      ?? UnfinishedChange(
        image: image.text, operation: .revert, command: "revert", started: now(), user: nil,
        target: nil,
        before: nil,
        isRunning: false)
    // Nothing but the journal must be in order for it to go.
    var leftovers: [ApplyProblem] = []
    if let journal {
      do { leftovers = try removeLeftovers(image, journal).map(\.problem) } catch {
        leftovers = [ApplyProblem(path: Array(image.text.utf8), what: "\(error)")]
      }
    }
    try store().journals.remove(image)
    return ResumeOutcome(
      change: change, direction: .abandon, revert: nil, leftovers: leftovers)
  }

  /// The journal was written and the ref that it names was not: nothing else has happened.
  private func discardUnstartedChange(
    _ image: ImageName, _ journal: Journal, _ change: UnfinishedChange,
    _ direction: ResumeDirection
  ) throws -> ResumeOutcome {
    guard journal.operation != .revert else {
      throw ImageError(
        .unfinished, "image \(image)",
        "the snapshot that the revert leads to is not in the store any more",
        advice: journal.before == nil || direction == .back
          ? "'imgstore resume \(image) --abandon' leaves the image as it is"
          : "'imgstore resume \(image) --back' returns to the state before")
    }
    let leftovers = try removeLeftovers(image, journal).map(\.problem)
    try store().journals.remove(image)
    return ResumeOutcome(
      change: change, direction: direction, revert: nil, leftovers: leftovers)
  }

  // MARK: Going on

  private func resumeChange(
    _ image: ImageName, _ journal: Journal, _ target: CommittedSnapshot,
    _ before: CommittedSnapshot?, _ goal: CommittedSnapshot, _ syncs: BackgroundSync,
    _ start: Double
  ) throws -> RevertOutcome {
    let store = try store()
    let isBack = goal.id != target.id
    let reach = ImportOption.reach(journal)
    // A change that gives the image another directory names it itself.
    let defined = reach.restoresPlace ? nil : try tables().definition(of: image.text)
    let target = target.relocated(to: defined)
    let end = goal.relocated(to: defined).excluding(ImportOption.excludes(journal))
    let folders = try lockFolders(
      image, changedPaths(of: image, target.snapshot) + changedPaths(of: image, end.snapshot))
    defer { withExtendedLifetime(folders) {} }
    if let leftover = try removeLeftovers(image, journal).first {
      throw ImageError(
        .unfinished, printable(leftover.problem.path), leftover.problem.what,
        advice: leftover.isMounted
          ? "Unmount that file system, and run the command again. Do not remove what is mounted"
          : "Remove it, and run the command again; 'imgstore resume \(image) --abandon' leaves "
            + "everything as it is")
    }
    try requireMounted(try mountNotes(of: image) + end.snapshot.notes, image: image.text)
    let sight = try look(at: image, end, storing: before != nil, resuming: journal)
    let goal = end.keepingExcludes(
      of: sight.live,
      restoresDefinition: journal.operation == .importing || reach.restoresExcludes)
    try sight.settle()
    var safety: CommittedSnapshot?
    if let before, try hasUnsavedChanges(sight, before, target, journal) {
      safety = try commit(
        image, sight.live, notes: [], latest: try store.refs.latestReadable(of: image),
        message: "found half done: \(journal.message)", command: "resume", isPermanent: false)
    }
    let notes = try effectiveNotes(goal.snapshot, of: image)
    let foreign = Set(journal.values(ImportOption.foreign))
    let resolve = try targetResolver(journal, isBack: isBack)
    var plans = try planPieces(
      from: sight.live.capture.pieces.filter {
        // On the way back they are what they were.
        !foreign.contains(printable($0.path)) || goal.snapshot.piece(at: $0.path) != nil
      },
      sight.source, to: goal.snapshot.pieces, store, liveNotes: sight.live.notes,
      targetNotes: notes, captured: sight.live.capture, limits: LiveLimits(self))
    plans = try keepOutside(
      plans, [sight.live.definition, goal.snapshot.definition],
      sight.live.capture.pieces + goal.snapshot.pieces, reach)
    plans = try keepForeignDirectories(
      plans, sight.live, goal.snapshot, notes, reach, isResumed: true)
    func grounds(_ method: ApplyStrategy) -> StrategyContext {
      StrategyContext(
        method: method, notes: sight.live.notes + notes, isServed: isServed(sight, target),
        entryCount: goal.snapshot.entryCount, live: sight.source, target: store)
    }
    // What stands in the way of a swap by now must not stand in the way of going on.
    let methods =
      try (try? chooseMethods(&plans, grounds(journal.method)))
      ?? chooseMethods(&plans, grounds(.automatic))
    let attributes = sight.attributeChanges(to: goal)
    var outcome = describe(plans, methods, attributes)
    outcome.forgetExcluded(sight.live.notes)
    if !isBack { try keepOriginals(journal, goal.snapshot, sight.live) }
    outcome.report = try applyPlans(
      image, plans, notes, to: goal.snapshot, journal,
      rowsFrom: attributes.isEmpty ? nil : sight.live, syncs, resolve: resolve)
    // What was written before the change was cut short may not be on disk either.
    try sync(goal.snapshot.requests.map(\.path), syncs)
    let proof = try look(
      at: image, goal, storing: false, verifiedFiles: outcome.report.verifiedFiles)
    let (remaining, found) = try splitLimits(
      diff(proof.state, state(goal, store)), goal.snapshot.pieces, proof.source, outcome.report,
      LiveLimits(self))
    let isExact = remaining.isEmpty && found.isEmpty
    try settle(syncs)
    // Whoever recorded the change may have died before the journal went.
    let latest = try store.refs.latestReadable(of: image)
    var recorded: CommittedSnapshot?
    if latest?.snapshot.hasSameState(as: goal.snapshot) != true || !isExact {
      recorded = try record(
        image, goal, proof, isExact: isExact,
        command: isBack ? "resume --back" : journal.command,
        message: isBack ? "taken back: \(journal.message)" : journal.message,
        before: isBack ? target.id : before?.id)
    } else if proof.live.capture.pieces == goal.snapshot.pieces {
      proof.live.capture.saveCache(
        store.layout, key: cacheKey(image), base: goal.id, replacing: proof.live.cache)
    }
    return RevertOutcome(
      target: goal, isDryRun: false, apply: outcome, safety: safety, recorded: recorded,
      remaining: remaining, limits: found, uncompared: proof.live.notes.filter(\.isProblem),
      seconds: monotonicSeconds() - start)
  }

  /// Whether something live has a content that neither end of the change has.
  private func hasUnsavedChanges(
    _ sight: LiveCapture, _ before: CommittedSnapshot, _ target: CommittedSnapshot,
    _ journal: Journal
  ) throws -> Bool {
    let prefix = Journal.prefix(journal.token)
    func news(against end: CommittedSnapshot) throws -> Set<[UInt8]> {
      var paths: Set<[UInt8]> = []
      for change in try diff(state(end, try store()), sight.state).entries {
        switch change.kind {
        case .removed: continue
        case .added(let entry):
          if entry.kind == .directory { continue }
        case .changed(_, let entry, let fields):
          guard fields.contains(.content), entry.kind != .directory else { continue }
        }
        let isOwn = change.path.split(separator: 0x2f).contains { $0.starts(with: prefix) }
        if !isOwn { paths.insert(change.path) }
      }
      return paths
    }
    let beside = try news(against: before)
    return try !beside.isEmpty && !beside.isDisjoint(with: news(against: target))
  }
}
