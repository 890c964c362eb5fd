// imgstore revert: the live image becomes what a snapshot says.
//
//     live ─capture─▶ store (what it has not yet ─▶ safety snapshot) ─plan─▶ journal ─▶ steps ─▶ rows
//          ─▶ proof ─▶ ref ─▶ journal removed
//
// 1. Nothing is changed before everything that would be lost is in a snapshot.
// 2. Files first, table rows last; a revert that is cut short is completed, or taken back, by
//    `imgstore resume` (`ResumeVerb`).
// 3. It ends in a proof, a capture that equals the snapshot, and records itself as a snapshot, so
//    that it is reverted the same way.

import Apply
import Ingest
import Platform
import Store
import XCAT

extension Workspace {
  /// Warns that nodes load packed images that still have what a change of a part of the tree replaces.
  private func remarksOnPackedImages(
    _ plans: [ComponentPlan], _ live: LiveImage, _ image: ImageName
  ) -> [String] {
    let changed = Set(plans.map(\.path.bytes))
    guard let tree = live.capture.pieces.rootTree, changed.contains(tree.path) else { return [] }
    let packed = live.capture.pieces.filter {
      $0.role == ImageFiles.packed && !changed.contains($0.path)
    }
    if packed.isEmpty { return [] }
    let names = packed.map { printable($0.path) }.joined(separator: ", ")
    return [
      "nodes load \(names), packed before this change: 'imgstore pack \(image)' packs it again"
    ]
  }

  /// Reverts the live image.
  public func revert(_ text: String, dryRun: Bool = false) throws -> RevertOutcome {
    var request = RevertRequest(text)
    request.isDryRun = dryRun
    return try revert(request)
  }

  /// Reverts the live image.
  public func revert(_ request: RevertRequest) throws -> RevertOutcome {
    let operand = try PathReference(request.reference)
    let reference = operand.snapshot
    var parts = request.parts
    if let path = operand.path { parts.paths.insert(path, at: 0) }
    let image = try ImageName(try find(reference).snapshot.image)
    let store = try store()
    if reference.selector == .latest, parts.paths.count == 1, let word = parts.paths.first,
      try store.refs.tags(of: image)[word] != nil
    {
      throw ImageError(
        .usage, "'\(word)'", "is a tag of \(image), where a path is asked for",
        advice: "Write '\(image)@\(word)' for the snapshot, './\(word)' for a path of that name")
    }
    let lock = try lock(image, store, isDryRun: request.isDryRun)
    defer { withExtendedLifetime(lock) {} }
    let target = try findBaseline(reference)
    return try change(
      ChangeRequest(
        image: image, target: target, request: request, parts: parts, command: "revert",
        message: parts.isEmpty
          ? "revert to @\(target.number)" : "revert of \(parts.text) to @\(target.number)"))
  }

