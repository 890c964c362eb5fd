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
import Codec
import Ingest
import Platform
import Store
import XCAT

/// What to revert to, and how.
public struct RevertRequest: Sendable {
  public var reference: String
  /// What of the image is reverted; empty for all of it. A path in the reference is one of them.
  public var parts = ImageParts()
  public var method = ApplyStrategy.automatic
  /// What would be lost is put into a snapshot first.
  public var keepsSafety = true
  public var isDryRun = false
  /// Files and folders outside of the image's own places that may be changed as well.
  public var allowed: [String] = []
  /// Whatever the image's attributes name may be changed, wherever it lies.
  public var allowsOutside = false
  /// What the definition excludes becomes what it was as well: the change that is undone had set it.
  var restoresExcludes = false
  /// The image's directory becomes what it was as well, for the same reason.
  var restoresPlace = false
  public init(_ reference: String) { self.reference = reference }
}

/// What a revert did, or (as a dry run) would do.
public struct RevertOutcome: Sendable {
  public let target: CommittedSnapshot
  /// What of the image was reverted; empty for all of it.
  public var parts = ImageParts()
  public let isDryRun: Bool
  public let apply: ApplyOutcome
  /// The snapshot that holds what was there before, where the store had it not.
  public let safety: CommittedSnapshot?
  /// The snapshot that records the revert.
  public let recorded: CommittedSnapshot?
  /// What still differs afterwards: empty is the proof.
  public let remaining: ImageDiff?
  /// Entries whose attributes differ because the file system cannot hold them.
  public let limits: [ApplyProblem]
  /// Entries that could not be compared, because they cannot be read.
  public let uncompared: [Snapshot.Note]
  public let seconds: Double
  public var isExact: Bool { remaining?.isEmpty ?? true && limits.isEmpty }
}

