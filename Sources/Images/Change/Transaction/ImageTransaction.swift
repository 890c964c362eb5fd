// The change of a live image, from its plan to its end. `revert`, `undo`, `import`, `copy`, `lite`,
// `pack --in-tree` and `resume` supply a `LiveChange`. This file alone says what must be on disk before what.
//
//     planned ─▶ journaled ─▶ staged ─▶ applied ─▶ verified ─▶ recorded ─▶ ended
//
// 1. The caller holds the locks of the image and of its directories.
// 2. A snapshot has the state before, unless the user declined it, before the journal is written.
// 3. The journal is on disk before anything is written next to the live image or in it. So is the target: a
//    resumed change reads it from the store.
// 4. A staged tree is complete and on disk before it is exchanged. A signal until then leaves everything
//    unchanged.
// 5. Table rows change after all files are on disk.
// 6. A capture proves the new state. Its ref is written after the proof, and after data and rows are on disk.
// 7. The old tree of a swap is removed after the ref exists, and then the empty directories around it.
// 8. The stat cache is saved after the sync. It would confirm files that a power failure can still lose. It is
//    renewed after the removal of an old tree, which changes the ctime of files that both trees share.
// 9. A tree that was exchanged with a standby tree stays. It gets its record after the ref and the sync.
// 10. The journal is removed last, when everything else is on disk.
//
// Each state is a type that only the transition before it creates, so no step can be left out or repeated.
// ImageTransactionTests checks the order on a file system that records it.

import Ingest
import Platform
import Store

/// One change of a live image.
struct ImageTransaction<Change: LiveChange> {
  private let context: Context
  private let change: Change
  private let syncs: BackgroundSync
  private var image: ImageName { change.image }
  private var paths: [AbsolutePath] { change.plans.map(\.path) }

  /// - Parameter change: the change, planned under the locks that the caller holds.
  init(_ context: Context, _ change: Change) {
    self.context = context
    self.change = change
    syncs = BackgroundSync(context.fileSystem)
  }

  /// The journal is on disk.
  private struct Journaled {
    let journal: Journal
    let before: StateBefore
    let target: ChangeTarget
  }

  /// The target is in the store, and all staged trees are on disk.
  private struct Staged {
    let start: Journaled
    let target: CommittedSnapshot
    let trees: StagedTrees
  }

  /// Files and table rows are changed, and a sync is under way.
  private struct Applied {
    let stage: Staged
    let execution: ExecutionResult
  }

  /// The live image was compared with the target, and is on disk.
  private struct Verified {
    let applied: Applied
    let proof: ChangeProof
  }

  /// A ref names the new state.
  private struct Recorded {
    let verified: Verified
    let recorded: CommittedSnapshot?
  }

  // MARK: The sequence

  /// Makes the change.
  /// - Throws: `ImageError` (`interrupted`) if a signal came before anything was changed;
  ///   `InterruptedChangeError` for errors that leave an unfinished change; errors of the steps before the
  ///   journal.
  func run() throws -> ChangeResult {
    let before = try change.keepStateBefore()
    let target = try change.target(after: before.snapshot)
    let journal = journal(for: target, before)
    do { try Interruption.check() } catch {
      // The signal may have come during the change of another image.
      removeUnneeded(before)
      throw untouched(error)
    }
    let highest = try context.store().refs.numbers(of: image).last ?? 0
    // From here on a signal is only a request: no journal remains without a message.
    let result = try Interruption.duringChange(ChangeJournal.finalMessage(of: image, journal)) {
      let start = try begin(journal, before, target)
      do {
        return try proceed(start)
      } catch let untouched as CancelledChangeError {
        do { try rollBack(start, above: highest) } catch { throw unfinished(error, journal) }
        throw self.untouched(untouched.cause)
      } catch {
        throw unfinished(error, journal)
      }
    }
    Interruption.announce("interrupted: the change of image \(image) was complete")
    return result
  }

  /// Continues an interrupted change, whose journal is on disk. The change was planned again from the live
  /// image, so that files that are in place already take no step.
  /// - Throws: errors of the steps. The journal remains.
  func resume(_ journal: Journal) throws -> ChangeResult {
    let before = try change.keepStateBefore()
    let named = ReplacedTrees(context).naming(exchangesOf: change.plans, in: journal)
    // A change in place may free space, so it must not need any for the journal.
    if !JournalOption.exchangedTrees(named).isEmpty {
      try context.store().journals.write(named.encode(), of: image)
    }
    let target = try change.target(after: before.snapshot)
    return try proceed(Journaled(journal: named, before: before, target: target))
  }

  private func proceed(_ start: Journaled) throws -> ChangeResult {
    try end(record(verify(apply(stage(start)))))
  }

  private func begin(
    _ journal: Journal, _ before: StateBefore, _ target: ChangeTarget
  ) throws -> Journaled {
    let store = try context.store()
    do {
      try store.journals.write(journal.encode(), of: image)
    } catch {
      // Nothing has been changed, but a journal that cannot be removed must be reported.
      if (try? store.journals.remove(image)) != nil { throw error }
      throw unfinished(error, journal)
    }
    return Journaled(journal: journal, before: before, target: target)
  }

