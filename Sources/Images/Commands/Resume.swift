// imgstore resume: completes an interrupted change, or rolls it back.
//
//     journal ─▶ leftovers removed ─▶ live ─capture─▶ plan toward the target, or the state before
//             ─▶ steps ─▶ rows ─▶ verification ─▶ ref (unless it exists) ─▶ journal removed
//
// 1. Each run plans again from the live state. So `resume` itself may be interrupted and resumed any number
//    of times.
// 2. Somebody may have added files to the image since the interruption. If neither the target nor the state
//    before has them, they are snapshotted first.

import Apply
import Platform
import Store

extension Workspace {
  /// Resumes an interrupted change.
  /// - Parameters:
  ///   - name: the image; nil if only one image has an unfinished change.
  ///   - dryRun: whether the change is only planned. Its leftovers next to the trees are not part of the
  ///     plan.
  /// - Throws: `ImageError`: `nothingToResume` if there is nothing to resume, `usage` if several images could
  ///   be meant, `changeUnfinished` if no snapshot has the state to restore or a leftover cannot be removed;
  ///   `InterruptedChangeError` if the change must be resumed again.
  public func resume(
    _ name: String?, _ direction: ResumeDirection, dryRun: Bool = false
  ) throws -> ResumeOutcome {
    try ChangeResumer(context).resume(name, direction, dryRun: dryRun)
  }

  /// Returns the names of the images with an unfinished change.
  public func unfinishedImages() throws -> [String] {
    try context.storeIfPresent()?.journals.images().map(\.text) ?? []
  }
}

/// Completes interrupted changes, or rolls them back.
struct ChangeResumer: Collaborator {
  let context: Context

  func resume(
    _ name: String?, _ direction: ResumeDirection, dryRun: Bool = false
  ) throws -> ResumeOutcome {
    let start = monotonicSeconds()
    let image = try unfinishedImage(name)
    let store = try context.store()
    let lock = try ImageLocks(context).lock(
      image, store, allowsUnfinished: true, isDryRun: dryRun, usesTree: direction != .abandon)
    defer { withExtendedLifetime(lock) {} }
    Interruption.announce("interrupted: the change of image \(image) remains unfinished")
    if direction == .abandon { return try abandon(image, dryRun: dryRun) }
    guard let journal = try ChangeJournal(context).journal(of: image) else {
      throw nothingToResume(image.text)
    }
    var change = try ChangeJournal(context).unfinished(image, journal)
    // The lock is this command's.
    change.isRunning = false
    let before = try journal.before.flatMap {
      try ChangeJournal(context).findSnapshot($0, of: image)
    }
    var recordedTarget = try ChangeJournal(context).findSnapshot(journal.target, of: image)
    // To roll back a revert, only the state before is needed.
    if recordedTarget == nil, direction == .back, journal.operation == .revert {
      recordedTarget = before
    }
    guard let target = recordedTarget else {
      return try discardUnstartedChange(image, journal, change, direction, dryRun: dryRun)
    }
    guard let goal = direction == .back ? before : target else {
      throw ImageError(
        .changeUnfinished, "image \(image)",
        "has no snapshot of the state before \(change.description)",
        hint: "'imgstore resume \(image)' completes it; 'imgstore revert' restores any snapshot "
          + "afterwards")
    }
    if dryRun {
      let (outcome, savesFirst) = try planResume(image, journal, target, before, goal, start)
      return ResumeOutcome(
        change: change, direction: direction, revert: outcome, isDryRun: true,
        savesFirst: savesFirst, refusal: outcome.refusal)
    }
    do {
      let outcome = try Interruption.duringChange(ChangeJournal.finalMessage(of: image, journal)) {
        try resumeChange(image, journal, target, before, goal, start)
      }
      Interruption.announce("interrupted: the change of image \(image) was complete")
      return ResumeOutcome(change: change, direction: direction, revert: outcome)
    } catch {
      // This run has changed nothing, but the interrupted change may have.
      throw InterruptedChangeError((error as? CancelledChangeError)?.cause ?? error, change)
    }
  }

  private func unfinishedImage(_ name: String?) throws -> ImageName {
    if let name { return try ImageResolver(context).image(named: name) }
    let all = try context.store().journals.images()
    guard let only = all.first else { throw nothingToResume(nil) }
    guard all.count == 1 else {
      throw ImageError(
        .usage, "resume",
        "needs the name of an image, because several have unfinished changes: \(all.map(\.text).joined(separator: ", "))",
        hint: "Name one: 'imgstore resume IMAGE'")
    }
    return only
  }

  private func nothingToResume(_ name: String?) -> ImageError {
    ImageError(
      .nothingToResume, name.map { "image \($0)" } ?? "resume", "has no unfinished change",
      hint: "'imgstore undo' takes back a change that has ended")
  }

  private func abandon(_ image: ImageName, dryRun: Bool) throws -> ResumeOutcome {
    // A journal that cannot be read can be abandoned, too.
    let journal = try? ChangeJournal(context).journal(of: image)
    // A journal that is not a regular file exists, but cannot be read.
    do {
      guard try context.store().journals.read(image) != nil else {
        throw nothingToResume(image.text)
      }
    } catch let error as StoreError where error.kind == .damaged {}
    var change =
      journal.flatMap { try? ChangeJournal(context).unfinished(image, $0) }
      ?? UnfinishedChange(
        image: image.text, operation: .revert, command: .revert, started: context.now(), user: nil,
        target: nil,
        before: nil,
        isRunning: false)
    // The lock is this command's.
    change.isRunning = false
    if dryRun {
      return ResumeOutcome(
        change: change, direction: .abandon, revert: nil, isDryRun: true,
        refusal: try refusalOfWriting(image))
    }
    // The journal is removed even if leftovers cannot be.
    var leftovers: [ApplyProblem] = []
    if let journal {
      do {
        _ = try ReplacedTrees(context).keepReplacedTrees(image, journal)
        leftovers = try LeftoverRemover(context).removeLeftovers(image, journal).map(\.problem)
      } catch {
        leftovers = [ApplyProblem(path: Array(image.text.utf8), what: "\(error)")]
      }
    }
    try context.store().journals.remove(image)
    return ResumeOutcome(
      change: change, direction: .abandon, revert: nil, leftovers: leftovers)
  }

