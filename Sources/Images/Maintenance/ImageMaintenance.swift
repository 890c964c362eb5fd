// The part of `maintain` for one image: the snapshot, then the retention, then its standby trees.
//
// 1. An absent or empty tree is never recorded (EmptyStateCheck.swift).
// 2. Retention is applied only to an image that is defined, and of which the snapshot did not fail in this
//    run. So an image whose disk is away keeps all of its snapshots, however long it is away.
// 3. An image that another process uses, or that has an unfinished change, is skipped.

import Platform
import Settings
import Store
import XCAT

/// Maintains one image.
struct ImageMaintenance: Collaborator {
  let context: Context

  /// Maintains an image.
  /// - Parameters:
  ///   - checked: the time of its last check, in seconds since 1970; nil if none is known.
  ///   - standbyDeadline: the time after which no standby tree is begun, of the monotonic clock.
  /// - Throws: errors without an explanation, and an interruption. All others are in the result.
  func maintain(
    _ summary: ImageSummary, checked: Int64?, standbyDeadline: Double, isDryRun: Bool
  ) throws -> MaintainedImage {
    var result = MaintainedImage(name: summary.name, action: .undefined)
    if let change = summary.unfinished {
      result.action = change.isRunning ? .busy : .unfinished
      result.error = ImageError(
        change.isRunning ? .imageLocked : .changeUnfinished, "image \(summary.name)",
        change.isRunning
          ? "has a change in progress: \(change.description)"
          : "has an unfinished change: \(change.summary)", hint: change.hint)
      return result
    }
    guard summary.isDefined else { return result }
    let image = try ImageName(summary.name)
    if let command = HostRuns(context).running(on: image) {
      result.action = .busy
      result.error = ImageError(
        .imageLocked, "image \(image)", "is being changed by \(command)",
        hint: "The next run takes its snapshot")
      return result
    }
    let settings = context.settings(of: image)
    let schedule = settings.schedule?.value ?? .standard
    do {
      if schedule.isDue(last: checked, now: context.now().seconds) {
        try takeSnapshot(&result, isDryRun: isDryRun)
      } else {
        result.action = schedule == .never ? .never : .notDue
        result.isChanged = isChanged(summary)
      }
      if summary.snapshots > 0 || result.snapshot != nil {
        try applyRetention(settings.retention, &result, isDryRun: isDryRun)
        try keepStandby(image, &result, deadline: standbyDeadline, isDryRun: isDryRun)
      }
    } catch let error as any ExplainedError where error.errorCode != .interrupted {
      result.error = error
      switch error.errorCode.category {
      case .busy: result.action = .busy
      case .unfinished: result.action = .unfinished
      default: result.action = .failed
      }
    }
    return result
  }

  private func takeSnapshot(_ result: inout MaintainedImage, isDryRun: Bool) throws {
    if isDryRun {
      let plan = try SnapshotPlanner(context).planSnapshot(
        result.name, tags: [], .skipIfUnchanged)
      if let refusal = plan.refusal { throw refusal }
      result.action = plan.number == nil ? .unchanged : .wouldRecord
      result.snapshot = plan.latest?.name
      result.isChanged = plan.number != nil
      return
    }
    let outcome = try SnapshotTaker(context).snapshot(
      result.name, message: "scheduled", tags: [], .skipIfUnchanged, tuning: StoreTuning())
    result.action = outcome.isNew ? .recorded : .unchanged
    result.snapshot = outcome.committed.name
    result.gaps = outcome.committed.snapshot.gaps().count
    result.isChanged = false
  }

  /// Returns whether an image differs from its latest snapshot; nil if it cannot be compared.
  private func isChanged(_ summary: ImageSummary) -> Bool? {
    guard summary.latest != nil else { return true }
    return (try? StatusReader(context).status(summary.name)).map { !$0.isClean }
  }

  /// Keeps the standby trees of an image. A file system without reflinks is a warning: the setting may be
  /// that of many images.
  private func keepStandby(
    _ image: ImageName, _ result: inout MaintainedImage, deadline: Double, isDryRun: Bool
  ) throws {
    let keeper = StandbyKeeper(context)
    guard try context.settings(of: image).standby != nil || !keeper.trees(of: image).isEmpty else {
      return
    }
    let lock = try ImageLocks(context).lock(image, try context.store(), isDryRun: isDryRun)
    defer { withExtendedLifetime(lock) {} }
    do {
      result.standby = try keeper.maintain(image, isDryRun: isDryRun, deadline: deadline).built
    } catch let error as ImageError where error.errorCode == .unsupported {
      if context.reporter.isFirstTime(error.message) { context.reporter.warn(error.message) }
    }
  }

  private func applyRetention(
    _ settings: RetentionSettings, _ result: inout MaintainedImage, isDryRun: Bool
  ) throws {
    let policy = RetentionPolicy(settings)
    guard policy.hasRule else { return }
    if settings.hasOwnRule, !settings.keepsSomething {
      throw ImageError(
        .configInvalid, "the retention of \(result.name)", "keeps 0 snapshots by every rule",
        hint: "'imgstore config show \(result.name)' shows where the rules come from")
    }
    let outcome = try Forgetter(context).forget([result.name], policy, dryRun: isDryRun)
    result.forgotten = outcome.forgotten.map(\.name)
    guard let first = outcome.unreadable.first else { return }
    throw ImageError(
      .snapshotDamaged, "snapshot \(first)", "cannot be read, so it stays",
      hint: "'imgstore repair' may help")
  }
}
