// The reports of `gc` and `optimize`.

import Images

/// Prints the space that a collection freed, and the data that it left, and why.
func printReport(_ outcome: CollectionOutcome) {
  print(
    outcome.removedPacks == 0
      ? (outcome.temporaryBytes == 0 ? "nothing to free" : "no pack to remove")
        + "; \(secondsText(outcome.seconds))"
      : "freed \(sizeText(UInt64(max(0, outcome.freedBytes)))): removed "
        + "\(count(outcome.removedPacks, "pack")), \(outcome.rewrittenPacks) of them rewritten "
        + "(\(sizeText(outcome.writtenBytes))); \(secondsText(outcome.seconds))")
  printLeftData(outcome)
}

/// Prints the data that a collection removed besides packs, and the data that it left, and why.
func printLeftData(_ outcome: CollectionOutcome) {
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
