// The state of a running repair, and what its parts have in common.

import Platform

/// The state of a running repair; locks/gc is held.
final class RepairContext {
  let store: ObjectStore
  let request: RepairRequest
  let sources: [RepairSource]
  let progress: Progress
  let report: @Sendable (String) -> Void
  var outcome = RepairOutcome()
  /// Damaged packs that are still in their directories, in a dry run.
  var damagedPacks: [PackFile] = []
  /// Of a dry run: what the sources would give, and refs that would be in their places.
  let found: RecoverableObjects?
  var plannedRefs: [SnapshotName: PlannedRef] = [:]
  /// Of a dry run: the places of the tags and pins that would be moved or restored.
  var plannedMarks: Set<String> = []
  /// The marks whose files belong to another name, and move there. A source may have marks of their names.
  var misplacedMarks: Set<String> = []
  /// Refs that a dry run would move out of their places, and where such refs belong.
  var movedRefs: Set<SnapshotName> = []
  var misplacedRefs: [(name: SnapshotName, bytes: [UInt8])] = []

  init(
    _ store: ObjectStore, _ request: RepairRequest, _ sources: [RepairSource],
    _ progress: Progress, _ report: @escaping @Sendable (String) -> Void
  ) {
    self.store = store
    self.request = request
    self.sources = sources
    self.progress = progress
    self.report = report
    found = request.isDryRun ? RecoverableObjects() : nil
    outcome.isDryRun = request.isDryRun
  }
}

/// A part of a repair: it works on the state that all parts share.
protocol RepairPart {
  var context: RepairContext { get }
}

extension RepairPart {
  var store: ObjectStore { context.store }
  var layout: Layout { context.store.layout }
  var request: RepairRequest { context.request }
  var isDryRun: Bool { context.request.isDryRun }
  var progress: Progress { context.progress }
  var report: @Sendable (String) -> Void { context.report }
  var outcome: RepairOutcome {
    get { context.outcome }
    nonmutating _modify { yield &context.outcome }
  }

  /// Records an action.
  func note(_ object: String, _ what: String) {
    outcome.actions.append(.init(object: object, what: what))
  }

  /// Locks an image, and waits for other processes as long as the request allows.
  /// - Throws: `busy` if another process still holds the lock.
  func lockImage(_ image: ImageName) throws(StoreError) -> FileLock {
    try store.lockImage(image, waiting: request.waiting) { [report] holders in
      report(
        "waiting: image \(image) is in use by "
          + (holders.isEmpty ? "another imgstore process" : holders.joined(separator: ", ")))
    }
  }

  /// Moves a file to quarantine/ and records the action.
  func moveToQuarantine(
    _ directory: Descriptor, _ name: [UInt8], _ object: String, as label: String
  ) throws {
    note(object, isDryRun ? "would be moved to quarantine/" : "was moved to quarantine/")
    if isDryRun { return }
    outcome.quarantined.append(
      try mapSystemErrors(object) { () throws(SystemError) in
        try layout.quarantine(directory, name, as: label)
      })
  }
}