  /// Removes the journal of a change whose target snapshot was never recorded. Such a change has not modified
  /// the image.
  /// - Throws: `ImageError` (`changeUnfinished`) for a revert, whose target existed and is missing now. That
  ///   of an imported tree is recorded by the change itself.
  private func discardUnstartedChange(
    _ image: ImageName, _ journal: Journal, _ change: UnfinishedChange,
    _ direction: ResumeDirection, dryRun: Bool
  ) throws -> ResumeOutcome {
    guard journal.operation != .revert || change.command == .importing else {
      throw ImageError(
        .changeUnfinished, "image \(image)",
        "has an unfinished revert to a snapshot that is no longer in the store",
        hint: journal.before == nil || direction == .back
          ? "'imgstore resume \(image) --abandon' leaves the image as it is"
          : "'imgstore resume \(image) --back' returns to the state before")
    }
    if dryRun {
      return ResumeOutcome(
        change: change, direction: direction, revert: nil, isDryRun: true,
        refusal: try refusalOfWriting(image))
    }
    let leftovers = try LeftoverRemover(context).removeLeftovers(image, journal).map(\.problem)
    try context.store().journals.remove(image)
    return ResumeOutcome(
      change: change, direction: direction, revert: nil, leftovers: leftovers)
  }

  // MARK: Resuming

  private func refusalOfWriting(_ image: ImageName) throws -> (any ExplainedError)? {
    try DryRunRefusal(context).refusal(isDryRun: true) {
      try context.store().layout.requireWritable("the history of \(image)")
    }
  }

  /// Plans a resumed change, and checks whether it would be refused.
  /// - Returns: the plan, and whether unsaved changes would be snapshotted first.
  private func planResume(
    _ image: ImageName, _ journal: Journal, _ target: CommittedSnapshot,
    _ before: CommittedSnapshot?, _ goal: CommittedSnapshot, _ start: Double
  ) throws -> (outcome: RevertOutcome, savesFirst: Bool) {
    let moved = try ResumePlanner(context).relocate(image, journal, target: target, goal: goal)
    let refusal = try DryRunRefusal(context).refusal(isDryRun: true) {
      try context.store().layout.requireWritable("the history of \(image)")
      try DirectoryLocker(context).expectDirectoriesFree(image, moved.paths)
    }
    let plan = try ResumePlanner(context).resumePlan(
      image, journal, moved.target, moved.goal, storing: false)
    let savesFirst =
      try before.map {
        try ChangeRecorder(context).hasUnsavedChanges(
          plan.current.state, [$0, plan.target], journal)
      }
      ?? false
    let outcome = RevertOutcome(
      target: plan.goal, isDryRun: true, apply: plan.outcome, safety: nil, recorded: nil,
      remaining: nil, limits: plan.outcome.limits, uncompared: [],
      seconds: monotonicSeconds() - start, refusal: refusal)
    return (outcome, savesFirst)
  }

  /// Changes the live image to the target, or to the state before, verifies the result and records it.
  private func resumeChange(
    _ image: ImageName, _ journal: Journal, _ target: CommittedSnapshot,
    _ before: CommittedSnapshot?, _ goal: CommittedSnapshot, _ start: Double
  ) throws -> RevertOutcome {
    let moved = try ResumePlanner(context).relocate(image, journal, target: target, goal: goal)
    let directories = try DirectoryLocker(context).lockDirectories(image, moved.paths)
    defer { withExtendedLifetime(directories) {} }
    _ = try ReplacedTrees(context).keepReplacedTrees(image, journal)
    if let leftover = try LeftoverRemover(context).removeLeftovers(image, journal).first {
      throw ImageError(
        .changeUnfinished, printable(leftover.problem.path), leftover.problem.what,
        hint: leftover.isMounted
          ? "Unmount that file system, and run the command again. Do not remove the mounted files"
          : "Remove it, and run the command again; 'imgstore resume \(image) --abandon' leaves "
            + "everything as it is")
    }
    let plan = try ResumePlanner(context).resumePlan(
      image, journal, moved.target, moved.goal, storing: before != nil)
    let change = ResumedChange(
      context: context, image: image, journal: journal, plan: plan, before: before,
      isBack: goal.id != target.id,
      targets: journal.operation == .importing
        ? try ImportTargets(context, JournalOption.request(journal)) : nil)
    let result = try ImageTransaction(context, change).resume(journal)
    // The interrupted change may have left a tree without a record. It can stay, too.
    _ = try? StandbyKeeper(context).prune(image)
    var outcome = plan.outcome
    outcome.report = result.report
    return RevertOutcome(
      target: plan.goal, isDryRun: false, apply: outcome, safety: result.before.new,
      recorded: result.recorded, remaining: result.proof.remaining, limits: result.proof.limits,
      uncompared: result.proof.verified.live.notes.filter(\.isProblem),
      seconds: monotonicSeconds() - start)
  }
}
