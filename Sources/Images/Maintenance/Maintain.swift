// imgstore maintain: the one job of a timer. It takes the snapshots that are due, applies the retention, pushes,
// frees space, recompresses and verifies, in this order: a verification reads what is left.
//
// 1. One maintain runs at a time in a store (locks/maintain). A second one ends at once.
// 2. A part that fails or is busy does not stop the others. The worst problem decides the result.
// 3. It creates no store: a store that is missing is probably just not mounted.

import Platform
import Settings
import Store
import XCAT

/// The parameters of `maintain`.
public struct MaintenanceRequest: Sendable {
  /// Whether to change nothing, and report what would be done.
  public var isDryRun = false
  /// The file to write metrics to; nil for that of the configuration.
  public var metrics: String?
  /// The exit status of each result, for the record.
  public var exitStatus: @Sendable (MaintenanceResult) -> Int32 = { $0 == .ok ? 0 : 1 }
  public init() {}
}

extension Workspace {
  /// Maintains the store: snapshots, retention, garbage, compression and verification.
  /// - Throws: `StoreError` of kind `busy` while another one runs, `ImageError` (`storeNotFound`)
  ///   without a store, errors of the tables, and an interruption. Other failures are in the outcome.
  public func maintain(_ request: MaintenanceRequest = MaintenanceRequest()) throws
    -> MaintenanceOutcome
  {
    try Maintainer(context).maintain(request)
  }
}

/// Maintains a store.
struct Maintainer: Collaborator {
  let context: Context
  /// The zstd level of the recompression, as for `optimize`.
  private static let level: Int32 = 18

  func maintain(_ request: MaintenanceRequest) throws -> MaintenanceOutcome {
    let start = monotonicSeconds()
    let began = context.now().seconds
    try StoreCreation(context).requireStore()
    let store = try context.store()
    let lock = request.isDryRun ? nil : try store.lockMaintenance()
    defer { withExtendedLifetime(lock) {} }
    var outcome = MaintenanceOutcome()
    outcome.isDryRun = request.isDryRun
    try maintainImages(&outcome)
    try pushImages(&outcome)
    if request.isDryRun {
      try attempt(&outcome) { outcome in
        outcome.collectableBytes = try store.diskUse(progress: context.progress).collectableBytes
      }
    } else {
      try maintainStore(&outcome)
      recordRun(request, outcome, began: began)
      try writeMetrics(request, &outcome)
    }
    outcome.seconds = monotonicSeconds() - start
    return outcome
  }

  /// Runs a part. Its failure becomes a problem of the outcome.
  private func attempt(
    _ outcome: inout MaintenanceOutcome, _ part: (inout MaintenanceOutcome) throws -> Void
  ) throws {
    do { try part(&outcome) } catch let error as any ExplainedError
      where error.errorCode != .interrupted
    { outcome.add(error) }
  }

  // MARK: Images

  private func maintainImages(_ outcome: inout MaintenanceOutcome) throws {
    let store = try context.store()
    let record = store.maintenanceRecord
    let images = try ImageLister(context).images()
    if !images.isEmpty, !images.contains(where: \.isDefined) {
      outcome.add(
        ImageError(
          .imageNotFound, "the tables", "define none of the \(images.count) images with snapshots",
          hint: "Check that xCAT's tables are in place; 'imgstore doctor' may tell more"))
    }
    let standbyDeadline =
      monotonicSeconds()
      + (context.options.configuration.maintenance.standbySeconds?.value
        ?? MaintenanceSettings.standardStandbySeconds)
    for image in images where !image.isStaged {
      context.progress.begin("maintaining \(image.name)")
      let result = try ImageMaintenance(context).maintain(
        image, checked: record.images[image.name]?.checked, standbyDeadline: standbyDeadline,
        isDryRun: outcome.isDryRun)
      outcome.images.append(result)
      add(result, to: &outcome)
      if !outcome.isDryRun { recordCheck(result) }
    }
  }

  private func add(_ image: MaintainedImage, to outcome: inout MaintenanceOutcome) {
    if let error = image.error { outcome.add(error, image: image.name) }
    if image.gaps > 0 {
      outcome.problems.append(
        MaintenanceProblem(
          severity: .problems, image: image.name, code: .filesMissing,
          message: "\(image.snapshot ?? image.name) is incomplete: \(image.gaps) "
            + (image.gaps == 1 ? "problem" : "problems")))
    }
  }

  // MARK: Pushes

