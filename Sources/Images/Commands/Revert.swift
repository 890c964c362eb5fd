// imgstore revert: restores the live image to a snapshot (RevertPlan.swift, RevertChange.swift,
// ImageTransaction.swift). The result is recorded as a snapshot, so that another revert can undo it.

import Platform
import Store

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
struct ImageReverter: Collaborator {
  let context: Context

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
    try PulledSnapshotCheck(context).check(target, request.trust)
    return try change(
      ChangeRequest(
        image: image, target: target, request: request, parts: parts,
        label: SnapshotLabel(
          .revert,
          parts.isEmpty
            ? "revert to @\(target.number)" : "revert of \(parts.text) to @\(target.number)")))
  }

  /// Changes the live image to the state of a snapshot. The caller holds the image's lock.
  func change(_ change: ChangeRequest) throws -> RevertOutcome {
    let start = monotonicSeconds()
    let (image, request) = (change.image, change.request)
    let planner = try RevertPlanner(context, change)
    let paths = try planner.changedPaths()
    let directories =
      request.isDryRun ? nil : try DirectoryLocker(context).lockDirectories(image, paths)
    defer { withExtendedLifetime(directories) {} }
    let refusal = try DryRunRefusal(context).refusal(isDryRun: request.isDryRun) {
      if request.isDryRun {
        try context.store().layout.requireWritable("the history of \(image)")
        try DirectoryLocker(context).expectDirectoriesFree(image, paths)
      }
    }
    let plan = try planner.plan()
    for remark in plan.outcome.remarks { context.reporter.warn(remark) }
    try ChangePreflight(context).preflight(plan.plans)
    if request.isDryRun || plan.isDone {
      return RevertOutcome(
        target: change.target, parts: change.parts, isDryRun: request.isDryRun,
        apply: plan.outcome, safety: nil, recorded: nil, remaining: nil,
        limits: plan.outcome.limits, uncompared: [], seconds: monotonicSeconds() - start,
        refusal: refusal)
    }
    let result = try ImageTransaction(context, try RevertChange(context, change, plan)).run()
    var outcome = plan.outcome
    outcome.report = result.report
    return RevertOutcome(
      target: change.target, parts: change.parts, isDryRun: false, apply: outcome,
      safety: result.before.new, recorded: result.recorded, remaining: result.proof.remaining,
      limits: result.proof.limits,
      uncompared: result.proof.verified.live.notes.filter(\.isProblem),
      seconds: monotonicSeconds() - start)
  }
}
