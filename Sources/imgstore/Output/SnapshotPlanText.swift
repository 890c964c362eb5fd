// The report of `snapshot --dry-run`, and its JSON form (docs/json.md).

import Images
import Platform

/// The text of a plan.
struct SnapshotPlanText {
  private let plan: SnapshotPlan

  init(_ plan: SnapshotPlan) { self.plan = plan }

  func printAll() {
    if let directory = plan.addedDirectory {
      print("\(printable(directory.utf8)) would become image \(plan.image)")
    }
    let holds = "\(count(plan.entryCount, "entry")), \(sizeText(plan.contentBytes))"
    let difference =
      switch (plan.diff, plan.latest) {
      case (let diff?, let latest?):
        diff.isEmpty ? "same as @\(latest.number)" : "since @\(latest.number): \(summary(diff))"
      default: "the first snapshot"
      }
    if let number = plan.number {
      print("would record \(plan.image)@\(number)")
      print("  \(holds); \(difference)")
    } else {
      print("\(plan.image): unchanged, would not be recorded again")
    }
    for note in plan.notes where note.isRemark {
      Terminal.warning(noteText(note))
    }
  }
}

struct SnapshotPlanJSON: JSONDocument {
  static let kind = "snapshot-plan"
  let image: String
  let addedDirectory: String?
  /// The name of the snapshot; nil if none would be recorded.
  let snapshot: String?
  let entries: UInt64
  let contentBytes: UInt64
  /// The differences from the latest snapshot; nil if there is none.
  let diff: DiffJSON?
  let notes: [NoteJSON]
  /// The error that the snapshot would end with.
  let refused: ErrorJSON.Details?
  let seconds: Double

  init(_ plan: SnapshotPlan) {
    image = plan.image
    addedDirectory = plan.addedDirectory
    snapshot = plan.number.map { "\(plan.image)@\($0)" }
    entries = plan.entryCount
    contentBytes = plan.contentBytes
    diff = plan.diff.map { DiffJSON($0) }
    notes = plan.notes.map(NoteJSON.init)
    refused = plan.refusal.map(ErrorJSON.Details.init)
    seconds = plan.seconds
  }
}

/// The document of `snapshot --dry-run` for several images.
struct SnapshotPlansJSON: JSONDocument {
  static let kind = "snapshot-plans"
  let snapshots: [SnapshotPlanJSON]
  let failures: [SnapshotFailureJSON]
}