  /// Pushes the histories of images to the remotes that their settings name. A snapshot that a remote has costs
  /// nothing, so a push that failed is made up for by the next one.
  private func pushImages(_ outcome: inout MaintenanceOutcome) throws {
    let refs = try context.store().refs
    for (image, numbers) in try refs.histories() {
      for remote in context.settings(of: image).push?.value ?? [] {
        context.progress.begin("pushing \(image)")
        var request = PushRequest(remote, numbers.map { "\(image)@\($0)" })
        request.sendsTags = true
        request.isDryRun = outcome.isDryRun
        do {
          let transfer = try SnapshotPusher(context).push(request)
          outcome.pushes.append(
            MaintainedPush(
              image: image.text, remote: remote, snapshots: transfer.items.count(where: \.isNew),
              bytes: transfer.amount.bytes))
        } catch let error as any ExplainedError where error.errorCode != .interrupted {
          outcome.add(error, image: image.text)
        }
      }
    }
  }

  /// Records the check of an image, so that it is not due again in this period.
  private func recordCheck(_ image: MaintainedImage) {
    let time = context.now().seconds
    try? context.store().updateMaintenanceRecord { record in
      guard let isChanged = image.isChanged else { return }
      let isCheck = image.action == .recorded || image.action == .unchanged
      record.images[image.name] = .init(
        checked: isCheck ? time : record.images[image.name]?.checked ?? 0, compared: time,
        isChanged: isChanged)
    }
  }

  // MARK: The store

  private func maintainStore(_ outcome: inout MaintenanceOutcome) throws {
    let settings = context.options.configuration.maintenance
    try attempt(&outcome) { outcome in
      let collection = try SpaceReporter(context).collect()
      outcome.collection = collection
      add(collection, to: &outcome)
    }
    var optimization = CollectionRequest()
    optimization.rewriting = .all(level: Maintainer.level)
    optimization.maxSeconds =
      settings.optimizeSeconds?.value ?? MaintenanceSettings.standardOptimizeSeconds
    optimization.maxBytes = settings.optimizeBytes?.value
    if optimization.maxSeconds != 0, optimization.maxBytes != 0 {
      try attempt(&outcome) { outcome in
        outcome.optimization = try SpaceReporter(context).collect(optimization, makesRecipes: true)
      }
    }
    var verification = VerifyRequest()
    verification.maxSeconds =
      settings.verifySeconds?.value ?? MaintenanceSettings.standardVerifySeconds
    verification.maxBytes = settings.verifyBytes?.value
    if verification.maxSeconds == 0 || verification.maxBytes == 0 {
      verification = VerifyRequest()
    }
    try attempt(&outcome) { outcome in
      let report = try StoreVerifier(context).verify(verification)
      outcome.verification = report
      for problem in report.problems.prefix(1) {
        let others = report.problems.count - 1
        outcome.add(
          StoreError(
            .damaged, problem.object,
            problem.reason + (others > 0 ? " (and \(others) more problems)" : "")))
      }
    }
  }

  private func add(_ collection: CollectionOutcome, to outcome: inout MaintenanceOutcome) {
    for (pack, reason) in collection.damaged.prefix(1) {
      outcome.add(StoreError(.damaged, "pack \(pack)", reason))
    }
    if collection.lackedSpace {
      outcome.add(
        ImageError(
          .noSpace, "the store", "has no space to rewrite packs of which gc would free a part"))
    }
  }

  private func recordRun(
    _ request: MaintenanceRequest, _ outcome: MaintenanceOutcome, began: Int64
  ) {
    guard let store = try? context.store() else { return }
    let contents = try? store.contents()
    let bytes = (contents?.packBytes ?? 0) &+ (contents?.doomedBytes ?? 0)
    let names = Set(outcome.images.map(\.name))
    store.updateMaintenanceRecord { record in
      record.run = .init(
        began: began, ended: context.now().seconds,
        exitStatus: request.exitStatus(outcome.result), packBytes: bytes,
        earlierPackBytes: record.run?.packBytes)
      record.images = record.images.filter { names.contains($0.key) }
    }
  }

  private func writeMetrics(
    _ request: MaintenanceRequest, _ outcome: inout MaintenanceOutcome
  ) throws {
    guard
      let path = request.metrics ?? context.options.configuration.maintenance.metrics?.value
    else { return }
    try attempt(&outcome) { outcome in
      try MetricsWriter(context).write(to: path, measuring: false)
      outcome.metrics = path
    }
  }
}