  private func stage(_ start: Journaled) throws -> Staged {
    let target =
      start.target.isRecorded
      ? start.target.snapshot : try context.store().refs.append(start.target.snapshot.snapshot)
    let hasWritten = try change.prepareFiles(target)
    do {
      let trees = try PlanExecutor(context, start.journal.token, change.staged).stage(
        change.plans, resolve: change.resolve)
      return Staged(start: start, target: target, trees: trees)
    } catch let cancelled as CancelledChangeError where hasWritten {
      // The live image is not untouched any more.
      throw cancelled.cause
    }
  }

  private func apply(_ stage: Staged) throws -> Applied {
    let executor = PlanExecutor(context, stage.start.journal.token, change.staged)
    var execution = try executor.apply(stage.trees, syncs, resolve: change.resolve)
    change.willChangeRows()
    if !change.rows.isEmpty {
      try executor.sync(paths, syncs)
      try executor.waitForSyncs(syncs)
      execution.report.problems += try LiveRows(context).applyRows(change.rows)
    }
    // Files that an interrupted run has written may not be on disk yet.
    try executor.sync(paths + change.earlierPaths, syncs)
    return Applied(stage: stage, execution: execution)
  }

  private func verify(_ applied: Applied) throws -> Verified {
    let executor = PlanExecutor(context, applied.stage.start.journal.token)
    // Some file systems report the holes of a file only after it is on disk.
    if change.plans.contains(where: { $0.plan.files.contains { $0.entry.holes != nil } }) {
      try executor.waitForSyncs(syncs)
    }
    // Otherwise the stat cache does not trust the files that the trees share: their links are too new.
    if !applied.execution.oldTrees.isEmpty { StatCache.waitForNextGranule() }
    let proof = try ChangeProof(
      context, image, change.comparison(applied.stage.target), applied.execution,
      leadsToTarget: change.diffLeadsToTarget)
    try executor.waitForSyncs(syncs)
    return Verified(applied: applied, proof: proof)
  }

  private func record(_ verified: Verified) throws -> Recorded {
    let stage = verified.applied.stage
    let recorded = try change.record(
      verified.proof, as: stage.target, before: stage.start.before.snapshot)
    return Recorded(verified: verified, recorded: recorded)
  }

  private func end(_ recorded: Recorded) throws -> ChangeResult {
    let applied = recorded.verified.applied
    let executor = PlanExecutor(context, applied.stage.start.journal.token)
    if !applied.execution.oldTrees.isEmpty || change.notes.contains(where: { $0.code != nil }) {
      let unlinked = try executor.removeOldTrees(applied.execution)
      try AbsentPaths(context).removeEmptyDirectories(change.notes)
      // Otherwise an old tree could come back after a power failure, without a journal that names it.
      try executor.sync(paths, syncs)
      ImageCapturer(context).renewCache(
        of: recorded.verified.proof.verified.live, image, after: unlinked)
      try executor.waitForSyncs(syncs)
    }
    try applied.execution.standby?.keepOldTree(context, as: applied.stage.start.before.snapshot)
    try context.store().journals.remove(image)
    return ChangeResult(
      target: applied.stage.target, before: applied.stage.start.before,
      report: applied.execution.report, proof: recorded.verified.proof, recorded: recorded.recorded)
  }

  // MARK: Errors

  private func journal(for target: ChangeTarget, _ before: StateBefore) -> Journal {
    var journal = change.journal(target: target.snapshot.id, before: before.snapshot?.id)
    journal.options.append(.init(Journal.userKey, CallerIdentity.text(context.fileSystem)))
    return ReplacedTrees(context).naming(exchangesOf: change.plans, in: journal)
  }

  private func untouched(_ cause: InterruptedError) -> ImageError {
    ImageError(
      .interrupted, "the change of image \(image)", "\(cause.reason); nothing was changed")
  }

  private func unfinished(_ error: any Error, _ journal: Journal) -> InterruptedChangeError {
    InterruptedChangeError(error, ChangeJournal(context).description(of: journal, image))
  }

  /// Rolls back a change that has not modified the live image.
  /// - Parameter highest: the number of the image's last snapshot before the change.
  private func rollBack(_ start: Journaled, above highest: Int) throws {
    let store = try context.store()
    if let before = start.before.snapshot {
      try AbsentPaths(context).removeEmptyDirectories(before.snapshot.notes)
    }
    if !start.target.isRecorded {
      let recorded = try store.refs.numbers(of: image).filter { number in
        try number > highest && store.refs.read(image, number).id == start.journal.target
      }
      try store.refs.remove(image, recorded)
    }
    removeUnneeded(start.before)
    try store.journals.remove(image)
  }

  /// Removes the snapshot that the command took of the state before a change that it then did not make, if
  /// the image has no other one and is not defined. Otherwise the list of images would name an image that was
  /// never created. A snapshot that cannot be removed stays.
  private func removeUnneeded(_ before: StateBefore) {
    guard case .kept(let safety, isNew: true) = before, change.createsImage,
      let refs = try? context.store().refs,
      (try? refs.numbers(of: image)) == [safety.number],
      (try? context.tables().definition(of: image.text)) == .some(nil),
      (try? refs.tags(of: image).isEmpty) == true, (try? refs.pins(of: image).isEmpty) == true
    else { return }
    _ = try? refs.remove(image, [safety.number])
  }
}
