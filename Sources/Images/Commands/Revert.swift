// imgstore revert: restores the live image to a snapshot.
//
//     live ─capture─▶ store (unsaved changes ─▶ safety snapshot) ─plan─▶ journal ─▶ steps ─▶ rows
//          ─▶ verification ─▶ ref ─▶ journal removed
//
// 1. Nothing is changed before a snapshot holds everything that would be lost.
// 2. Files are changed first, table rows last. `imgstore resume` completes an interrupted revert or rolls it
//    back (Resume.swift).
// 3. A revert ends with a verification, a capture that must equal the snapshot. It is recorded as a snapshot,
//    so that it can be undone by another revert.

import Apply
import Ingest
import Platform
import Store
import XCAT

extension Workspace {
  /// Reverts the whole live image.
  /// - Throws: see `revert(_:)`.
  public func revert(_ text: String, dryRun: Bool = false) throws -> RevertOutcome {
    try ImageReverter(context).revert(text, dryRun: dryRun)
  }

  /// Reverts the live image, or the requested parts of it.
  /// - Throws: `ImageError`: `usage` if a word can mean both a tag and a path, `imageNotFound`,
  ///   `snapshotNotFound`, `pathNotFound`, `changeUnfinished`, `interrupted`; `InterruptedChangeError` if the
  ///   change must be resumed; `StoreError`, `XCATError`, `SystemError`.
  public func revert(_ request: RevertRequest) throws -> RevertOutcome {
    try ImageReverter(context).revert(request)
  }
}

/// Reverts live images.
struct ImageReverter {
  let context: Context

  init(_ context: Context) { self.context = context }

  /// Returns a warning if nodes load packed images that still contain the files that the change replaces in
  /// the tree.
  private func remarksOnPackedImages(
    _ plans: [ComponentPlan], _ live: LiveImage, _ image: ImageName
  ) -> [String] {
    let changed = Set(plans.map(\.path.bytes))
    guard let tree = live.capture.components.rootTree, changed.contains(tree.path) else {
      return []
    }
    let packed = live.capture.components.filter {
      $0.role == ImageFiles.packed && !changed.contains($0.path)
    }
    if packed.isEmpty { return [] }
    let names = packed.map { printable($0.path) }.joined(separator: ", ")
    return [
      "nodes load \(names), packed before this change: 'imgstore pack \(image)' packs it again"
    ]
  }

  func revert(_ text: String, dryRun: Bool = false) throws -> RevertOutcome {
    var request = RevertRequest(text)
    request.isDryRun = dryRun
    return try revert(request)
  }

  func revert(_ request: RevertRequest) throws -> RevertOutcome {
    let operand = try PathReference(request.reference)
    let reference = operand.snapshot
    var parts = request.parts
    if let path = operand.path { parts.paths.insert(path, at: 0) }
    let image = try ImageName(try SnapshotResolver(context).find(reference).snapshot.image)
    let store = try context.store()
    if reference.selector == .latest, parts.paths.count == 1, let word = parts.paths.first,
      try store.refs.tags(of: image)[word] != nil
    {
      throw ImageError(
        .usage, "'\(word)'", "is a tag of \(image), but a path is expected",
        hint: "Write '\(image)@\(word)' for the snapshot, or './\(word)' for the path")
    }
    let lock = try ImageLocks(context).lock(
      image, store, isDryRun: request.isDryRun, usesTree: true)
    defer { withExtendedLifetime(lock) {} }
    let target = try BaselineLookup(context).findBaseline(reference)
    return try change(
      ChangeRequest(
        image: image, target: target, request: request, parts: parts, command: "revert",
        message: parts.isEmpty
          ? "revert to @\(target.number)" : "revert of \(parts.text) to @\(target.number)"))
  }