/// A change of the live image to a snapshot's state, as a verb asks for it.
struct ChangeRequest {
  let image: ImageName
  let target: CommittedSnapshot
  let request: RevertRequest
  /// What of the image; empty for all of it.
  var parts = ImageParts()
  /// The verb, and what the snapshot that records the change says.
  let command: String
  let message: String
}

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

  // MARK: Before and after

  /// The live image, beside a target.
  struct LiveCapture {
    let live: LiveImage
    /// Has the live trees' objects.
    let source: any ObjectSource
    /// Keeps what was captured from garbage collection until it belongs to a snapshot. Its packs are on
    /// their way to the disk until `settle` returns.
    let session: WriteSession?

    var state: ImageState { live.state(from: source) }

    /// What was captured is in the store when this returns: from then on a snapshot may have it.
    func settle() throws { try session?.finish() }

    /// Runs `body`, which needs no more of what was captured than its trees, while that is on its way to the
    /// disk; and settles, whether `body` throws or not.
    func whileFlushing<R>(_ body: () throws -> R) throws -> R {
      let result = Result { try body() }
      let settled = Result { try settle() }
      let made = try result.get()
      try settled.get()
      return made
    }

    /// What a change to the target does to definition and rows.
    func attributeChanges(to target: CommittedSnapshot) -> [AttributeChange] {
      Images.attributeChanges(
        live.definition, live.rows, target.snapshot.definition, target.snapshot.keptRows)
    }
  }

  /// Captures the live image, as far as a target says what it is.
  /// - Parameters:
  ///   - storing: what is live goes into the store, to be kept by a snapshot.
  ///   - verifiedFiles: files that were written just now.
  ///   - journal: a change that is resumed: what it left over inside trees counts as part of them, so
  ///     that the plan removes it.
  func look(
    at image: ImageName, _ target: CommittedSnapshot, storing: Bool,
    verifiedFiles: [[UInt8]: VerifiedFile] = [:], resuming journal: Journal? = nil
  ) throws -> LiveCapture {
    let store = try store()
    let definition = try tables().definition(of: image.text) ?? ImageDefinition()
    let session = storing ? try store.beginSession() : nil
    let memory = MemoryObjects(over: store)
    // A safety snapshot holds also what only the latest snapshot knows of.
    let latest = storing ? try store.refs.latestReadable(of: image) : nil
    let live = try captureLive(
      image, definition, latest: latest ?? target, target: target.snapshot, change: [],
      also: target.snapshot.requests + target.snapshot.absentPathRequests,
      rows: target.snapshot.keptRows.keys, verifiedFiles: verifiedFiles,
      leftovers: journal.map { Journal.prefix($0.token) },
      into: session.map { .store($0, keeping: memory) } ?? .memory(memory))
    session?.beginFinish()
    return LiveCapture(live: live, source: memory, session: session)
  }

  /// A statelite image's tree is its nodes' root.
  func isServed(_ sight: LiveCapture, _ target: CommittedSnapshot) -> Bool {
    [sight.live.definition, target.snapshot.definition].contains { $0.provisioning == "statelite" }
  }

  /// The snapshot that has all that is live: the latest, or the target itself, or one that is taken
  /// now.
  /// - Returns: nil where none has it and none may be taken, or nothing is live.
  func takeSafetySnapshot(
    _ image: ImageName, _ sight: LiveCapture, _ target: CommittedSnapshot,
    _ plans: [ComponentPlan], saves: Bool,
    message: String, command: String
  ) throws -> (snapshot: CommittedSnapshot?, isNew: Bool) {
    let absences = try absenceNotes(of: target.snapshot.pieces, sight.live)
    let live = sight.live.withoutUnchangedFormerTrees(plans)
    let missingRows = live.rows.absent.intersection(target.snapshot.keptRows.present.keys)
    func has(_ candidate: Snapshot) -> Bool {
      candidate.definition == live.definition
        && candidate.keptRows.present == live.rows.present
        && missingRows.allSatisfy { candidate.keptRows.isKnown($0) }
        && live.capture.pieces.allSatisfy { candidate.piece(at: $0.path)?.entry == $0.entry }
        // Going back must also take away what is not there now.
        && absences.allSatisfy { candidate.notes.contains($0) }
    }
    let latest = try store().refs.latestReadable(of: image)
    for candidate in [latest, target].compactMap({ $0 }) where has(candidate.snapshot) {
      return (candidate, false)
    }
    guard saves else { return (nil, false) }
    let kept = try commit(
      image, live, notes: absences, latest: latest, message: message, command: command,
      isPermanent: false)
    return (kept, true)
  }

  /// Commits the state after a change: the target's own where the proof is clean.
  func record(
    _ image: ImageName, _ target: CommittedSnapshot, _ proof: LiveCapture, isExact: Bool,
    command: String, message: String, before: Digest?
  ) throws -> CommittedSnapshot {
    let store = try store()
    guard isExact else {
      return try commitLive(
        image, proof.live.definition, also: target.snapshot.requests, allowsEmpty: true,
        message: message + ", not exact", command: command, before: before, recordsChange: true
      ).committed
    }
    let excludes = try excludes(of: image, proof.live.definition)
    let lists = excludes.lists.map(\.lines)
    if proof.live.excludes != lists
      || !lists.isEmpty && proof.live.capture.pieces != target.snapshot.pieces
    {
      // What is excluded now is not what was excluded there, so that the live tree is another one.
      return try commitLive(
        image, proof.live.definition, also: target.snapshot.requests, allowsEmpty: true,
        message: message, command: command, before: before, recordsChange: true
      ).committed
    }
    var snapshot = target.snapshot
    snapshot.pieces.removeAll { $0.role == Snapshot.Component.formerTree }
    if proof.live.definition.isDirectory {
      snapshot.tables = snapshotTables(
        snapshot.definition, snapshot.keptRows, excludes: lists)
    }
    snapshot.created = now()
    snapshot.parent = try store.refs.latestReadable(of: image)?.id
    snapshot.message = message
    snapshot.provenance = changeProvenance(command, before: before)
    return try saveCache(of: store.refs.append(snapshot), proof)
  }

  /// The provenance of a snapshot that records a change.
  func changeProvenance(_ command: String, before: Digest?) -> [Snapshot.Fact] {
    provenance(command, before: before) + (before == nil ? [Snapshot.noSafety] : [])
  }

  /// Remembers the files of a snapshot as they were found live.
  private func saveCache(
    of committed: CommittedSnapshot, _ proof: LiveCapture
  ) -> CommittedSnapshot {
    // The comparison leaves mount points out; the cache may vouch only for trees that are stored.
    if proof.live.capture.pieces == committed.snapshot.pieces, let store = try? store(),
      let image = try? ImageName(committed.snapshot.image)
    {
      proof.live.capture.saveCache(
        store.layout, key: cacheKey(image), base: committed.id, replacing: proof.live.cache)
    }
    return committed
  }

  /// Stores the trees of a combined state, and completes its snapshot, which is still to be committed.
  private func prepare(
    _ state: CombinedState, _ order: ChangeRequest, before: Digest?, _ session: WriteSession
  ) throws -> CommittedSnapshot {
    try add(state.view, to: session)
    try session.finish()
    var snapshot = state.snapshot
    snapshot.created = now()
    let latest = try store().refs.latestReadable(of: order.image)
    snapshot.parent = latest?.id
    snapshot.facts = latest?.snapshot.facts ?? snapshot.facts
    snapshot.message = order.message
    snapshot.provenance =
      changeProvenance(order.command, before: before)
      + [.init(Snapshot.partsKey, order.parts.text)]
    return CommittedSnapshot(
      number: order.target.number, id: snapshot.id, snapshot: snapshot)
  }
}
