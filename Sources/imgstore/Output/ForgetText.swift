// The reports of `forget` and `remove`.

import Images

/// Returns the row of a removed snapshot in a table.
func forgottenRow(_ removed: ForgottenSnapshot) -> [String] {
  [
    "forget", "\(removed.name)",
    removed.snapshot.map { timeText($0.snapshot.created) } ?? "unreadable",
    (removed.tags.map { "[\($0)]" } + [printable((removed.snapshot?.snapshot.message ?? "").utf8)])
      .filter { !$0.isEmpty }.joined(separator: " "),
  ]
}

/// Prints how many snapshots were removed, or would be.
/// - Parameter isPruned: whether gc has run since.
func printReport(_ outcome: ForgetOutcome, isPruned: Bool = false) {
  let snapshots = count(outcome.forgotten.count, "snapshot")
  guard outcome.isDryRun else {
    print(
      outcome.forgotten.isEmpty
        ? "nothing to forget"
        : "forgot \(snapshots)" + (isPruned ? "" : "; 'imgstore gc' frees the space"))
    return
  }
  var line = "would forget \(snapshots)"
  if let freed = outcome.freedBytes {
    line += "; with 'imgstore gc' this frees \(exactSize(freed))"
  }
  if let other = outcome.collectableBytes, other > 0 {
    line += ", in addition to \(exactSize(other)) that gc frees anyway"
  }
  print(line)
}