  /// Makes the live image what a snapshot says; the image's lock is held.
  func change(_ order: ChangeRequest) throws -> RevertOutcome {
    let start = monotonicSeconds()
    let (image, request) = (order.image, order.request)
    var target =
      request.restoresPlace
      ? order.target : order.target.relocated(to: try tables().definition(of: image.text))
    let source = target
    let store = try store()
    let folders =
      request.isDryRun ? nil : try lockFolders(image, changedPaths(of: image, target.snapshot))
    defer { withExtendedLifetime(folders) {} }
    var notes = try effectiveNotes(target.snapshot, of: image)
    try requireMounted(try mountNotes(of: image) + notes, image: image.text)
    let limits = try LiveLimits(self, replacesLabels: request.method == .swap)
    let sight = try look(at: image, target, storing: request.keepsSafety && !request.isDryRun)
    try requireKnownMounts(sight.live.notes)
    if order.parts.isEmpty {
      target = target.keepingExcludes(
        of: sight.live, restoresDefinition: request.restoresExcludes)
    }
    var combined: CombinedState?
    let (plans, methods) = try sight.whileFlushing {
      if !order.parts.isEmpty {
        var combiner = PartCombiner(sight, source, store)
        let state = try combiner.combine(order.parts)
        combined = state
        target = CommittedSnapshot(number: target.number, id: target.id, snapshot: state.snapshot)
        notes = state.snapshot.notes
      }
      try requireUsableList(of: image, target.snapshot, combined?.view ?? store)
      var plans = try planPieces(
        from: sight.live.capture.pieces, sight.source, to: target.snapshot.pieces,
        combined?.view ?? store,
        liveNotes: sight.live.notes, targetNotes: notes, captured: sight.live.capture,
        limits: limits)
      plans = try keepOutside(
        plans, [sight.live.definition, target.snapshot.definition],
        sight.live.capture.pieces + target.snapshot.pieces, request)
      plans = try keepForeignDirectories(plans, sight.live, target.snapshot, notes, request)
      let methods = try chooseMethods(
        &plans,
        StrategyContext(
          method: request.method, notes: sight.live.notes + notes,
          isServed: isServed(sight, target), entryCount: target.snapshot.entryCount,
          live: sight.source, target: combined?.view ?? store))
      return (plans, methods)
    }
    let attributes = sight.attributeChanges(to: target)
    var outcome = describe(plans, methods, attributes)
    outcome.remarks = try remarksOnSharing(plans, of: image)
    if !order.parts.isEmpty { outcome.remarks += remarksOnPackedImages(plans, sight.live, image) }
    for remark in outcome.remarks { tell(remark) }
    outcome.forgetExcluded(sight.live.notes)
    try preflight(plans)
    let latest = try store.refs.latestReadable(of: image)?.snapshot
    let isRecorded = combined != nil || latest?.hasSameState(as: target.snapshot) == true
    let isDone = plans.isEmpty && attributes.isEmpty && isRecorded
    if request.isDryRun || isDone {
      return RevertOutcome(
        target: order.target, parts: order.parts, isDryRun: request.isDryRun, apply: outcome,
        safety: nil, recorded: nil,
        remaining: nil, limits: outcome.limits, uncompared: [], seconds: monotonicSeconds() - start)
    }
    let (before, isNew) = try takeSafetySnapshot(
      image, sight, order.target, plans, saves: request.keepsSafety,
      message: "before \(order.message)", command: order.command)
    // What it has stored is kept from garbage collection until a snapshot has it.
    let session = combined == nil ? nil : try store.beginSession()
    defer { withExtendedLifetime(session) {} }
    if let state = combined, let session {
      target = try prepare(state, order, before: before?.id, session)
    }
    let journal = Journal(
      operation: .revert, image: image.text, started: now(), method: request.method,
      target: target.id, before: before?.id, command: order.command, message: order.message,
      options: ImportOption.facts(request)
        + ImportOption.facts(excludes: sight.live.excludes))
    let (remaining, found, proof, recorded) = try withJournal(image, journal) { syncs in
      if combined != nil { target = try store.refs.append(target.snapshot) }
      outcome.report = try applyPlans(
        image, plans, notes, to: target.snapshot, journal,
        rowsFrom: attributes.isEmpty ? nil : sight.live, syncs
      ) { try locate($0, create: true) }
      let proof = try look(
        at: image, target, storing: false, verifiedFiles: outcome.report.verifiedFiles)
      let (remaining, found) = try splitLimits(
        diff(proof.state, state(target, store)), target.snapshot.pieces, proof.source,
        outcome.report, LiveLimits(self))
      try settle(syncs)
      let isExact = remaining.isEmpty && found.isEmpty
      let recorded =
        combined != nil && isExact
        ? saveCache(of: target, proof)
        : try record(
          image, target, proof, isExact: isExact, command: order.command, message: order.message,
          before: before?.id)
      return (remaining, found, proof.live, recorded)
    }
    return RevertOutcome(
      target: order.target, parts: order.parts, isDryRun: false, apply: outcome,
      safety: isNew ? before : nil,
      recorded: recorded, remaining: remaining, limits: found,
      uncompared: proof.notes.filter(\.isProblem),
      seconds: monotonicSeconds() - start)
  }

  /// Files and folders, then rows, then what is left of old trees: everything between journal and
  /// proof.
  /// - Parameters:
  ///   - live: where rows are to be set: the image as it was captured.
  ///   - syncs: is to be settled before the change is recorded.
  func applyPlans(
    _ image: ImageName, _ plans: [ComponentPlan], _ notes: [Snapshot.Note], to target: Snapshot,
    _ journal: Journal, rowsFrom live: LiveImage?, _ syncs: BackgroundSync,
    resolve: (AbsolutePath) throws -> ResolvedPath
  ) throws -> ApplyReport {
    try closeFolder(of: target, resolve: resolve)
    var placement = try place(plans, token: journal.token, syncs, resolve: resolve)
    let paths = plans.map(\.path)
    if let live {
      try sync(paths, syncs)
      try settle(syncs)
      placement.report.problems += try restoreRows(image, target, from: live)
    }
    try removeOldTrees(placement)
    try removeEmptyFolders(notes)
    try sync(paths, syncs)
    // Where a file's holes are, some file systems know only once it is on disk.
    if plans.contains(where: { $0.plan.files.contains { $0.entry.holes != nil } }) {
      try settle(syncs)
    }
    return placement.report
  }

  /// What a change of the image to a snapshot's state may change.
  func changedPaths(of image: ImageName, _ target: Snapshot) throws -> [AbsolutePath] {
    let definition = try tables().definition(of: image.text) ?? ImageDefinition()
    return try requests(definition, latest: nil, also: target.requests + target.absentPathRequests)
      .all
      .map(\.path)
  }
}
