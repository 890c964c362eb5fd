// The reports of `gc` and `optimize`.

import Store

/// Prints the data that a collection removed or left, and why.
func printReport(_ outcome: CollectionOutcome) {
  if outcome.temporaryBytes > 0 {
    print("removed \(sizeText(outcome.temporaryBytes)) of unfinished files that no process writes")
  }
  if outcome.leftBytes > 0, !outcome.lackedSpace {
    print("left \(sizeText(outcome.leftBytes)) of unneeded data for another run")
  }
  if outcome.waitingBytes > 0 {
    let commands =
      outcome.waitsFor.isEmpty ? "earlier commands" : outcome.waitsFor.joined(separator: ", ")
    print(
      "the next gc can delete \(sizeText(outcome.waitingBytes)) when these commands have ended: \(commands)"
    )
  }
}

/// Ends a collection.
/// - Throws: `CompletedWithWarnings` if packs are damaged or the disk was too full.
func expectNoProblems(_ outcome: CollectionOutcome) throws {
  let (problems, isDamage) = collectionProblems(outcome)
  if !problems.isEmpty { throw CompletedWithWarnings(lines: problems, isDamage: isDamage) }
}

/// Returns the problems of a collection as lines, and whether packs are damaged.
func collectionProblems(_ outcome: CollectionOutcome) -> (lines: [String], isDamage: Bool) {
  var problems = outcome.damaged.map { "pack \($0.pack.prefix(12)): \($0.reason)" }
  if !problems.isEmpty {
    problems.append(
      "Damaged packs stay unchanged; 'imgstore verify --deep' lists the affected snapshots, and "
        + "'imgstore repair' moves the undamaged data to new packs.")
  }
  if outcome.lackedSpace {
    problems.append(
      "The disk is too full to rewrite packs: \(sizeText(outcome.leftBytes)) of unneeded data stay. "
        + "Free some space and run it again.")
  }
  return (problems, !outcome.damaged.isEmpty)
}
