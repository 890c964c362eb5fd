// The reports of `push`, `pull` and `clone`.

import Images

enum TransferText {
  /// Prints the report of a transfer.
  /// - Throws: `CompletedWithWarnings` if tags name other snapshots at the receiving side, or a revert left
  ///   problems.
  static func report(_ outcome: TransferOutcome, _ json: JSONFlag) throws {
    if try !json.prints(outcome) { printText(outcome) }
    var problems = outcome.conflicts.map {
      "tag \($0.image)@\($0.tag) names snapshot \($0.number) at the receiving side, not the one of "
        + "\($0.otherNumber); it was not moved"
    }
    if let applied = outcome.applied {
      do { try applied.expectNoProblems(problems) } catch { throw error }
      problems = []
    }
    if !problems.isEmpty { throw CompletedWithWarnings(lines: problems) }
  }

  private static func printText(_ outcome: TransferOutcome) {
    let new = outcome.items.filter(\.isNew)
    // A mirror of thousands of snapshots names only those that it sent.
    for item in outcome.items.count > 20 ? new : outcome.items { print(line(item, outcome)) }
    for (snapshot, tag) in outcome.newTags { print("tag \(snapshot.image)@\(tag): \(snapshot)") }
    let amount = outcome.amount
    let verb = outcome.direction == .push ? "sent" : "fetched"
    if outcome.items.isEmpty { return print("\(outcome.url) has no snapshots") }
    if new.isEmpty { return print("nothing to \(outcome.direction == .push ? "send" : "fetch")") }
    let summary =
      "\(exactSize(amount.bytes)) for \(count(new.count, "snapshot")) of "
      + "\(sizeText(outcome.contentBytes))"
    if outcome.isDryRun { return print("would be \(verb): \(summary)") }
    let rate =
      outcome.seconds > 0.5 ? ", \(sizeText(UInt64(Double(amount.bytes) / outcome.seconds)))/s" : ""
    print("\(verb) \(summary); \(secondsText(outcome.seconds))\(rate)")
    if let applied = outcome.applied {
      print(
        "reverted the live image to \(applied.target.name)"
          + (applied.recorded.map { "; recorded as \($0.name)" } ?? "; it matches already"))
    }
  }

  private static func line(_ item: TransferItem, _ outcome: TransferOutcome) -> String {
    let (from, to) =
      outcome.direction == .push
      ? (
        item.local.map { "\($0)" } ?? "",
        item.remote.map { "\(outcome.remote)/\($0)" } ?? outcome.remote
      )
      : (
        item.remote.map { "\(outcome.remote)/\($0)" } ?? "",
        item.local.map { "\($0)" } ?? "this store"
      )
    guard item.isNew else { return "\(from) -> \(to): present" }
    return "\(from) -> \(to): \(sizeText(item.amount.bytes))"
  }
}