  /// Changes the live image to the state of a snapshot. The caller holds the image's lock.
  func change(_ change: ChangeRequest) throws -> RevertOutcome {
    let start = monotonicSeconds()
    let (image, request) = (change.image, change.request)
    var target =
      request.restoresLocation
      ? change.target : change.target.relocated(to: try context.tables().definition(of: image.text))
    let source = target
    let store = try context.store()
    let paths = try changedPaths(of: image, target.snapshot)
    let directories =
      request.isDryRun ? nil : try DirectoryLocker(context).lockDirectories(image, paths)
    defer { withExtendedLifetime(directories) {} }
    let refusal = try DryRunRefusal(context).refusal(isDryRun: request.isDryRun) {
      if request.isDryRun {
        try store.layout.requireWritable("the history of \(image)")
        try DirectoryLocker(context).expectDirectoriesFree(image, paths)
      }
    }
    var notes = try AbsentPaths(context).effectiveNotes(target.snapshot, of: image)
    try MountedDirectories(context).requireMounted(
      try MountedDirectories(context).mountNotes(of: image) + notes, image: image.text)
    let limits = try LiveLimits(context, replacesLabels: request.method == .swap)
    let current = try LiveStateCapturer(context).captureLiveState(
      of: image, target, storing: request.keepsSafety && !request.isDryRun)
    try MountedDirectories(context).requireKnownMounts(current.live.notes)
    var combined: CombinedState?
    var excludedRemark: String?
    if change.parts.isEmpty {
      let recorded = target.snapshot
      target = target.keepingExcludes(
        of: current.live, restoresDefinition: request.restoresExcludes)
      if let reduced = try ExcludedTarget(context).withoutExcluded(
        target.snapshot, recorded: recorded, current)
      {
        combined = reduced.state
        target = CommittedSnapshot(
          number: target.number, id: target.id, snapshot: reduced.state.snapshot)
        excludedRemark = reduced.remark(change.target.name)
      }
    }
    let (plans, methods) = try current.whileFlushing {
      if !change.parts.isEmpty {
        var combiner = PartCombiner(current, source, store)
        let state = try combiner.combine(change.parts)
        combined = state
        target = CommittedSnapshot(number: target.number, id: target.id, snapshot: state.snapshot)
        notes = state.snapshot.notes
      }
      try DirectoryExcludes(context).requireUsableList(
        of: image, target.snapshot, combined?.view ?? store)
      var plans = try ComponentPlanner(context).planComponents(
        from: current.live.capture.components, current.source, to: target.snapshot.components,
        combined?.view ?? store,
        liveNotes: current.live.notes, targetNotes: notes, captured: current.live.capture,
        limits: limits)
      plans = try ChangeScope(context).keepOutside(
        plans, [current.live.definition, target.snapshot.definition],
        current.live.capture.components + target.snapshot.components, request)
      plans = try DirectoryMoves(context).keepForeignDirectories(
        plans, current.live, target.snapshot, notes, request)
      let methods = try StrategyChooser(context).chooseMethods(
        &plans,
        StrategyInputs(
          method: request.method, notes: current.live.notes + notes,
          isServed: LiveStateCapturer(context).isServed(current, target),
          entryCount: target.snapshot.entryCount,
          live: current.source, target: combined?.view ?? store))
      return (plans, methods)
    }
    let attributes = current.attributeChanges(to: target)
    var outcome = ComponentPlanner(context).describe(plans, methods, attributes)
    outcome.remarks = try ChangeScope(context).remarksOnSharing(plans, of: image)
    if !change.parts.isEmpty {
      outcome.remarks += remarksOnPackedImages(plans, current.live, image)
    }
    outcome.remarks +=
      [excludedRemark].compactMap(\.self) + OpenFileRemarks(context).remarksOnOpenFiles(plans)
    outcome.remarks += [outcome.dropExpectedSkips(current.live.notes)].compactMap(\.self)
    for remark in outcome.remarks { context.reporter.warn(remark) }
    try ChangePreflight(context).preflight(plans)
    let latest = try store.refs.latestReadable(of: image)?.snapshot
    let isRecorded = combined != nil || latest?.hasSameState(as: target.snapshot) == true
    let isDone = plans.isEmpty && attributes.isEmpty && isRecorded
    if request.isDryRun || isDone {
      return RevertOutcome(
        target: change.target, parts: change.parts, isDryRun: request.isDryRun, apply: outcome,
        safety: nil, recorded: nil,
        remaining: nil, limits: outcome.limits, uncompared: [],
        seconds: monotonicSeconds() - start, refusal: refusal)
    }
    let (before, isNew) = try ChangeRecorder(context).takeSafetySnapshot(
      image, current, change.target, plans, saves: request.keepsSafety,
      message: "before \(change.message)", command: change.command)
    // Protects the stored objects from garbage collection until a snapshot references them.
    let session = combined == nil ? nil : try store.beginSession()
    defer { withExtendedLifetime(session) {} }
    if let state = combined, let session {
      target = try ChangeRecorder(context).prepare(state, change, before: before?.id, session)
    }
    let journal = ReplacedTrees(context).naming(
      exchangesOf: plans,
      in: Journal(
        operation: .revert, image: image.text, started: now(), method: request.method,
        target: target.id, before: before?.id, command: change.command, message: change.message,
        options: JournalOption.facts(request)
          + JournalOption.facts(excludes: current.live.excludes)))
    let (remaining, limitProblems, verified, recorded) = try ChangeJournal(context).withJournal(
      image, journal
    ) { syncs in
      if combined != nil { target = try store.refs.append(target.snapshot) }
      outcome.report = try applyPlans(
        image, plans, notes, to: target.snapshot, journal,
        rowsFrom: attributes.isEmpty ? nil : current.live, syncs
      ) { try LivePaths(context).locate($0, create: true) }
      let verified = try LiveStateCapturer(context).captureLiveState(
        of: image, target, storing: false, verifiedFiles: outcome.report.verifiedFiles)
      let (remaining, limitProblems) = try LimitFilter(context).splitLimits(
        ImageComparer(context).diff(verified.state, StatusReader(context).state(target, store)),
        target.snapshot.components, verified.source,
        outcome.report, LiveLimits(context))
      try PlanExecutor(context).waitForSyncs(syncs)
      let isExact = remaining.isEmpty && limitProblems.isEmpty
      let recorded =
        combined != nil && isExact
        ? ChangeRecorder(context).saveCache(of: target, verified)
        : try ChangeRecorder(context).record(
          image, target, verified, isExact: isExact, command: change.command,
          message: change.message,
          before: before?.id)
      return (remaining, limitProblems, verified.live, recorded)
    }
    return RevertOutcome(
      target: change.target, parts: change.parts, isDryRun: false, apply: outcome,
      safety: isNew ? before : nil,
      recorded: recorded, remaining: remaining, limits: limitProblems,
      uncompared: verified.notes.filter(\.isProblem),
      seconds: monotonicSeconds() - start)
  }

