// The report of `snapshot --dry-run`.

import Images

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