  /// Executes the plans: files and directories first, then table rows, then the removal of old trees. These
  /// are all steps between the journal and the verification.
  /// - Parameters:
  ///   - live: the captured image, as the base of the row changes; nil to leave rows alone.
  ///   - syncs: the syncs that the caller waits for before it records the change.
  ///   - resolve: returns the location of a component on this machine.
  func applyPlans(
    _ image: ImageName, _ plans: [ComponentPlan], _ notes: [Snapshot.Note], to target: Snapshot,
    _ journal: Journal, rowsFrom live: LiveImage?, _ syncs: BackgroundSync,
    resolve: (AbsolutePath) throws -> ResolvedPath
  ) throws -> ApplyReport {
    try TreeProtector(context).closeDirectory(of: target, resolve: resolve)
    var execution = try PlanExecutor(context).execute(
      plans, token: journal.token, syncs, resolve: resolve)
    let paths = plans.map(\.path)
    if let live {
      try PlanExecutor(context).sync(paths, syncs)
      try PlanExecutor(context).waitForSyncs(syncs)
      execution.report.problems += try LiveRows(context).restoreRows(image, target, from: live)
    }
    try PlanExecutor(context).removeOldTrees(execution)
    try AbsentPaths(context).removeEmptyDirectories(notes)
    try PlanExecutor(context).sync(paths, syncs)
    // Some file systems report the holes of a file only after it is on disk.
    if plans.contains(where: { $0.plan.files.contains { $0.entry.holes != nil } }) {
      try PlanExecutor(context).waitForSyncs(syncs)
    }
    return execution.report
  }

  /// Returns the paths that a change of the image to a snapshot's state may modify.
  func changedPaths(of image: ImageName, _ target: Snapshot) throws -> [AbsolutePath] {
    let definition = try context.tables().definition(of: image.text) ?? ImageDefinition()
    return try ImageCapturer(context).requests(
      definition, latest: nil, additional: target.requests + target.absentPathRequests
    )
    .all
    .map(\.path)
  }
}
